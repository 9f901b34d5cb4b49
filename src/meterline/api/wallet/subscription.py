"""`/customers/{customer}/subscriptions`: what a customer's usage is debited by."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from meterline.api.wallet import whose
from meterline.api.wallet.params import Id, Instant, Params, Text
from meterline.api.wallet.route import Call, Json, Routes
from meterline.api.wallet.top_up import link
from meterline.api.wallet.whose import Whose
from meterline.store import top_up as top_ups
from meterline.store.offer import WalletSubscription
from meterline.usecase.subscribe_wallet import Chosen, When, migrate, open_wallet, set_status, subscribe

routes = Routes("customers")

Version = Annotated[int, Field(ge=1, le=2**31 - 1)] | Literal["default"]


class ProductChoice(Params):
    id: Id | None = None
    code: Id | None = None
    version: Version | None = None

    @model_validator(mode="after")
    def _named(self) -> "ProductChoice":
        if self.id is None and self.code is None:
            raise ValueError("id or code is required")
        return self

    def chosen(self) -> Chosen:
        """The product to subscribe to."""
        return Chosen(key=self.id or self.code or "", version=self.version if isinstance(self.version, int) else None)


class SubscriptionCreate(Params):
    products: Annotated[list[ProductChoice], Field(min_length=1, max_length=50)]
    starts_at: Instant | None = None
    renews_at: Instant | None = None
    return_url: Text | None = None
    failure_url: Text | None = None
    redirect_to: Literal["return_url", "portal"] | None = None

    def when(self) -> When:
        """When it begins and renews."""
        return When(
            starts_at=self.starts_at,
            renews_at=self.renews_at,
            return_url=self.return_url,
            failure_url=self.failure_url,
            redirect_to=self.redirect_to,
        )


class SubscriptionPatch(Params):
    status: Literal["active", "inactive"]


class Migration(Params):
    version: Version = "default"


async def render(call: Call[Any], subscriptions: Iterable[WalletSubscription], *, now: datetime) -> list[Json]:
    """Subscriptions; one that waits for its fees says where they are paid."""
    return [await _render(call, each, now) for each in subscriptions]


async def _render(call: Call[Any], subscription: WalletSubscription, now: datetime) -> Json:
    return {
        "id": subscription.id,
        "status": subscription.status_at(now),
        "starts_at": subscription.starts_at.isoformat(),
        "started_at": subscription.starts_at.isoformat() if subscription.starts_at <= now else None,
        "renews_at": None if subscription.renews_at is None else subscription.renews_at.isoformat(),
        "products": [
            {"id": each.product, "code": each.code, "version": each.version} for each in subscription.products
        ],
        "required_actions": await _actions(call, subscription),
        "created_at": subscription.created.isoformat(),
    }


async def _actions(call: Call[Any], subscription: WalletSubscription) -> list[Json]:
    if subscription.status != "action_required" or subscription.top_up is None:
        return []
    asked = await top_ups.find(call.tx, call.environment, subscription.top_up)
    return [
        {
            "type": "payment",
            "redirect_url": link(asked, call.base_url),
            "top_up_id": asked.id,
            "expires_at": asked.expires_at.isoformat(),
        }
    ]


async def add(call: Call[Any], found: Whose, asked: SubscriptionCreate) -> WalletSubscription:
    """Subscribe a customer who has a wallet."""
    return await subscribe(
        call.tx,
        environment=call.environment,
        customer_id=found.customer.customer_id,
        chosen=[each.chosen() for each in asked.products],
        when=asked.when(),
        clock=found.customer.test_clock,
        now=found.now,
    )


@routes.post("/customers/{customer}/subscriptions", SubscriptionCreate, status=201)
async def create(call: Call[SubscriptionCreate]) -> Json:
    """Subscribe a customer; one who has no wallet gets one."""
    found = await whose.in_path(call)
    await open_wallet(call.tx, environment=call.environment, customer_id=found.customer.customer_id, now=found.now)
    return await _render(call, await add(call, found, call.params), found.now)


@routes.patch("/customers/{customer}/subscriptions/{subscription}", SubscriptionPatch, quiet=True)
async def change(call: Call[SubscriptionPatch]) -> Json:
    """End a subscription, or begin it again; one that waits for its fees is tried again."""
    found = await whose.in_path(call)
    changed = await set_status(
        call.tx,
        customer_id=found.customer.customer_id,
        id=call.path["subscription"],
        active=call.params.status == "active",
        clock=found.customer.test_clock,
        now=found.now,
    )
    return await _render(call, changed, found.now)


@routes.patch("/customers/{customer}/subscriptions/{subscription}/products/{product}", Migration, quiet=True)
async def move(call: Call[Migration]) -> Json:
    """Move a product of one subscription to another version; usage from now on is debited by it."""
    found = await whose.in_path(call)
    version = call.params.version
    changed = await migrate(
        call.tx,
        customer_id=found.customer.customer_id,
        id=call.path["subscription"],
        key=call.path["product"],
        version=version if isinstance(version, int) else None,
        clock=found.customer.test_clock,
        now=found.now,
    )
    return await _render(call, changed, found.now)
