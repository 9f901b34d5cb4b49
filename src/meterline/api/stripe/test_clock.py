"""`/v1/test_helpers/test_clocks`."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.expand import fetcher
from meterline.api.stripe.json import Json, unix
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import Instant, ListParams, Params, RetrieveParams, Text
from meterline.api.stripe.route import Routes
from meterline.api.stripe.snapshot import snapshots
from meterline.refusal import Missing, Refusal
from meterline.store import clock as store
from meterline.store.row import load
from meterline.subscription.clock import TestClock
from meterline.usecase.advance_test_clock import advance_test_clock
from meterline.usecase.create_test_clock import create_test_clock
from meterline.usecase.delete_test_clock import delete_test_clock

routes = Routes("test_clocks")


class ClockCreate(Params):
    frozen_time: Instant
    customer: Text | None = None
    name: Annotated[Text, Field(max_length=300)] | None = None


class ClockAdvance(Params):
    frozen_time: Instant


def render(clock: TestClock) -> Json:
    """The test clock object."""
    details: Json = {}
    if clock.status == "advancing" and clock.target_frozen_time is not None:
        details["advancing"] = {"target_frozen_time": unix(clock.target_frozen_time)}
    return {
        "id": clock.id,
        "object": "test_helpers.test_clock",
        "created": unix(clock.created),
        "deletes_after": unix(clock.deletes_after),
        "frozen_time": unix(clock.frozen_time),
        "livemode": False,
        "name": clock.name,
        "status": clock.status,
        "status_details": details,
    }


snapshots(TestClock, render, url="/v1/test_helpers/test_clocks/{id}")


@fetcher("test_helpers.test_clock", resource="test_clocks")
async def fetch(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Json]:
    return {clock.id: render(clock) for clock in await store.find_all(tx, environment, ids)}


@routes.post("/v1/test_helpers/test_clocks", ClockCreate)
async def create(call: Call[ClockCreate]) -> Json:
    """Set up a test clock; there are none in live mode."""
    if call.livemode:
        raise Refusal("Test clocks can only be used in test environments.")
    clock = await create_test_clock(
        call.tx,
        environment=call.environment,
        frozen_time=call.params.frozen_time,
        name=call.params.name,
        customer=call.params.customer,
        now=call.now,
    )
    return render(clock)


@routes.get("/v1/test_helpers/test_clocks", ListParams)
async def listed(call: Call[ListParams]) -> Json:
    """List test clocks, newest first."""
    page = await store.listed(call.tx, call.environment, cursor(call.params))
    data = [render(load(TestClock, row)) for row in page.rows]
    return list_of(data, url=call.url, has_more=page.has_more)


@routes.get("/v1/test_helpers/test_clocks/{test_clock}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Read one test clock."""
    id = call.path["test_clock"]
    found = await store.find(call.tx, environment=call.environment, id=id)
    if found is None:
        raise Missing("test_helpers.test_clock", id, param="test_clock", subject=True)
    return render(found)


@routes.post("/v1/test_helpers/test_clocks/{test_clock}/advance", ClockAdvance)
async def advance(call: Call[ClockAdvance]) -> Json:
    """Let the clock run on; what falls due on the way happens, and then the clock is `ready`."""
    clock = await advance_test_clock(
        call.tx,
        environment=call.environment,
        id=call.path["test_clock"],
        to=call.params.frozen_time,
        now=call.now,
    )
    return render(clock)


@routes.delete("/v1/test_helpers/test_clocks/{test_clock}", RetrieveParams)
async def remove(call: Call[RetrieveParams]) -> Json:
    """Delete the clock with its customers and their subscriptions."""
    clock = await delete_test_clock(call.tx, environment=call.environment, id=call.path["test_clock"], now=call.now)
    return {"id": clock.id, "object": "test_helpers.test_clock", "deleted": True}
