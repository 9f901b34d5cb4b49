"""`/gate`: may this call run? Check without a promise, or hold the money before it runs."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from pydantic import Field, model_validator

from meterline.api.wallet import whose
from meterline.api.wallet.params import Asset, Id, NotNegative, Params, Positive, Text
from meterline.api.wallet.problem import overloaded, unavailable
from meterline.api.wallet.route import Call, Json, Routes, Staged, in_transaction
from meterline.api.wallet.whose import Whose
from meterline.limit.budget import BudgetExceeded
from meterline.refusal import Missing, Refusal
from meterline.store import wallet as store
from meterline.store.database import driver
from meterline.usecase import keep_budget
from meterline.usecase.estimate_fee import Counted, affordable, cost, counted, in_asset, payable
from meterline.usecase.gate_calls import GateCall
from meterline.usecase.group_commit import Overloaded, Stopped, Unavailable
from meterline.usecase.hold_funds import (
    DEFAULT_TTL,
    Estimate,
    authorize,
    capture,
    captured_as,
    extend,
    extended_as,
    release,
    released_as,
    told_hold,
)
from meterline.usecase.publish_offer import event_name
from meterline.usecase.tell_refusal import tell_refusal
from meterline.usecase.work_wallet import Answer, OpenWallet, Refused, told, work_on
from meterline.wallet.hold import LONGEST

routes = Routes("gate")

Ttl = Annotated[int, Field(ge=1, le=int(LONGEST.total_seconds()))]


class About(Params):
    """Who, and what the call is: an amount of an asset, or usage of an event type."""

    customer_id: Id | None = None
    customer_external_id: Id | None = None
    asset: Asset | None = None
    amount: Positive | None = None
    event_type: Text | None = None
    volume_field: Text | None = None
    quantity: Positive = Decimal(1)
    dimensions: dict[str, str] = {}
    marks: Annotated[list[Text], Field(max_length=20)] = []
    subject: Text | None = None

    @model_validator(mode="after")
    def _either(self) -> "About":
        if (self.event_type is None) == (self.amount is None):
            raise ValueError("either event_type, or asset and amount, are required")
        if self.amount is not None and self.asset is None:
            raise ValueError("asset is required with amount")
        return self


class Authorize(About):
    id: Id
    ttl_s: Ttl = int(DEFAULT_TTL.total_seconds())
    policy: Literal["reject", "take_available", "overdraft"] = "reject"
    retryable: bool = False


class OfHold(Params):
    customer_id: Id | None = None
    customer_external_id: Id | None = None
    id: Id


class Capture(OfHold):
    capture_id: Id | None = None
    amount: NotNegative | None = None
    event_type: Text | None = None
    volume_field: Text | None = None
    quantity: NotNegative | None = None
    dimensions: dict[str, str] = {}
    final: bool = True

    @model_validator(mode="after")
    def _complete(self) -> "Capture":
        if (self.amount is None) == (self.quantity is None):
            raise ValueError("either amount or quantity is required")
        if self.quantity is not None and self.event_type is None:
            raise ValueError("event_type is required with quantity")
        if not self.final and self.capture_id is None:
            raise ValueError("capture_id is required unless the capture is final")
        return self


class Extend(OfHold):
    extension_id: Id
    amount: NotNegative = Decimal(0)
    ttl_s: Ttl | None = None


async def _whose(call: Call[Any]) -> Whose:
    asked = call.params
    return await whose.named(
        call.tx,
        environment=call.environment,
        id=asked.customer_id,
        external=asked.customer_external_id,
        now=call.now,
    )


async def _estimate(work: OpenWallet, asked: About) -> tuple[Estimate, list[Counted]]:
    """What the call costs at most, and the prices of its usage; none for an amount."""
    if asked.amount is not None:
        assert asked.asset is not None
        return (
            Estimate(asset=asked.asset, amount=asked.amount, marks=tuple(asked.marks), subject=asked.subject),
            [],
        )
    assert asked.event_type is not None
    ways = await counted(
        work, event_type=asked.event_type, volume_field=asked.volume_field, dimensions=asked.dimensions
    )
    said = (asked.event_type, *asked.marks, *asked.dimensions.values())

    def marked(way: list[Counted]) -> tuple[str, ...]:
        return (*said, *(mark for each in way for mark in (each.tariff.price, each.tariff.product)))

    def has(way: list[Counted]) -> Decimal:
        return work.pocket(way[0].tariff.asset).spendable(work.now, marked(way))

    priced = ways[payable(ways, asked.quantity, has)]
    estimate = Estimate(
        asset=priced[0].tariff.asset,
        amount=cost(priced, asked.quantity),
        marks=marked(priced),
        subject=asked.subject,
        quantities={event_name(asked.event_type, asked.volume_field): asked.quantity},
    )
    return estimate, priced


@routes.post("/gate/check", About)
async def check(call: Call[About]) -> Json:
    """Whether the call would be allowed now, which rule refuses it, and what could be afforded. Promises nothing."""
    found = await _whose(call)
    work = await work_on(
        call.tx,
        environment=call.environment,
        customer_id=found.customer.customer_id,
        now=found.now,
        active=False,
    )
    try:
        estimate, priced = await _estimate(work, call.params)
    except Refusal as refusal:
        return {"allowed": False, "rule": refusal.code, "detail": refusal.message}
    pocket = work.pocket(estimate.asset)
    spendable = pocket.spendable(found.now, estimate.marks)
    value, usage = await keep_budget.room(work, estimate.ask)
    within = spendable if value is None else min(spendable, value)
    most = affordable(priced, within) if priced else None
    answer: Json = {
        "allowed": True,
        "rule": None,
        "asset": estimate.asset,
        "estimate": told(estimate.amount),
        "available": told(pocket.available(found.now)),
        "spendable": told(spendable),
        "affordable": told(within),
        "affordable_quantity": most if most is None or usage is None else min(most, int(usage)),
    }
    if work.wallet.status != "active":
        return answer | {"allowed": False, "rule": f"wallet_{work.wallet.status}"}
    try:
        await keep_budget.reserve(work, estimate.ask)
    except BudgetExceeded as refusal:
        return answer | {"allowed": False, "rule": refusal.code, "detail": refusal.message, **refusal.members}
    if estimate.amount > spendable:
        return answer | {"allowed": False, "rule": "insufficient_funds", "detail": "The balance does not cover it."}
    return answer


P_asked = TypeVar("P_asked", Authorize, Capture, Extend, OfHold)


async def _customer_id(staged: Staged[P_asked]) -> UUID:
    """The customer that a call names; one that is remembered is not looked up, only found gone under the lock."""
    id = staged.params.customer_id
    if id is not None:
        _, remembered = staged.ingest.directory.remembered(staged.environment)
        known = remembered.get(id)
        if known is None:
            known = (await staged.ingest.directory.customers(staged.environment, {id})).get(id)
        if known is not None:
            return known.customer_id
    async with staged.database.begin() as tx:
        return (await _whose(in_transaction(tx, staged))).customer.customer_id


async def _ask(
    staged: Staged[P_asked],
    *,
    operation: str,
    act: Callable[[OpenWallet], Awaitable[Answer | Refused]],
    hold: str | None = None,
) -> Answer | Refusal:
    """Have a call decided, with whatever other calls come at the same time."""
    call = GateCall(
        environment=staged.environment,
        customer_id=await _customer_id(staged),
        customer=staged.params.customer_id or staged.params.customer_external_id or "",
        operation=operation,
        hold=hold,
        now=staged.now,
        act=act,
    )
    try:
        return await staged.gatekeeper.ask(call)
    except Overloaded as full:
        raise overloaded(full.retry_after) from None
    except (Unavailable, Stopped):
        raise unavailable() from None


async def _telling(work: OpenWallet, id: str, asked: Awaitable[Answer | Refused]) -> Answer | Refused:
    """Tell what a budget refuses, once per id, whether the refusal is kept or the id may be tried again."""
    try:
        answer = await asked
    except BudgetExceeded as refusal:
        await _tell(work, id, refusal.message, refusal.members)
        raise
    if isinstance(answer, Refused) and answer.rule == "budget_exceeded":
        await _tell(work, id, answer.message, answer.members)
    return answer


async def _tell(work: OpenWallet, id: str, message: str, members: Mapping[str, str | None]) -> None:
    await tell_refusal(
        work.connection,
        environment=work.environment,
        customer_id=work.customer_id,
        id=id,
        message=message,
        members=members,
        now=work.now,
    )


@routes.post("/gate/authorize", Authorize, status=201, staged=True)
async def authorize_call(staged: Staged[Authorize]) -> Answer | Refusal:
    """Hold the money for a call under the caller's id: 201 and the hold, or 402 naming the rule that refused."""
    asked = staged.params

    async def act(work: OpenWallet) -> Answer | Refused:
        async def estimate() -> Estimate:
            wanted, _ = await _estimate(work, asked)
            if wanted.amount == 0:
                raise Refusal("The call costs nothing; there is nothing to hold.", code="nothing_to_hold")
            return wanted

        doing = authorize(
            work,
            id=asked.id,
            said=_said(asked),
            estimate=estimate,
            ttl=timedelta(seconds=asked.ttl_s),
            policy=asked.policy,
            retryable=asked.retryable,
        )
        return await _telling(work, asked.id, doing)

    return await _ask(staged, operation=asked.id, act=act)


def _said(asked: Params) -> Json:
    """What the caller asked for, whoever's spelling of the customer and of the numbers it came in."""
    return {name: value for name, value in asked if value is not None and name not in _NAMING}


_NAMING = frozenset({"customer_id", "customer_external_id"})


@routes.post("/gate/capture", Capture, staged=True)
async def capture_call(staged: Staged[Capture]) -> Answer | Refusal:
    """Take what the call cost: an amount, or usage at the price of now. The final capture gives the rest back."""
    asked = staged.params

    async def act(work: OpenWallet) -> Answer | Refused:
        async def amount() -> Decimal:
            if asked.amount is not None:
                return asked.amount
            assert asked.quantity is not None and asked.event_type is not None
            ways = await counted(
                work, event_type=asked.event_type, volume_field=asked.volume_field, dimensions=asked.dimensions
            )
            held = await work.hold(asked.id)
            return cost(in_asset(ways, None if held is None else held.asset), asked.quantity)

        used = None
        if asked.quantity is not None and asked.event_type is not None:
            used = {event_name(asked.event_type, asked.volume_field): asked.quantity}
        return await capture(
            work,
            id=asked.id,
            capture_id=asked.capture_id,
            said=_said(asked),
            amount=amount,
            final=asked.final,
            quantities=used,
        )

    return await _ask(staged, operation=captured_as(asked.id, asked.capture_id), hold=asked.id, act=act)


@routes.post("/gate/extend", Extend, staged=True)
async def extend_hold(staged: Staged[Extend]) -> Answer | Refusal:
    """Set more aside for a call that goes on, and let the hold live longer."""
    asked = staged.params

    async def act(work: OpenWallet) -> Answer | Refused:
        doing = extend(
            work,
            id=asked.id,
            extension_id=asked.extension_id,
            amount=asked.amount,
            ttl=None if asked.ttl_s is None else timedelta(seconds=asked.ttl_s),
        )
        return await _telling(work, f"{asked.id}/{asked.extension_id}", doing)

    return await _ask(staged, operation=extended_as(asked.id, asked.extension_id), hold=asked.id, act=act)


@routes.post("/gate/release", OfHold, staged=True)
async def release_hold(staged: Staged[OfHold]) -> Answer | Refusal:
    """The call will not run: give everything back."""

    async def act(work: OpenWallet) -> Answer | Refused:
        return await release(work, id=staged.params.id)

    return await _ask(staged, operation=released_as(staged.params.id), hold=staged.params.id, act=act)


@routes.get("/customers/{customer}/holds/{hold}", Params)
async def retrieve(call: Call[Params]) -> Json:
    """A hold as it stands."""
    found = await whose.in_path(call)
    hold = await store.hold(await driver(call.tx), found.customer.customer_id, call.path["hold"])
    if hold is None:
        raise Missing("hold", call.path["hold"], subject=True)
    return told_hold(hold)


@routes.get("/customers/{customer}/holds", Params)
async def listed(call: Call[Params]) -> Json:
    """The holds that are open."""
    found = await whose.in_path(call)
    holds = await store.open_holds(await driver(call.tx), found.customer.customer_id)
    return {"items": [told_hold(each) for each in holds]}
