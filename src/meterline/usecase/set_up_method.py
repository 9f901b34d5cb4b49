"""Save a card for later through a setup intent, step by step."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.gateway.processor import Collection
from meterline.payment.method import PaymentMethod
from meterline.payment.payment import ActionNeeded, Refused
from meterline.payment.setup import Setup, require
from meterline.refusal import Declined, Missing, Refusal
from meterline.store import customer as customers
from meterline.store import notice
from meterline.store import setup_intent as store
from meterline.usecase.ask_processor import PROCESSORS
from meterline.usecase.attach_payment_method import attach_payment_method, usable_method


@dataclass(frozen=True, slots=True, kw_only=True)
class SetUp:
    """The setup intent after a step, and why the card was refused, if it was."""

    setup: Setup
    refused: Refused | None = None


async def request_setup(tx: AsyncConnection, new: Setup, *, now: datetime) -> Setup:
    """Store a new setup intent and tell it. Raises Missing for an unknown method."""
    if new.payment_method is not None:
        method = await _method(tx, new, new.payment_method, now=now)
        new = replace(new, payment_method=method.id, status="requires_confirmation")
    await store.add(tx, new)
    await _tell(tx, "setup_intent.created", new, now=now)
    return new


async def change_setup(tx: AsyncConnection, seen: Setup, changes: Mapping[str, object], *, now: datetime) -> Setup:
    """The setup intent with `changes`, fields of `Setup` by name, before it has ended."""
    before = await store.lock(tx, customer_id=seen.customer_id, id=seen.id)
    if changes.keys() - {"metadata", "description"}:
        require(before, "updated")
    after = replace(before, **changes)  # type: ignore[arg-type]
    if isinstance(method := changes.get("payment_method"), str):
        found = await _method(tx, after, method, now=now)
        after = replace(after, payment_method=found.id, status="requires_confirmation")
    await store.save(tx, after)
    return after


async def confirm_setup(
    tx: AsyncConnection, seen: Setup, *, method: str | None, now: datetime, authenticated: bool = False
) -> SetUp:
    """Check the card and leave it with the customer. A refusal of the card is recorded, not raised."""
    if seen.customer is not None:
        await customers.lock(tx, seen.customer_id)
    setup = await store.lock(tx, customer_id=seen.customer_id, id=seen.id)
    require(setup, "confirmed")
    wanted = method or setup.payment_method
    if wanted is None:
        raise Refusal(
            "You cannot confirm this SetupIntent because it's missing a payment method.",
            code="setup_intent_unexpected_state",
        )
    found = await _method(tx, setup, wanted, now=now)
    if not authenticated and _needs_holder(found):
        waiting = replace(
            setup, status="requires_action", payment_method=found.id, last_refusal=None, refused_method=None
        )
        await _became(tx, waiting, "setup_intent.requires_action", now=now)
        return SetUp(setup=waiting)
    processor = PROCESSORS[found.processor]
    refused = None if processor.networked else processor.verify(found.reference)
    if refused is not None:
        return SetUp(setup=await _failed(tx, setup, refused, found, now=now), refused=refused)
    if setup.customer is not None and found.customer is None:
        owner = await customers.lock(tx, setup.customer_id)
        try:
            found = await attach_payment_method(tx, customer=owner, id=found.id, now=now)
        except Declined as declined:
            raise Refusal(declined.message, code=declined.code) from declined
    done = replace(setup, status="succeeded", payment_method=found.id, last_refusal=None, refused_method=None)
    await _became(tx, done, "setup_intent.succeeded", now=now)
    return SetUp(setup=done)


async def fail_setup(tx: AsyncConnection, seen: Setup, *, now: datetime) -> Setup:
    """The card's holder did not confirm."""
    setup = await store.lock(tx, customer_id=seen.customer_id, id=seen.id)
    require(setup, "refused by its card's holder")
    refused = Refused(
        code="setup_intent_authentication_failure",
        message="The provided PaymentMethod has failed authentication. Provide another payment method.",
    )
    asked = await _method(tx, setup, setup.payment_method, now=now) if setup.payment_method is not None else None
    return await _failed(tx, setup, refused, asked, now=now)


async def cancel_setup(tx: AsyncConnection, seen: Setup, *, reason: object, now: datetime) -> Setup:
    """Call a setup intent off."""
    setup = await store.lock(tx, customer_id=seen.customer_id, id=seen.id)
    require(setup, "canceled")
    off = replace(setup, status="canceled", cancellation_reason=reason)  # type: ignore[arg-type]
    await _became(tx, off, "setup_intent.canceled", now=now)
    return off


def _needs_holder(method: PaymentMethod) -> bool:
    """Whether the processor would ask the card's holder; tried with no money and a key that is never used again."""
    question = Collection(
        key=f"{method.id}-setup", reference=method.reference, amount=0, currency="usd", off_session=False, capture=False
    )
    processor = PROCESSORS[method.processor]
    return not processor.networked and isinstance(processor.collect(question), ActionNeeded)


async def _failed(
    tx: AsyncConnection, setup: Setup, refused: Refused, asked: PaymentMethod | None, *, now: datetime
) -> Setup:
    failed = replace(
        setup, status="requires_payment_method", payment_method=None, last_refusal=refused, refused_method=asked
    )
    await _became(tx, failed, "setup_intent.setup_failed", now=now)
    return failed


async def _method(tx: AsyncConnection, setup: Setup, id: str, *, now: datetime) -> PaymentMethod:
    method = await usable_method(tx, setup.environment, id, now=now)
    if method is None:
        raise Missing("PaymentMethod", id, param="payment_method")
    if method.customer is not None and method.customer != setup.customer:
        raise Refusal(
            "The payment method supplied belongs to a different customer than the SetupIntent.", param="payment_method"
        )
    return method


async def _became(tx: AsyncConnection, after: Setup, type: str, *, now: datetime) -> None:
    await store.save(tx, after)
    await _tell(tx, type, after, now=now)


async def _tell(tx: AsyncConnection, type: str, setup: Setup, *, now: datetime) -> None:
    await notice.add(
        tx, environment=setup.environment, customer_id=setup.customer_id, type=type, subject=setup, now=now
    )
