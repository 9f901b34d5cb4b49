"""What a wallet loses when a top-up's money goes back, by a refund or to a bank, and gets again if it does not."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Literal, TypeAlias
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.ledger import posting
from meterline.ledger.account import Account
from meterline.ledger.posting import Slice
from meterline.ledger.transaction import Cause, Transfer
from meterline.money import subtract, to_major
from meterline.payment.dispute import Dispute
from meterline.payment.refund import Refund
from meterline.store import payment as payments
from meterline.store import top_up as top_ups
from meterline.usecase.work_wallet import work_on
from meterline.wallet.pocket import lapse, take_back, undo
from meterline.wallet.taken import Taken, value_of

Reason: TypeAlias = Literal["refund", "dispute"]

_HOUSE: dict[Reason, Literal["refunds", "dispute"]] = {"refund": "refunds", "dispute": "dispute"}
"""What the movement of the money is booked against; the value that leaves explains it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoingBack:
    """Money (minor units) of a payment that goes back because of the refund or dispute `id`; `before` went already."""

    environment: str
    customer_id: UUID
    payment: str
    reason: Reason
    id: str
    money: int
    currency: str
    before: int = 0


def going_back(what: Refund | Dispute, *, before: int = 0) -> GoingBack:
    """What goes back by a refund or a dispute."""
    return GoingBack(
        environment=what.environment,
        customer_id=what.customer_id,
        payment=what.payment,
        reason="refund" if isinstance(what, Refund) else "dispute",
        id=what.id,
        money=what.amount,
        currency=what.currency,
        before=before,
    )


async def take_back_value(
    tx: AsyncConnection, back: GoingBack, *, value: Decimal | None = None, now: datetime
) -> Taken | None:
    """Take what the money had bought out of the wallet (`value`, where the caller knows it); None for no top-up."""
    payment = (await payments.find(tx, back.environment, [back.payment]))[back.payment]
    if payment.top_up is None:
        return None
    bought = await top_ups.find(tx, back.environment, payment.top_up)
    # A bank may ask for more than is left of a top-up; the wallet loses what that bought, the rest is the house's.
    back = replace(back, money=min(back.money, bought.price - back.before))
    if back.money <= 0:
        return None
    if value is None:
        value = value_of(back.money, before=back.before, price=bought.price, amount=bought.amount)
    work = await work_on(tx, environment=back.environment, customer_id=back.customer_id, now=now, active=False)
    pocket, debit = take_back(work.pocket(bought.asset), bought.id, value, to=_against(back, bought.asset))
    transfers = (*_exchanged(back, bought.asset, sign=1), *debit.transfers)
    await work.book(cause=Cause(f"{back.reason}.value", back.id), transfers=transfers, pocket=pocket)
    left = subtract(value, debit.shortage)
    return Taken(asset=bought.asset, grant=bought.id, amount=left, debt=debit.shortage, money=back.money)


async def give_back_value(tx: AsyncConnection, back: GoingBack, taken: Taken, *, now: datetime) -> None:
    """The money did not go back after all, or came again: so does the value. It repays what it became debt for; what
    returns to a grant whose time is over lapses."""
    work = await work_on(tx, environment=back.environment, customer_id=back.customer_id, now=now, active=False)
    before = await work.recall(taken.asset, taken.grant)
    owed = min(taken.debt, before.debt)
    free = subtract(taken.value, owed)
    slices = (Slice(taken.grant, "paid", free),) if free else ()
    undone = undo(before, slices, owed, at=now, source=_against(back, taken.asset))
    after, transfers = undone.pocket, undone.transfers
    entry = _exchanged(replace(back, money=taken.money), taken.asset, sign=-1)
    if any(each.id == taken.grant and each.over(now) for each in after.grants):
        after, lapsed = lapse(after, taken.grant)
        transfers = (*transfers, *lapsed)
    await work.book(cause=Cause(f"{back.reason}.value_back", back.id), transfers=(*entry, *transfers), pocket=after)


def _against(back: GoingBack, asset: str) -> Account:
    currency = back.currency.upper()
    if asset == currency:
        return Account(_HOUSE[back.reason], currency)
    return Account("exchange", asset, currency)


def _exchanged(back: GoingBack, asset: str, *, sign: Literal[1, -1]) -> tuple[Transfer, ...]:
    """The money's side of a custom unit that leaves a wallet, or returns."""
    currency = back.currency.upper()
    if asset == currency:
        return ()
    price = sign * to_major(back.money, back.currency)
    return posting.units_taken_back(currency=currency, price=price, asset=asset, to=_HOUSE[back.reason])
