"""`/customers`: who has a wallet, and what they are subscribed to."""

import secrets
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field

from meterline.api.wallet import whose
from meterline.api.wallet.params import Id, Instant, ListQuery, Metadata, Params, Text
from meterline.api.wallet.route import Call, Json, Reply, Routes
from meterline.customer import Customer, prefix_from
from meterline.refusal import Missing
from meterline.store import customer as store
from meterline.store import external_id, offer
from meterline.store.identifier import public, uuid7
from meterline.store.offer import WalletSubscription
from meterline.usecase.change_customer import change_customer
from meterline.usecase.create_customer import create_customer
from meterline.usecase.subscribe_wallet import Chosen, migrate, open_wallet, set_status, subscribe

routes = Routes("customers")


class ProductChoice(Params):
    id: Id | None = None
    code: Id | None = None
    version: int | Literal["default"] | None = None

    def chosen(self) -> Chosen:
        """The product to subscribe to."""
        key = self.id or self.code
        if key is None:
            raise Missing("product", "", param="products")
        return Chosen(key=key, version=self.version if isinstance(self.version, int) else None)


class SubscriptionCreate(Params):
    products: Annotated[list[ProductChoice], Field(min_length=1, max_length=50)]
    starts_at: Instant | None = None
    renews_at: Instant | None = None
    return_url: str | None = None
    failure_url: str | None = None
    redirect_to: str | None = None


class ExternalAccount(Params):
    provider: Text
    provider_id: Text


class CustomerCreate(Params):
    name: Text
    external_id: Id | None = None
    email: Text | None = None
    metadata: Metadata = {}
    subscriptions: Annotated[list[SubscriptionCreate], Field(max_length=20)] = []
    external_accounts: list[ExternalAccount] = []
    test_clock: Text | None = None


class CustomerPatch(Params):
    name: Text | None = None
    external_id: Id | None = None
    email: Text | None = None
    metadata: Metadata | None = None


class CustomerList(ListQuery):
    external_id: Id | None = None
    email: Text | None = None
    customer_id: Id | None = None


class SubscriptionPatch(Params):
    status: Literal["active", "inactive"]


class Migration(Params):
    version: int | Literal["default"] = "default"


def render_subscription(subscription: WalletSubscription, *, now: Any) -> Json:
    """A subscription; one whose time has come is active."""
    begun = subscription.status == "scheduled" and subscription.starts_at <= now
    waiting = subscription.status == "action_required"
    return {
        "id": subscription.id,
        "status": "active" if begun else subscription.status,
        "starts_at": subscription.starts_at.isoformat(),
        "products": [
            {"id": each.product, "code": each.code, "version": each.version} for each in subscription.products
        ],
        "required_actions": [{"type": "payment"}] if waiting else [],
        "created_at": subscription.created.isoformat(),
    }


async def render(call: Call[Any], customer: Customer) -> Json:
    """A customer with their subscriptions."""
    names = await external_id.known_as(call.tx, call.environment, [customer.customer_id])
    subscriptions = await offer.subscriptions(call.tx, customer.customer_id)
    return {
        "id": customer.id,
        "name": customer.name,
        "external_id": names.get(customer.customer_id),
        "email": customer.email,
        "metadata": dict(customer.metadata),
        "subscriptions": [render_subscription(each, now=call.now) for each in subscriptions],
        "created_at": customer.created.isoformat(),
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
        metadata={key: str(value) for key, value in asked.metadata.items()},
        test_clock=asked.test_clock,
    )
    made = await create_customer(call.tx, new=new, now=call.now)
    if asked.external_id is not None:
        await external_id.claim(
            call.tx, environment=call.environment, id=asked.external_id, customer_id=made.customer_id
        )
    await open_wallet(call.tx, environment=call.environment, customer_id=made.customer_id, now=made.created)
    for each in asked.subscriptions:
        await _subscribe(call, made, each)
    return await render(call, made)


async def _subscribe(call: Call[Any], customer: Customer, asked: SubscriptionCreate) -> WalletSubscription:
    theirs = await whose.named(call.tx, environment=call.environment, id=customer.id, external=None, now=call.now)
    return await subscribe(
        call.tx,
        environment=call.environment,
        customer_id=customer.customer_id,
        chosen=[each.chosen() for each in asked.products],
        starts_at=asked.starts_at,
        clock=customer.test_clock,
        now=theirs.now,
    )


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
        offset=asked.offset,
        limit=asked.limit,
    )
    items = [await render(call, each) for each in rows]
    return {"offset": asked.offset, "limit": asked.limit, "total_count": count, "items": items}


@routes.get("/customers/{customer}", Params)
async def retrieve(call: Call[Params]) -> Json:
    """A customer."""
    return await render(call, (await whose.in_path(call)).customer)


@routes.patch("/customers/{customer}", CustomerPatch)
async def change(call: Call[CustomerPatch]) -> Json:
    """Change what a customer is called and known by."""
    before = await store.get(call.tx, call.environment, call.path["customer"], subject=True, lock=True)
    asked = call.params
    metadata = before.metadata if asked.metadata is None else {k: str(v) for k, v in asked.metadata.items()}
    after = replace(before, name=asked.name or before.name, email=asked.email or before.email, metadata=metadata)
    await change_customer(call.tx, before=before, after=after, now=call.now)
    if asked.external_id is not None:
        await external_id.release(call.tx, environment=call.environment, customer_id=after.customer_id)
        await external_id.claim(
            call.tx, environment=call.environment, id=asked.external_id, customer_id=after.customer_id
        )
    return await render(call, after)


@routes.post("/customers/{customer}/subscriptions", SubscriptionCreate, status=201)
async def add_subscription(call: Call[SubscriptionCreate]) -> Json:
    """Subscribe a customer; one who has no wallet gets one."""
    found = await whose.in_path(call)
    await open_wallet(call.tx, environment=call.environment, customer_id=found.customer.customer_id, now=found.now)
    made = await _subscribe(call, found.customer, call.params)
    return render_subscription(made, now=found.now)


@routes.patch("/customers/{customer}/subscriptions/{subscription}", SubscriptionPatch)
async def change_subscription(call: Call[SubscriptionPatch]) -> Json:
    """End a subscription, or begin it again."""
    found = await whose.in_path(call)
    changed = await set_status(
        call.tx,
        customer_id=found.customer.customer_id,
        id=call.path["subscription"],
        active=call.params.status == "active",
        clock=found.customer.test_clock,
        now=found.now,
    )
    return render_subscription(changed, now=found.now)


@routes.patch("/customers/{customer}/subscriptions/{subscription}/products/{product}", Migration)
async def migrate_subscription(call: Call[Migration]) -> Json:
    """Move a product of one subscription to another version; usage from now on is debited by it."""
    found = await whose.in_path(call)
    version = call.params.version
    changed = await migrate(
        call.tx,
        customer_id=found.customer.customer_id,
        id=call.path["subscription"],
        key=call.path["product"],
        version=version if isinstance(version, int) else None,
        now=found.now,
    )
    return render_subscription(changed, now=found.now)
