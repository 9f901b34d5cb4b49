"""`/customers`: who has a wallet."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from meterline.api.wallet import subscription, whose
from meterline.api.wallet.listing import paged
from meterline.api.wallet.params import Id, ListQuery, Metadata, Params, Text
from meterline.api.wallet.route import Call, Json, Reply, Routes
from meterline.api.wallet.subscription import SubscriptionCreate
from meterline.customer import Customer, prefix_from
from meterline.refusal import Missing
from meterline.store import customer as store
from meterline.store import external_id, offer, wallet
from meterline.store.database import driver
from meterline.store.identifier import public, uuid7
from meterline.store.offer import WalletSubscription
from meterline.usecase.change_customer import change_customer
from meterline.usecase.create_customer import create_customer
from meterline.usecase.subscribe_wallet import open_wallet

routes = Routes("customers")


class ExternalAccount(Params):
    """The customer's name in another system: Stripe's, where a seller keeps it."""

    provider: Literal["stripe"]
    provider_id: Id


ExternalAccounts = Annotated[list[ExternalAccount], Field(max_length=10)]


class CustomerCreate(Params):
    name: Text
    external_id: Id | None = None
    email: Text | None = None
    metadata: Metadata | None = None
    subscriptions: Annotated[list[SubscriptionCreate], Field(max_length=20)] | None = None
    external_accounts: ExternalAccounts | None = None
    test_clock: Text | None = None


class CustomerPatch(Params):
    name: Text | None = None
    external_id: Id | None = None
    email: Text | None = None
    metadata: Metadata | None = None
    external_accounts: ExternalAccounts | None = None


class CustomerList(ListQuery):
    external_id: Id | None = None
    email: Text | None = None
    customer_id: Id | None = None
    name: Text | None = None
    status: Literal["active", "inactive"] | None = None


def _metadata(said: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in said.items()}


def _summary(customer: Customer, external: str | None, subscriptions: Sequence[WalletSubscription]) -> Json:
    return {
        "id": customer.id,
        "external_id": external,
        "name": customer.name,
        "email": customer.email,
        "active_subscription_count": sum(each.status == "active" for each in subscriptions),
        "metadata": dict(customer.metadata),
        "created_at": customer.created.isoformat(),
    }


async def render(call: Call[Any], customer: Customer) -> Json:
    """A customer with their subscriptions."""
    found = await whose.at(call.tx, customer, call.now)
    names = await external_id.known_as(call.tx, call.environment, [customer.customer_id])
    subscriptions = await offer.subscriptions(call.tx, customer.customer_id)
    accounts = await wallet.external_accounts(await driver(call.tx), customer.customer_id)
    return {
        **_summary(customer, names.get(customer.customer_id), subscriptions),
        "subscriptions": await subscription.render(call, subscriptions, now=found.now),
        "external_accounts": accounts,
    }


@routes.post("/customers", CustomerCreate, status=201)
async def create(call: Call[CustomerCreate]) -> Json:
    """Make a customer with a wallet, known by the seller's own id, and subscribe them."""
    asked = call.params
    new = Customer(
        environment=call.environment,
        customer_id=uuid7(),
        id=public("cus"),
        created=call.now,
        invoice_prefix=prefix_from(secrets.randbits(64)),
        name=asked.name,
        email=asked.email,
        metadata=_metadata(asked.metadata or {}),
        test_clock=asked.test_clock,
    )
    made = await create_customer(call.tx, new=new, now=call.now)
    if asked.external_id is not None:
        await external_id.claim(
            call.tx, environment=call.environment, id=asked.external_id, customer_id=made.customer_id
        )
    await open_wallet(call.tx, environment=call.environment, customer_id=made.customer_id, now=made.created)
    await _set_accounts(call, made.customer_id, asked.external_accounts)
    found = await whose.at(call.tx, made, call.now)
    for each in asked.subscriptions or ():
        await subscription.add(call, found, each)
    return await render(call, made)


async def _set_accounts(call: Call[Any], customer_id: UUID, said: Sequence[ExternalAccount] | None) -> None:
    if said is not None:
        told = [each.model_dump() for each in said]
        await wallet.set_external_accounts(await driver(call.tx), customer_id, told)


@routes.get("/customers", CustomerList)
async def listed(call: Call[CustomerList]) -> Json | Reply:
    """Customers, newest first; the one with an external id is pointed to."""
    asked = call.params
    if asked.external_id is not None:
        owner = await external_id.owner(call.tx, call.environment, asked.external_id)
        found = None if owner is None else (await store.find_all(call.tx, [owner])).get(owner)
        if found is None or found.deleted:
            raise Missing("customer", asked.external_id, subject=True)
        return Reply(status=303, headers={"location": f"/customers/{found.id}"}, body=await render(call, found))
    rows, count = await external_id.listed(
        call.tx,
        call.environment,
        email=asked.email,
        id=asked.customer_id,
        name=asked.name,
        subscribed=None if asked.status is None else asked.status == "active",
        offset=asked.offset,
        limit=asked.limit,
    )
    ids = [each.customer_id for each in rows]
    names = await external_id.known_as(call.tx, call.environment, ids)
    subscriptions = await offer.subscriptions_of(call.tx, ids)
    items = [_summary(each, names.get(each.customer_id), subscriptions.get(each.customer_id, [])) for each in rows]
    return paged(asked, items, count)


@routes.get("/customers/{customer}", Params)
async def retrieve(call: Call[Params]) -> Json:
    """A customer."""
    return await render(call, (await whose.in_path(call)).customer)


@routes.patch("/customers/{customer}", CustomerPatch, quiet=True)
async def change(call: Call[CustomerPatch]) -> Json:
    """Change what a customer is called and known by."""
    before = await store.get(call.tx, call.environment, call.path["customer"], subject=True, lock=True)
    asked = call.params
    after = replace(
        before,
        name=asked.name or before.name,
        email=asked.email or before.email,
        metadata=before.metadata if asked.metadata is None else _metadata(asked.metadata),
    )
    await change_customer(call.tx, before=before, after=after, now=call.now)
    if asked.external_id is not None:
        await external_id.release(call.tx, environment=call.environment, customer_id=after.customer_id)
        await external_id.claim(
            call.tx, environment=call.environment, id=asked.external_id, customer_id=after.customer_id
        )
    await _set_accounts(call, after.customer_id, asked.external_accounts)
    return await render(call, after)
