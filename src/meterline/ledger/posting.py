"""Every posting recipe, on one page.

Each function says which transfers a piece of business makes. Read `_move(a, b, x)` as: x is debited to a and
credited to b; a negative x goes the other way, nothing is posted for zero. `asset` is the upper-case code of a
currency or a custom unit; amounts are Decimals in its major units.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import cache
from typing import Literal, TypeAlias

import msgspec

from meterline.ledger.account import Account, Kind
from meterline.ledger.transaction import Transfer
from meterline.money import add, subtract

Funding: TypeAlias = Literal["paid", "promotional"]
"""Whether prepaid value was bought or given."""


class Slice(msgspec.Struct, frozen=True, gc=False):
    """A part of a grant: which one, how it was funded, how much."""

    grant: str
    funding: Funding
    amount: Decimal


def _move(debit: Account, credit: Account, amount: Decimal, grant: str | None = None) -> tuple[Transfer, ...]:
    if amount == 0:
        return ()
    if amount < 0:
        return (Transfer(credit, debit, amount.copy_negate(), grant),)
    return (Transfer(debit, credit, amount, grant),)


_account = cache(Account)
"""Accounts are values: those of the hot path are made once."""


def _from_slices(slices: Iterable[Slice], asset: str, credit: Account) -> tuple[Transfer, ...]:
    """Each slice leaves the account that its funding names."""
    return tuple(
        [Transfer(_account(each.funding, asset), credit, each.amount, each.grant) for each in slices if each.amount]
    )


def _to_slices(debit: Account, slices: Iterable[Slice], asset: str) -> tuple[Transfer, ...]:
    """Each slice returns to the account that its funding names, the last one first."""
    return tuple(
        Transfer(debit, _account(each.funding, asset), each.amount, each.grant)
        for each in reversed(tuple(slices))
        if each.amount
    )


# Invoices and payments


def invoice_finalized(
    *,
    asset: str,
    net: Decimal,
    tax: Decimal = Decimal(0),
    deferred: Decimal = Decimal(0),
    credits: Sequence[Slice] = (),
    balance_applied: Decimal = Decimal(0),
) -> tuple[Transfer, ...]:
    """The customer owes what the invoice asks for.

    `net` is after discounts and before credits and tax; `deferred` is the part of it that pays for time to come.
    `credits` are the billing credits it used. `balance_applied` is what the customer balance gave (negative:
    what it took, when the customer owed from before, or when the total was negative and went to the balance).
    """
    owed = Account("receivable", asset)
    used = tuple(
        Transfer(Account(_credit(each.funding), asset), owed, each.amount, each.grant)
        for each in credits
        if each.amount
    )
    return (
        *_move(owed, Account("revenue", asset), subtract(net, deferred)),
        *_move(owed, Account("deferred", asset), deferred),
        *used,
        *_move(owed, Account("tax", asset), tax),
        *_move(Account("customer_balance", asset), owed, balance_applied),
    )


def deferred_earned(*, asset: str, amount: Decimal) -> tuple[Transfer, ...]:
    """Time went by: what was billed ahead is earned."""
    return _move(Account("deferred", asset), Account("revenue", asset), amount)


def payment_received(
    *, asset: str, amount: Decimal, processor: str, to: Kind = "receivable", tax: Decimal = Decimal(0)
) -> tuple[Transfer, ...]:
    """Money arrived at the processor (`outside` for money taken by other means) and settles what is owed.

    `to` is `bad_debt` for an invoice that was written off, `revenue` for a payment that no invoice asked for; of such
    a payment `tax` is the part that is tax.
    """
    clearing = Account("clearing", asset, processor)
    return (*_move(clearing, Account(to, asset), amount - tax), *_move(clearing, Account("tax", asset), tax))


def payout_received(*, asset: str, amount: Decimal, processor: str) -> tuple[Transfer, ...]:
    """The processor paid out: its clearing account is even again for that amount."""
    return _move(Account("clearing", asset, "bank"), Account("clearing", asset, processor), amount)


def fee_taken(*, asset: str, amount: Decimal, processor: str) -> tuple[Transfer, ...]:
    """The processor keeps a fee of what it holds (negative: it gives one back)."""
    return _move(Account("fees", asset), Account("clearing", asset, processor), amount)


def payment_refunded(*, asset: str, amount: Decimal, processor: str) -> tuple[Transfer, ...]:
    """Money went back to the customer. A credit note, if there is one, explains it (see `credit_note`)."""
    return _move(Account("refunds", asset), Account("clearing", asset, processor), amount)


def refund_failed(*, asset: str, amount: Decimal, processor: str) -> tuple[Transfer, ...]:
    """The money of a refund came back from the bank."""
    return _move(Account("clearing", asset, processor), Account("refunds", asset), amount)


def credit_note(
    *,
    asset: str,
    net: Decimal,
    tax: Decimal = Decimal(0),
    to_receivable: Decimal = Decimal(0),
    to_balance: Decimal = Decimal(0),
    refunded: Decimal = Decimal(0),
    outside: Decimal = Decimal(0),
) -> tuple[Transfer, ...]:
    """Less was earned than the invoice said, and the customer gets the difference.

    It lowers an open invoice (`to_receivable`), goes to the customer balance, explains a refund, or was given
    back by other means (`outside`); the four add up to `net` plus `tax`.
    """
    assert add(to_receivable, to_balance, refunded, outside) == add(net, tax), "a credit note goes somewhere whole"
    ways = (
        (Account("receivable", asset), to_receivable),
        (Account("customer_balance", asset), to_balance),
        (Account("refunds", asset), refunded),
        (Account("clearing", asset, "outside"), outside),
    )
    transfers: list[Transfer] = []
    untaxed = net
    for account, amount in ways:
        earned = min(amount, untaxed)
        untaxed = subtract(untaxed, earned)
        transfers += _move(Account("revenue", asset), account, earned)
        transfers += _move(Account("tax", asset), account, subtract(amount, earned))
    return tuple(transfers)


def written_off(*, asset: str, amount: Decimal) -> tuple[Transfer, ...]:
    """What the customer owes is not expected any more."""
    return _move(Account("bad_debt", asset), Account("receivable", asset), amount)


def balance_adjusted(*, asset: str, amount: Decimal) -> tuple[Transfer, ...]:
    """The house gives to the customer balance (positive) or takes from it (negative)."""
    return _move(Account("promo_expense", asset), Account("customer_balance", asset), amount)


# Billing credits, which invoices use


def credit_granted(*, asset: str, amount: Decimal, funding: Funding, grant: str) -> tuple[Transfer, ...]:
    """Billing credits were given, or sold by other means."""
    return _move(_source(funding, asset), Account(_credit(funding), asset), amount, grant)


def credit_sold(*, asset: str, amount: Decimal, price: Decimal, grant: str) -> tuple[Transfer, ...]:
    """Billing credits were sold for money that arrived as revenue: it is earned when they are used. What they are
    worth beyond their price is a gift."""
    credit = Account("credit_paid", asset)
    paid = min(amount, price)
    return (
        *_move(Account("revenue", asset), credit, paid, grant),
        *_move(Account("promo_expense", asset), credit, amount - paid, grant),
    )


def credit_expired(*, asset: str, amount: Decimal, funding: Funding, grant: str) -> tuple[Transfer, ...]:
    """Billing credits lapsed unused: bought ones are breakage, given ones were no expense after all."""
    return _move(Account(_credit(funding), asset), _lapse(funding, asset), amount, grant)


def _credit(funding: Funding) -> Kind:
    return "credit_paid" if funding == "paid" else "credit_promotional"


def _source(funding: Funding, asset: str) -> Account:
    return Account("clearing", asset, "outside") if funding == "paid" else Account("promo_expense", asset)


def _lapse(funding: Funding, asset: str) -> Account:
    return Account("breakage", asset) if funding == "paid" else Account("promo_expense", asset)


# Wallets


def wallet_funded(
    *, asset: str, amount: Decimal, source: Account, funding: Funding, grant: str, debt: Decimal
) -> tuple[Transfer, ...]:
    """Value comes into a wallet from `source`: it repays the wallet's `debt` first, the rest is the grant."""
    repaid = min(amount, debt)
    return (
        *_move(source, Account("debt", asset), repaid, grant),
        *_move(source, Account(funding, asset), subtract(amount, repaid), grant),
    )


def topped_up(*, asset: str, amount: Decimal, processor: str, grant: str, debt: Decimal) -> tuple[Transfer, ...]:
    """The customer paid money into the wallet."""
    source = Account("clearing", asset, processor)
    return wallet_funded(asset=asset, amount=amount, source=source, funding="paid", grant=grant, debt=debt)


def units_paid(*, currency: str, price: Decimal, processor: str, asset: str) -> tuple[Transfer, ...]:
    """The customer paid `price` in money for a custom unit. The exchange accounts of both assets hold the sale: the
    wallet is funded from the unit's (see `wallet_funded`)."""
    return _move(Account("clearing", currency, processor), Account("exchange", currency, asset), price)


def units_bought(
    *, currency: str, price: Decimal, processor: str, asset: str, amount: Decimal, grant: str, debt: Decimal
) -> tuple[Transfer, ...]:
    """The customer paid `price` in money for `amount` of a custom unit."""
    source = Account("exchange", asset, currency)
    return (
        *units_paid(currency=currency, price=price, processor=processor, asset=asset),
        *wallet_funded(asset=asset, amount=amount, source=source, funding="paid", grant=grant, debt=debt),
    )


def promotion_granted(*, asset: str, amount: Decimal, grant: str) -> tuple[Transfer, ...]:
    """The house gives prepaid value. It does not repay debt: a gift is for use to come."""
    return _move(Account("promo_expense", asset), Account("promotional", asset), amount, grant)


def usage_debited(*, asset: str, slices: Sequence[Slice], shortage: Decimal) -> tuple[Transfer, ...]:
    """Usage was paid from grants, in burn order; what they could not cover is debt."""
    revenue = _account("revenue", asset)
    used = _from_slices(slices, asset, revenue)
    return (*used, *_move(_account("debt", asset), revenue, shortage)) if shortage else used


def value_returned(*, asset: str, slices: Sequence[Slice], debt: Decimal, source: Account) -> tuple[Transfer, ...]:
    """A debit is taken back: its debt is forgiven first, then its slices return, the last one first. For usage that did
    not happen the value comes from `revenue`."""
    return (*_move(source, Account("debt", asset), debt), *_to_slices(source, slices, asset))


def held(*, asset: str, slices: Sequence[Slice], shortage: Decimal) -> tuple[Transfer, ...]:
    """Value was set aside for a call that is about to run; `shortage` is the part lent from the overdraft."""
    aside = _account("held", asset)
    set_aside = _from_slices(slices, asset, aside)
    return (*set_aside, *_move(_account("lent", asset), aside, shortage)) if shortage else set_aside


def captured(*, asset: str, amount: Decimal, lent: Decimal = Decimal(0)) -> tuple[Transfer, ...]:
    """The call ran: `amount` of what was set aside is earned; what of it was `lent` is debt from now on."""
    return (
        *_move(_account("held", asset), _account("revenue", asset), amount),
        *_move(_account("debt", asset), _account("lent", asset), lent),
    )


def released(*, asset: str, slices: Sequence[Slice], shortage: Decimal) -> tuple[Transfer, ...]:
    """What a hold did not use returns where it came from, the overdraft first."""
    aside = _account("held", asset)
    return (*_move(aside, _account("lent", asset), shortage), *_to_slices(aside, slices, asset))


def expired(*, asset: str, slices: Sequence[Slice]) -> tuple[Transfer, ...]:
    """Prepaid value lapsed: bought value is breakage, given value was no expense after all."""
    return tuple(
        Transfer(Account(each.funding, asset), _lapse(each.funding, asset), each.amount, each.grant)
        for each in slices
        if each.amount
    )


def withdrawn(*, asset: str, slices: Sequence[Slice], shortage: Decimal, to: Account) -> tuple[Transfer, ...]:
    """The seller takes value out of a wallet by hand, to `to`: `promo_expense` for a correction, clearing for
    a refund made elsewhere; `shortage` becomes debt."""
    return (*_from_slices(slices, asset, to), *_move(Account("debt", asset), to, shortage))


def value_taken_back(*, asset: str, slices: Sequence[Slice], shortage: Decimal, to: Account) -> tuple[Transfer, ...]:
    """Bought value leaves a wallet because its money goes back: unspent value goes, what was spent becomes debt.

    `to` is what the money's own movement is booked against (`refunds`, `dispute`), `exchange` for a custom unit, or
    `clearing` where the money goes back by other means.
    """
    assert all(each.funding == "paid" for each in slices), "only bought value has money to go back"
    return (*_from_slices(slices, asset, to), *_move(Account("debt", asset), to, shortage))


def units_taken_back(*, currency: str, price: Decimal, asset: str, to: Kind) -> tuple[Transfer, ...]:
    """`price` is what the custom units that leave a wallet were bought for; negative when they return to it."""
    return _move(Account("exchange", currency, asset), Account(to, currency), price)


def debt_forgiven(*, asset: str, amount: Decimal) -> tuple[Transfer, ...]:
    """The house lets go of what the wallet owes."""
    return _move(Account("bad_debt", asset), Account("debt", asset), amount)


def payment_disputed(*, asset: str, amount: Decimal, processor: str) -> tuple[Transfer, ...]:
    """A bank took the money of an invoice's payment back, for now."""
    return _move(Account("dispute", asset), Account("clearing", asset, processor), amount)


def dispute_won(*, asset: str, amount: Decimal, processor: str) -> tuple[Transfer, ...]:
    """The bank gave the money back."""
    return _move(Account("clearing", asset, processor), Account("dispute", asset), amount)


# Residue


def rounded(*, asset: str, residue: Decimal) -> tuple[Transfer, ...]:
    """What rounding a price to the books' scale gave to the house (positive) or took from it (negative)."""
    return _move(Account("revenue", asset), Account("rounding", asset), residue)
