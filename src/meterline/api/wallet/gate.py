"""`/gate`: may this call run? Check without a promise, or hold the money before it runs."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from meterline.api.wallet import whose
from meterline.api.wallet.gate_params import (
    About,
    Authorize,
    Capture,
    Extend,
    OfHold,
    QuickAuthorize,
    QuickCapture,
    QuickExtend,
    QuickOfHold,
)
from meterline.api.wallet.params import Params
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

routes = Routes("gate")


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


class Asks(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A call to be decided: whose wallet it is about, the ids that it names, and what it does."""

    customer_id: str | None
    customer_external_id: str | None
    operation: str
    hold: str | None = None
    act: Callable[[OpenWallet], Awaitable[Answer | Refused]]


async def _ask(staged: Staged[Any], asks: Asks) -> Answer | Refusal:
    """Have a call decided, with whatever other calls come at the same time."""
    try:
        return await staged.gatekeeper.ask(gate_call(asks, staged.environment, await _owner(staged, asks), staged.now))
    except Overloaded as full:
        raise overloaded(full.retry_after) from None
    except (Unavailable, Stopped):
        raise unavailable() from None


async def _owner(staged: Staged[Any], asks: Asks) -> UUID:
    """The customer that a call names; one that is remembered is not looked up, only found gone under the lock."""
    id = asks.customer_id
    if id is not None:
        known = (await staged.ingest.directory.customers(staged.environment, {id})).get(id)
        if known is not None:
            return known.customer_id
    async with staged.database.begin() as tx:
        return (await _whose(in_transaction(tx, staged))).customer.customer_id


def gate_call(asks: Asks, environment: str, customer_id: UUID, now: datetime) -> GateCall:
    """The call as it is queued. `now` is the wall clock, UTC."""
    return GateCall(
        environment=environment,
        customer_id=customer_id,
        customer=asks.customer_id or asks.customer_external_id or "",
        operation=asks.operation,
        hold=asks.hold,
        now=now,
        act=asks.act,
    )


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

    async def estimate(work: OpenWallet) -> Estimate:
        wanted, _ = await _estimate(work, asked)
        if wanted.amount == 0:
            raise Refusal("The call costs nothing; there is nothing to hold.", code="nothing_to_hold")
        return wanted

    return await _ask(staged, authorizing(asked, said=said_in_full(asked), estimate=estimate))


def authorizing(
    asked: Authorize | QuickAuthorize, *, said: Json, estimate: Callable[[OpenWallet], Awaitable[Estimate]]
) -> Asks:
    """The call that holds what is estimated. `said` is what the caller asked for."""

    async def act(work: OpenWallet) -> Answer | Refused:
        doing = authorize(
            work,
            id=asked.id,
            said=said,
            estimate=estimate,
            ttl=timedelta(seconds=asked.ttl_s),
            policy=asked.policy,
            retryable=asked.retryable,
        )
        return await (_telling(work, asked.id, doing) if work.budgeted else doing)

    return Asks(
        customer_id=asked.customer_id,
        customer_external_id=asked.customer_external_id,
        operation=asked.id,
        act=act,
    )


def said_in_full(asked: Params) -> Json:
    """What the caller asked for, whoever's spelling of the customer and of the numbers it came in."""
    return {name: value for name, value in asked if value is not None and name not in NAMING}


NAMING = frozenset({"customer_id", "customer_external_id"})
"""How a call names the customer, of which there are several ways."""


@routes.post("/gate/capture", Capture, staged=True)
async def capture_call(staged: Staged[Capture]) -> Answer | Refusal:
    """Take what the call cost: an amount, or usage at the price of now. The final capture gives the rest back."""
    asked = staged.params

    async def amount(work: OpenWallet) -> Decimal:
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
    return await _ask(staged, capturing(asked, said=said_in_full(asked), amount=amount, quantities=used))


def capturing(
    asked: Capture | QuickCapture,
    *,
    said: Json,
    amount: Callable[[OpenWallet], Awaitable[Decimal]],
    quantities: Mapping[str, Decimal] | None = None,
) -> Asks:
    """The call that captures an amount. `said` is what the caller asked for, `quantities` what was used."""

    async def act(work: OpenWallet) -> Answer | Refused:
        return await capture(
            work,
            id=asked.id,
            capture_id=asked.capture_id,
            said=said,
            amount=amount,
            final=asked.final,
            quantities=quantities,
        )

    return Asks(
        customer_id=asked.customer_id,
        customer_external_id=asked.customer_external_id,
        operation=captured_as(asked.id, asked.capture_id),
        hold=asked.id,
        act=act,
    )


@routes.post("/gate/extend", Extend, staged=True)
async def extend_hold(staged: Staged[Extend]) -> Answer | Refusal:
    """Set more aside for a call that goes on, and let the hold live longer."""
    return await _ask(staged, extending(staged.params, amount=staged.params.amount))


def extending(asked: Extend | QuickExtend, *, amount: Decimal) -> Asks:
    """The call that sets more aside under a hold."""

    async def act(work: OpenWallet) -> Answer | Refused:
        doing = extend(
            work,
            id=asked.id,
            extension_id=asked.extension_id,
            amount=amount,
            ttl=None if asked.ttl_s is None else timedelta(seconds=asked.ttl_s),
        )
        return await (_telling(work, f"{asked.id}/{asked.extension_id}", doing) if work.budgeted else doing)

    return Asks(
        customer_id=asked.customer_id,
        customer_external_id=asked.customer_external_id,
        operation=extended_as(asked.id, asked.extension_id),
        hold=asked.id,
        act=act,
    )


@routes.post("/gate/release", OfHold, staged=True)
async def release_hold(staged: Staged[OfHold]) -> Answer | Refusal:
    """The call will not run: give everything back."""
    return await _ask(staged, releasing(staged.params))


def releasing(asked: OfHold | QuickOfHold) -> Asks:
    """The call that gives a hold back."""

    async def act(work: OpenWallet) -> Answer | Refused:
        return await release(work, id=asked.id)

    return Asks(
        customer_id=asked.customer_id,
        customer_external_id=asked.customer_external_id,
        operation=released_as(asked.id),
        hold=asked.id,
        act=act,
    )


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
