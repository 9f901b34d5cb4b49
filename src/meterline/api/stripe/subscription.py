"""`/v1/subscriptions`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api.stripe import discount, tax_rate
from meterline.api.stripe import price as price_object
from meterline.api.stripe import subscription_asked as asking
from meterline.api.stripe import subscription_version as subscription_version  # registers how it was asked before
from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.expand import expandable, fetcher
from meterline.api.stripe.json import Json, unix, unix_or_none
from meterline.api.stripe.listing import list_of, nested_list
from meterline.api.stripe.params import Params, RetrieveParams
from meterline.api.stripe.plan import render_plan
from meterline.api.stripe.route import Routes
from meterline.api.stripe.search import SearchParams, searchable
from meterline.api.stripe.snapshot import snapshots
from meterline.api.stripe.subscription_params import (
    SubscriptionCancel,
    SubscriptionCreate,
    SubscriptionList,
    SubscriptionMigrate,
    SubscriptionResume,
    SubscriptionUpdate,
)
from meterline.catalog import Price
from meterline.refusal import Missing
from meterline.store import price as prices
from meterline.store import public_id, row
from meterline.store import subscription as store
from meterline.subscription.model import Subscription, SubscriptionItem, SubscriptionNotice
from meterline.usecase.cancel_subscription import cancel_subscription
from meterline.usecase.change_subscription import change_subscription
from meterline.usecase.create_subscription import create_subscription
from meterline.usecase.discount_subscription import remove_subscription_discount
from meterline.usecase.migrate_subscription import migrate_subscription
from meterline.usecase.resume_subscription import resume_subscription

routes = Routes("subscriptions")

expandable("subscription", "customer", kind="customer")
expandable("subscription", "default_payment_method", kind="payment_method")
expandable("subscription", "latest_invoice", kind="invoice")
expandable("subscription", "test_clock", kind="test_helpers.test_clock")
expandable("subscription", "pending_setup_intent", kind="setup_intent")
expandable("subscription", "schedule", kind="subscription_schedule")
expandable("subscription", "default_source", kind="source")
expandable("subscription", "discounts", kind="discount")
expandable("subscription", "application", kind="application")
expandable("subscription", "on_behalf_of", kind="account")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hit:
    """What a search finds; the object is read by its id."""

    id: str


def render(subscription: Subscription, sold: Mapping[str, Price]) -> Json:
    """The subscription object; `sold` has the prices of its items."""
    items = [render_item(subscription, item, sold[item.price]) for item in reversed(subscription.items)]
    single = items[0] if len(items) == 1 else None
    return {
        "id": subscription.id,
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": unix(subscription.anchor),
        "billing_cycle_anchor_config": _anchor_config(subscription),
        "billing_mode": _billing_mode(subscription),
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": unix_or_none(subscription.cancel_at),
        "cancel_at_period_end": subscription.cancel_at_period_end,
        "canceled_at": unix_or_none(subscription.canceled_at),
        "cancellation_details": {
            "comment": subscription.cancellation.comment,
            "feedback": subscription.cancellation.feedback,
            "feedback_option": None,
            "reason": subscription.cancellation.reason,
        },
        "collection_method": subscription.collection_method,
        "created": unix(subscription.created),
        "currency": subscription.currency,
        "customer": subscription.customer,
        "customer_account": None,
        "days_until_due": subscription.days_until_due,
        "default_payment_method": subscription.default_payment_method,
        "default_source": None,
        "default_tax_rates": [tax_rate.render(each) for each in subscription.default_tax_rates],
        "description": subscription.description,
        "discounts": list(subscription.discounts),
        "ended_at": unix_or_none(subscription.ended_at),
        "invoice_settings": _invoice_settings(subscription),
        "items": nested_list(items, url=f"/v1/subscription_items?subscription={subscription.id}"),
        "latest_invoice": subscription.latest_invoice,
        "livemode": subscription.environment == "live",
        "managed_payments": {"enabled": False},
        "metadata": dict(subscription.metadata),
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": _pause_collection(subscription),
        "payment_settings": _payment_settings(subscription),
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "plan": single and single["plan"],
        "presentment_details": None,
        "quantity": single and single.get("quantity"),
        "schedule": None,
        "start_date": unix(subscription.start_date),
        "status": subscription.status,
        "status_details": _status_details(subscription),
        "test_clock": subscription.test_clock,
        "transfer_data": None,
        "trial_end": unix_or_none(subscription.trial_end),
        "trial_settings": {
            "end_behavior": {
                "billing_cycle_anchor": subscription.trial_settings.billing_cycle_anchor,
                "missing_payment_method": subscription.trial_settings.missing_payment_method,
            }
        },
        "trial_start": unix_or_none(subscription.trial_start),
    }


def render_item(subscription: Subscription, item: SubscriptionItem, price: Price) -> Json:
    """The subscription item object; a metered one has no quantity."""
    seen = price.in_currency(subscription.currency)
    rendered: Json = {
        "id": item.id,
        "object": "subscription_item",
        "billed_until": unix_or_none(item.billed_until),
        "billing_thresholds": None,
        "created": unix(item.created),
        "current_period_end": unix(item.period_end),
        "current_period_start": unix(item.period_start),
        "current_trial": None,
        "discounts": list(item.discounts),
        "metadata": dict(item.metadata),
        "plan": render_plan(seen),
        "price": price_object.render(price),
        "quantity": item.quantity,
        "subscription": subscription.id,
        "tax_rates": [tax_rate.render(each) for each in item.tax_rates],
    }
    if item.quantity is None:
        del rendered["quantity"]
    return rendered


def _anchor_config(subscription: Subscription) -> Json | None:
    config = subscription.anchor_config
    if config is None:
        return None
    return {
        "day_of_month": config.day_of_month,
        "hour": config.hour,
        "minute": config.minute,
        "month": config.month,
        "second": config.second,
    }


def _billing_mode(subscription: Subscription) -> Json:
    mode = subscription.billing_mode
    flexible = None
    if mode.type == "flexible":
        flexible = {"proration_discounts": mode.proration_discounts}
    return {"flexible": flexible, "type": mode.type, "updated_at": unix_or_none(mode.updated_at)}


def _invoice_settings(subscription: Subscription) -> Json:
    settings = subscription.invoice_settings
    fields = settings.custom_fields
    return {
        "account_tax_ids": None,
        "custom_fields": None if fields is None else [dict(field) for field in fields],
        "description": settings.description,
        "footer": settings.footer,
        "issuer": {"type": "self"},
    }


def _pause_collection(subscription: Subscription) -> Json | None:
    pause = subscription.pause_collection
    if pause is None:
        return None
    return {"behavior": pause.behavior, "resumes_at": unix_or_none(pause.resumes_at)}


def _payment_settings(subscription: Subscription) -> Json:
    settings = subscription.payment_settings
    types = settings.payment_method_types
    return {
        "payment_method_options": None,
        "payment_method_types": None if types is None else list(types),
        "save_default_payment_method": settings.save_default_payment_method,
    }


def _status_details(subscription: Subscription) -> Json | None:
    paused = subscription.paused
    if paused is None:
        return None
    return {
        "paused": {
            "subscription": {"type": paused.type},
            "transitioned_at": unix(paused.transitioned_at),
            "type": "subscription",
        }
    }


def _render_notice(told: SubscriptionNotice) -> Json:
    return render(told.subscription, {id: row.load(Price, kept) for id, kept in told.prices.items()})


snapshots(SubscriptionNotice, _render_notice, url="/v1/subscriptions/{id}")


async def rendered(tx: AsyncConnection, environment: str, found: Sequence[Subscription]) -> list[Json]:
    """The objects of several subscriptions, in the same order, their prices read at once."""
    ids = {item.price for subscription in found for item in subscription.items}
    sold = await prices.find(tx, environment, ids)
    return [render(subscription, sold) for subscription in found]


@fetcher("subscription")
async def fetch(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Json]:
    found = list((await store.find(tx, environment, ids)).values())
    return {body["id"]: body for body in await rendered(tx, environment, found)}


@routes.post("/v1/subscriptions", SubscriptionCreate)
async def create(call: Call[SubscriptionCreate]) -> Json:
    """Create a subscription; its first invoice is finalized and collected in the call."""
    asked = asking.creation(call.params, environment=call.environment, now=call.now)
    return await _one(call, await create_subscription(call.tx, asked, now=call.now))


@routes.get("/v1/subscriptions/search", SearchParams)
async def search(call: Call[SearchParams]) -> Json:
    """Search subscriptions."""
    found = await searchable(call, store.SEARCH, _Hit, lambda hit: {"id": hit.id})
    ids = [hit["id"] for hit in found["data"]]
    bodies = await fetch(call.tx, call.environment, ids)
    return found | {"data": [bodies[id] for id in ids]}


@routes.get("/v1/subscriptions/{id}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Read one subscription."""
    id = call.path["id"]
    found = (await store.find(call.tx, call.environment, [id])).get(id)
    if found is None:
        raise Missing("subscription", id, param="id", subject=True)
    return await _one(call, found)


@routes.post("/v1/subscriptions/{id}", SubscriptionUpdate)
async def change(call: Call[SubscriptionUpdate]) -> Json:
    """Change a subscription, and bill what the change makes due."""
    asked = asking.change(call.params, environment=call.environment, now=call.now)
    changed = await change_subscription(call.tx, asked, environment=call.environment, id=call.path["id"], now=call.now)
    return await _one(call, changed)


@routes.delete("/v1/subscriptions/{id}", SubscriptionCancel)
async def cancel(call: Call[SubscriptionCancel]) -> Json:
    """End a subscription at once."""
    ended = await cancel_subscription(
        call.tx,
        environment=call.environment,
        id=call.path["id"],
        invoice_now=call.params.invoice_now,
        prorate=call.params.prorate,
        details=asking.cancellation(call.params.cancellation_details),
        now=call.now,
    )
    return await _one(call, ended)


@routes.delete("/v1/subscriptions/{id}/discount", Params)
async def delete_discount(call: Call[Params]) -> Json:
    """Take the discounts off a subscription."""
    gone = await remove_subscription_discount(call.tx, environment=call.environment, id=call.path["id"], now=call.now)
    return discount.render_deleted(gone)


@routes.post("/v1/subscriptions/{id}/resume", SubscriptionResume)
async def resume(call: Call[SubscriptionResume]) -> Json:
    """Resume a paused subscription."""
    anchor = call.params.billing_cycle_anchor
    resumed = await resume_subscription(
        call.tx,
        environment=call.environment,
        id=call.path["id"],
        anchor_now=anchor is None or anchor.type == "now",
        behavior=call.params.proration_behavior,
        only_if_paid=call.params.payment_behavior == "resume_on_payment_success",
        now=call.now,
    )
    return await _one(call, resumed)


@routes.post("/v1/subscriptions/{id}/migrate", SubscriptionMigrate)
async def migrate(call: Call[SubscriptionMigrate]) -> Json:
    """Go over from classic to flexible billing; there is no way back."""
    shown = call.params.billing_mode.flexible
    migrated = await migrate_subscription(
        call.tx,
        environment=call.environment,
        id=call.path["id"],
        proration_discounts=(shown and shown.proration_discounts) or "included",
        now=call.now,
    )
    return await _one(call, migrated)


@routes.get("/v1/subscriptions", SubscriptionList)
async def listed(call: Call[SubscriptionList]) -> Json:
    """List subscriptions, newest first; canceled ones, and those on test clocks, only when asked for."""
    asked = call.params
    customer_id = None
    if asked.customer is not None:
        customer_id = await public_id.owner(call.tx, environment=call.environment, kind="customer", id=asked.customer)
        if customer_id is None:
            raise Missing("customer", asked.customer, param="customer")
    wanted = store.Filter(
        status=asked.status,
        customer_id=customer_id,
        price=asked.price or asked.plan,
        collection_method=asked.collection_method,
        clock=asked.test_clock,
        automatic_tax=asked.automatic_tax.enabled if asked.automatic_tax else None,
        created=asked.created,
        period_start=asked.current_period_start,
        period_end=asked.current_period_end,
    )
    page = await store.listed(call.tx, call.environment, cursor(asked), wanted)
    found = await store.assemble(call.tx, page.rows)
    data = await rendered(call.tx, call.environment, found)
    return list_of(data, url=call.url, has_more=page.has_more)


async def _one(call: Call[Params], found: Subscription) -> Json:
    return (await rendered(call.tx, call.environment, [found]))[0]
