"""Billing credits: value granted ahead that pays metered lines when an invoice is finalized.

A grant pays lines that bill usage of a meter in its currency, never bought quantities or invoice items. It counts
for invoices whose period ends while it is in force. Amounts are integers in minor units, instants UTC.

Invariant: `remaining` is the sum of the grant's transactions, between zero and `value`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

from meterline.invoice.line import InvoiceLine, LineCredit
from meterline.refusal import Refusal

Category = Literal["paid", "promotional"]
Movement = Literal[
    "credits_granted", "credits_application_invoice_voided", "credits_applied", "credits_expired", "credits_voided"
]
"""Why a grant's balance moved; the first two add to it."""

CREDITS: frozenset[Movement] = frozenset({"credits_granted", "credits_application_invoice_voided"})

DEFAULT_PRIORITY = 50
MOST_UNUSED = 100
"""Grants of one customer with something left, at most."""
MOST_PRICES = 20
"""Prices that one grant can be limited to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditGrant:
    """Value given to a customer, bought or as a gift. `prices` limits it to those; null is any metered price.

    Lower `priority` goes first. `applied` says that an invoice has used it at some time.
    """

    environment: str
    customer_id: UUID
    id: str
    customer: str
    test_clock: str | None
    created: datetime
    updated: datetime
    currency: str
    value: int
    remaining: int
    category: Category
    priority: int
    effective_at: datetime
    expires_at: datetime | None = None
    voided_at: datetime | None = None
    applied: bool = False
    prices: tuple[str, ...] | None = None
    name: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def in_force(self, at: datetime) -> bool:
        """Whether it can be used at that instant."""
        begun = self.voided_at is None and self.effective_at <= at
        return begun and (self.expires_at is None or at < self.expires_at)

    def lapsed(self, at: datetime) -> bool:
        """Whether its time is over at that instant."""
        return self.expires_at is not None and self.expires_at <= at

    def pays(self, line: InvoiceLine) -> bool:
        """Whether the grant is for what this line bills."""
        metered = line.usage is not None and line.invoice_item is None
        return metered and line.currency == self.currency and (self.prices is None or line.price in self.prices)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditTransaction:
    """One movement of a grant's balance. `amount` is positive; `movement` says which way.

    `invoice` and `line` name what used the credit, or gave it back.
    """

    environment: str
    customer_id: UUID
    id: str
    customer: str
    test_clock: str | None
    grant: str
    movement: Movement
    amount: int
    currency: str
    created: datetime
    effective_at: datetime
    invoice: str | None = None
    line: str | None = None


@dataclass(frozen=True, slots=True)
class Use:
    """What one grant pays of one line: the place of the line on the invoice, and the amount."""

    place: int
    grant: str
    amount: int


BurnKey: TypeAlias = tuple[int, bool, datetime, bool, datetime, datetime]


def burn_key(grant: CreditGrant) -> BurnKey:
    """Which grant goes first: priority, soonest end, gifts, earliest effect, oldest."""
    endless = grant.expires_at is None
    end = grant.effective_at if grant.expires_at is None else grant.expires_at
    return (grant.priority, endless, end, grant.category == "paid", grant.effective_at, grant.created)


def uses(lines: Sequence[InvoiceLine], grants: Iterable[CreditGrant], *, period_end: datetime) -> tuple[Use, ...]:
    """What the grants pay of an invoice whose period ends then, line by line, in burn order.

    `lines` carry their discounts and no credits yet. Grants given in order of creation break ties by it.
    """
    usable = sorted((each for each in grants if each.in_force(period_end)), key=burn_key)
    left = {each.id: each.remaining for each in usable}
    found: list[Use] = []
    for place, line in enumerate(lines):
        assert not line.credits, "credits are reckoned from the discounted amount"
        owed = line.net_amount
        for grant in usable:
            amount = min(left[grant.id], owed) if grant.pays(line) else 0
            if amount > 0:
                left[grant.id] -= amount
                owed -= amount
                found.append(Use(place, grant.id, amount))
    return tuple(found)


def credited(
    lines: Sequence[InvoiceLine], used: Sequence[Use], transactions: Sequence[str | None]
) -> tuple[InvoiceLine, ...]:
    """The lines with what was used of credits, under the ids of the transactions (null while it is tentative)."""
    credits: dict[int, list[LineCredit]] = {}
    for each, transaction in zip(used, transactions, strict=True):
        credits.setdefault(each.place, []).append(LineCredit(transaction, each.amount))
    return tuple(
        replace(line, credits=tuple(credits.get(place, ()))) if place in credits or line.credits else line
        for place, line in enumerate(lines)
    )


def uncredited(lines: Sequence[InvoiceLine]) -> tuple[InvoiceLine, ...]:
    """The lines as they are before credits."""
    return tuple(replace(line, credits=()) if line.credits else line for line in lines)


def moved(grant: CreditGrant, movement: Movement, amount: int, *, now: datetime) -> CreditGrant:
    """The grant after a movement of its balance."""
    assert amount > 0
    after = grant.remaining + (amount if movement in CREDITS else -amount)
    assert 0 <= after <= grant.value, "a grant gives what it has, and gets back what it gave"
    return replace(grant, remaining=after, applied=grant.applied or movement == "credits_applied", updated=now)


def check_terms(grant: CreditGrant, *, now: datetime) -> None:
    """Refuses a grant that could never be used."""
    if grant.expires_at is None:
        return
    if grant.expires_at <= now:
        raise Refusal("The expiration date of the credit grant must be in the future.", param="expires_at")
    if grant.expires_at <= grant.effective_at:
        raise Refusal("`expires_at` must be after `effective_at`.", param="expires_at")


def require_living(grant: CreditGrant, *, now: datetime, act: str) -> None:
    """Refuses to touch what was voided or has expired."""
    if grant.voided_at is not None:
        raise Refusal(f"You cannot {act} a credit grant that has been voided.")
    if grant.lapsed(now):
        raise Refusal(f"You cannot {act} a credit grant that has expired.")


def require_unused(grant: CreditGrant) -> None:
    """Refuses to void what an invoice has used, even if it was given back."""
    if grant.applied:
        raise Refusal("You cannot void a credit grant that has been applied to an invoice. Expire it instead.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a customer has in one currency: in all (`ledger`), and usable now (`available`)."""

    currency: str
    available: int
    ledger: int


def standings(grants: Collection[CreditGrant], *, now: datetime) -> list[Standing]:
    """The balances of these grants, one per currency, in order of the currency's code."""
    return [
        Standing(
            currency=currency,
            available=sum(each.remaining for each in grants if each.currency == currency and each.in_force(now)),
            ledger=sum(each.remaining for each in grants if each.currency == currency),
        )
        for currency in sorted({each.currency for each in grants})
    ]
