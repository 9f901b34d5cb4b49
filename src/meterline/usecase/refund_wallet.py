"""Give back the money of bought value that was not used: one call, and each payment's own refund at its processor.

The value leaves the wallet and the amounts are set aside on the charges in one transaction; the processors are asked
then, each refund by itself. One that fails gives its value back to the wallet and leaves the others as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.ledger.posting import Slice
from meterline.ledger.transaction import Cause
from meterline.money import to_minor
from meterline.payment.payment import Attempt
from meterline.payment.refund import Refund
from meterline.refusal import Refusal
from meterline.store import payment as payments
from meterline.store import refund as refunds
from meterline.store import top_up as top_ups
from meterline.store import wallet
from meterline.store.database import driver
from meterline.store.top_up import TopUp
from meterline.usecase.move_funds import receipt
from meterline.usecase.refund_payment import refund_payment
from meterline.usecase.work_wallet import Answer, Refused, Work, once, told, work_on
from meterline.wallet.pocket import Pocket, newest_paid, refund, refundable
from meterline.wallet.taken import money_for

OUTSIDE = "outside"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Where a grant came from: the top-up that bought it, and the charge that paid for it."""

    top_up: TopUp
    charge: Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A part of a refund: what leaves which grant, and the money (minor units) that a charge gives back for it."""

    slice: Slice
    money: int = 0
    source: _Source | None = None


async def refund_wallet(
    tx: AsyncConnection,
    *,
    environment: str,
    customer_id: UUID,
    id: str,
    asset: str,
    amount: Decimal | None,
    now: datetime,
) -> Answer | Refused:
    """Give back `amount` of bought value (all that can be where None), the newest first, under the caller's id.

    What top-ups bought goes back at their processors; what was bought by other means is booked as returned so.
    """
    sources = await _sources(tx, environment, customer_id, asset)
    work = await work_on(tx, environment=environment, customer_id=customer_id, now=now, active=False)

    async def act() -> Answer:
        before = work.pocket(asset)
        wanted = refundable(before) if amount is None else amount
        parts = _parts(newest_paid(before, wanted), sources, whole=amount is None)
        if not parts:
            raise Refusal("Nothing in the wallet can be refunded.", code="nothing_refundable")
        return await _refunded(work, id, before, parts)

    said = {"asset": asset, "amount": None if amount is None else told(amount)}
    return await once(work, id=id, kind="refund", said=said, act=act)


async def _sources(tx: AsyncConnection, environment: str, customer_id: UUID, asset: str) -> dict[str, _Source]:
    """The top-ups behind the wallet's grants by the grants' ids, their charges locked in one order."""
    connection = await driver(tx)
    grants = await wallet.grants(connection, customer_id, asset=asset)
    bought = await top_ups.find_all(tx, environment, [each.source for each in grants if each.source and each.free])
    paid = await payments.find(tx, environment, [each.payment for each in bought.values()])
    found: dict[str, _Source] = {}
    for top_up in sorted(bought.values(), key=lambda each: paid[each.payment].latest_charge or ""):
        charge = paid[top_up.payment].latest_charge
        if charge is not None:
            locked = await payments.lock_attempt(tx, customer_id=customer_id, id=charge)
            found[top_up.id] = _Source(top_up=top_up, charge=locked)
    return found


def _parts(slices: Sequence[Slice], sources: Mapping[str, _Source], *, whole: bool) -> list[_Part]:
    """What each slice comes to in money. Fractions of a minor unit stay in the wallet where all is asked for."""
    parts: list[_Part] = []
    for each in slices:
        source = sources.get(each.grant)
        if source is None:
            parts.append(_Part(slice=each))
            continue
        part = _part(each, source, whole=whole)
        if part is not None:
            parts.append(part)
    return parts


def _part(each: Slice, source: _Source, *, whole: bool) -> _Part | None:
    bought, charge = source.top_up, source.charge
    if charge.disputed:
        if whole:
            return None
        raise Refusal("The bank disputes the payment of what would be refunded.", code="charge_disputed")
    if bought.asset == bought.currency.upper():
        exact = to_minor(each.amount, bought.currency)
        money, rest = int(exact), exact - int(exact)
        if rest and not whole:
            raise Refusal("A refund is of whole minor units of its currency.", code="amount_invalid", param="amount")
        whole_part = each.amount - each.amount * rest / exact
        each = Slice(each.grant, each.funding, whole_part) if rest else each
    else:
        money = money_for(each.amount, price=bought.price, amount=bought.amount)
    money = min(money, charge.refundable)
    return _Part(slice=each, money=money, source=source) if money else None


async def _refunded(work: Work, id: str, before: Pocket, parts: Sequence[_Part]) -> Answer:
    by_hand = tuple(part.slice for part in parts if part.source is None)
    booked = None
    if by_hand:
        pocket, transfers = refund(before, by_hand, processor=OUTSIDE)
        booked = await work.book(cause=Cause("wallet_refund", id), transfers=transfers, pocket=pocket)
    made = [
        await refund_payment(
            work.tx,
            charge=part.source.charge,
            amount=part.money,
            reason="requested_by_customer",
            metadata={"wallet_refund": id},
            value=part.slice.amount,
            now=work.now,
        )
        for part in parts
        if part.source is not None
    ]
    after = await work_on(
        work.tx, environment=work.environment, customer_id=work.customer_id, now=work.now, active=False
    )
    total = sum((part.slice.amount for part in parts), Decimal(0))
    return receipt(after, id, "refund", -total, before, booked) | {
        "outside": told(sum((each.amount for each in by_hand), Decimal(0))),
        **told_refunds(made),
    }


def told_refunds(made: Sequence[Refund]) -> Answer:
    """The refunds of one call, newest value first, and how they stand together."""
    states = {each.status for each in made}
    status = "pending" if "pending" in states else "succeeded" if states <= {"succeeded"} else "failed"
    return {
        "status": "partly_failed" if status == "failed" and "succeeded" in states else status,
        "refunds": [
            {
                "id": each.id,
                "charge": each.charge,
                "payment_intent": each.payment,
                "amount": each.amount,
                "currency": each.currency,
                "value": None if each.taken is None else told(each.taken.value),
                "status": each.status,
                "failure_reason": each.failure_reason,
            }
            for each in made
        ],
    }


async def refreshed(tx: AsyncConnection, environment: str, answer: Answer) -> Answer:
    """The answer that was given to a refund, with its refunds as they stand now."""
    ids = [each["id"] for each in answer.get("refunds", ())]
    found = await refunds.find(tx, environment, ids)
    return {**answer, **told_refunds([found[id] for id in ids])}
