"""Which customer a call is about, and what time it is for them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api.wallet.route import Call
from meterline.customer import Customer
from meterline.refusal import Missing, Refusal
from meterline.store import customer as customers
from meterline.store import external_id
from meterline.usecase.moment import moment


@dataclass(frozen=True, slots=True)
class Whose:
    """A customer, and the customer's now (UTC): the wall clock's, or the test clock's they live on."""

    customer: Customer
    now: datetime


async def in_path(call: Call[Any]) -> Whose:
    """The customer that the path names, by id."""
    found = await customers.get(call.tx, call.environment, call.path["customer"], subject=True)
    return await at(call.tx, found, call.now)


async def named(tx: AsyncConnection, *, environment: str, id: str | None, external: str | None, now: datetime) -> Whose:
    """The customer with that id, or known by the seller's own."""
    if id is not None:
        return await at(tx, await customers.get(tx, environment, id, param="customer_id"), now)
    if external is None:
        raise Refusal("customer_id or customer_external_id is required.", code="required", param="customer_id")
    owner = await external_id.owner(tx, environment, external)
    found = None if owner is None else (await customers.find_all(tx, [owner])).get(owner)
    if found is None or found.deleted:
        raise Missing("customer", external, param="customer_external_id")
    return await at(tx, found, now)


async def at(tx: AsyncConnection, customer: Customer, now: datetime) -> Whose:
    """The customer at the wall clock's `now`, which for them may be another."""
    theirs = await moment(tx, environment=customer.environment, test_clock=customer.test_clock, now=now)
    return Whose(customer, theirs)
