"""`/ops/alerts`: alerts that recur, look at allowances, have several levels and tell recoveries too."""

from typing import Annotated, Literal

from pydantic import Field

from meterline.api.stripe import alert as stripe_alert
from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.json import Json, unix, unix_or_none
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import DecimalText, List, ListParams, Params, RetrieveParams, Text
from meterline.api.stripe.route import Routes
from meterline.api.stripe.snapshot import snapshots
from meterline.limit.alert import COUNTED, Alert, AlertTriggered, Crossing, Status
from meterline.limit.balance import WalletPassed
from meterline.limit.budget import BudgetPassed, BudgetRefused
from meterline.meter.parked import EventsParked
from meterline.money import decimal_text
from meterline.refusal import Refusal
from meterline.store import alert as store
from meterline.store import customer, row
from meterline.store.identifier import public, uuid7
from meterline.usecase.change_alert import become, create_alert
from meterline.usecase.moment import moment
from meterline.usecase.show_alerts import Standing, show_alerts
from meterline.wallet.news import SubscriptionNews, TransactionNews, VersionPublished, WalletNews

routes = Routes("billing_alerts")

Email = Annotated[Text, Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=320)]


class AlertCreate(Params):
    title: Annotated[Text, Field(max_length=256)]
    measure: Literal["usage", "allowance", "spend", "balance"] = "usage"
    unit: Literal["amount", "percent"] = "amount"
    levels: Annotated[List[DecimalText], Field(min_length=1, max_length=20)]
    recurrence: Literal["one_time", "period"] = "period"
    meter: Text | None = None
    asset: Text | None = None
    customer: Text | None = None
    emails: Annotated[List[Email], Field(max_length=10)] = []


class AlertList(ListParams):
    meter: Text | None = None


def render(alert: Alert) -> Json:
    """The alert object."""
    return {
        "id": alert.id,
        "object": "alert",
        "asset": alert.asset,
        "created": unix(alert.created),
        "customer": alert.customer,
        "emails": list(alert.emails),
        "levels": [decimal_text(level) for level in alert.levels],
        "livemode": alert.environment == "live",
        "measure": alert.measure,
        "meter": alert.meter,
        "recurrence": alert.recurrence,
        "status": alert.status,
        "title": alert.title,
        "unit": alert.unit,
    }


def render_triggered(told: AlertTriggered) -> Json:
    """What `usage.threshold` and `spend.threshold` carry; Stripe's own kind of alert is told in Stripe's form."""
    if told.alert.lifelong:
        return stripe_alert.render_triggered(told)
    spent = told.alert.measure == "spend"
    return {
        "id": told.id,
        "object": "spend.threshold" if spent else "usage.threshold",
        "alert": render(told.alert),
        "allowance": None if told.size is None else decimal_text(told.size),
        "created": unix(told.created),
        "customer": told.customer,
        "direction": told.crossing.direction,
        "livemode": told.alert.environment == "live",
        "meter": None if spent else told.meter,
        "period": {"start": unix(told.window_start), "end": unix_or_none(told.window_end)},
        "subscription": told.meter if spent else None,
        "value": decimal_text(told.value),
        **_level(told.crossing),
    }


def _level(crossing: Crossing) -> Json:
    return {"level": decimal_text(crossing.level), "threshold": decimal_text(crossing.threshold)}


snapshots(AlertTriggered, render_triggered, url=None)


def render_passed(told: WalletPassed) -> Json:
    """What `wallet.low`, `wallet.depleted` and `wallet.recovered` carry."""
    return {
        "id": told.id,
        "object": "wallet.passed",
        "alert": None if told.alert is None else render(told.alert),
        "asset": told.asset,
        "available": decimal_text(told.available),
        "before": decimal_text(told.before),
        "created": unix(told.created),
        "customer": told.customer,
        "level": decimal_text(told.level),
        "livemode": told.environment == "live",
        "passing": told.passing,
    }


snapshots(WalletPassed, render_passed, url=None)


def render_news(told: WalletNews) -> Json:
    """What `topup.*`, `autotopup.*`, `grant.expiring`, `grant.expired` and `hold.expired` carry."""
    return {
        "id": told.id,
        "object": "wallet.news",
        "again_at": unix_or_none(told.again_at),
        "amount": None if told.amount is None else decimal_text(told.amount),
        "asset": told.asset,
        "created": unix(told.created),
        "currency": told.currency,
        "customer": told.customer,
        "expires_at": unix_or_none(told.expires_at),
        "livemode": told.environment == "live",
        "price": told.price,
        "reason": told.reason,
        "topic": told.topic,
    }


snapshots(WalletNews, render_news, url=None)


def render_subscription(told: SubscriptionNews) -> Json:
    """What `subscription.*` carries: what became of a wallet's subscription."""
    return {
        "id": told.id,
        "object": "wallet.subscription",
        "created": unix(told.created),
        "customer": told.customer,
        "livemode": told.environment == "live",
        "products": [{"product": id, "code": code, "version": version} for id, code, version in told.products],
        "renews_at": unix_or_none(told.renews_at),
        "started_at": unix(told.started_at),
        "status": told.status,
    }


snapshots(SubscriptionNews, render_subscription, url=None)


def render_transaction(told: TransactionNews) -> Json:
    """What `transaction.completed` carries: value that was moved by hand."""
    return {
        "id": told.id,
        "object": "wallet.transaction",
        "amount": decimal_text(told.amount),
        "asset": told.asset,
        "available": decimal_text(told.available),
        "created": unix(told.created),
        "customer": told.customer,
        "description": told.description,
        "livemode": told.environment == "live",
        "type": told.type,
    }


snapshots(TransactionNews, render_transaction, url=None)


def render_published(told: VersionPublished) -> Json:
    """What `price.published` carries: a version of a product that wallets can be sold."""
    return {
        "id": told.id,
        "object": "wallet.product_version",
        "code": told.code,
        "created": unix(told.created),
        "is_default": told.is_default,
        "livemode": told.environment == "live",
        "version": told.version,
    }


snapshots(VersionPublished, render_published, url=None)


def render_refused(told: BudgetRefused) -> Json:
    """What `budget.refused` carries; `id` is the caller's."""
    return {
        "id": told.id,
        "object": "budget.refused",
        "asked": decimal_text(told.asked),
        "asset": told.asset,
        "budget": told.budget,
        "created": unix(told.created),
        "customer": told.customer,
        "left": decimal_text(told.left),
        "level": told.level,
        "livemode": told.environment == "live",
        "message": told.message,
        "resets_at": unix_or_none(told.resets_at),
    }


snapshots(BudgetRefused, render_refused, url=None)


def render_used_up(told: BudgetPassed) -> Json:
    """What `budget.passed` carries; `id` is the budget's with the start of its window."""
    return {
        "id": told.id,
        "object": "budget.passed",
        "amount": decimal_text(told.amount),
        "asset": told.asset,
        "budget": told.budget,
        "created": unix(told.created),
        "customer": told.customer,
        "hard": told.hard,
        "level": told.level,
        "livemode": told.environment == "live",
        "resets_at": unix_or_none(told.resets_at),
        "spent": decimal_text(told.spent),
    }


snapshots(BudgetPassed, render_used_up, url=None)


def render_parked(told: EventsParked) -> Json:
    """What `event.parked` carries; `sample` holds ids of parked events."""
    return {
        "id": told.id,
        "object": "event.parked",
        "code": told.code,
        "count": told.count,
        "created": unix(told.created),
        "customer": told.customer,
        "event_name": told.event_name,
        "livemode": told.environment == "live",
        "message": told.message,
        "sample": list(told.sample),
    }


snapshots(EventsParked, render_parked, url=None)


def render_standing(standing: Standing) -> Json:
    """How a customer stands: levels crossed, and when the next one is to be expected at the present pace."""
    watch, coming = standing.watch, standing.next
    assert watch.value is not None
    measure = standing.alert.measure
    return {
        "object": "alert.standing",
        "alert": render(standing.alert),
        "allowance": None if watch.size is None else decimal_text(watch.size),
        "crossed": [decimal_text(level) for level in watch.crossed],
        "meter": watch.meter if measure in COUNTED else None,
        "next": None if coming is None else _level(coming) | {"expected_at": unix_or_none(standing.expected_at)},
        "period": None
        if measure == "balance"
        else {"start": unix(watch.window_start), "end": unix_or_none(watch.window_end)},
        "subscription": watch.meter if measure == "spend" else None,
        "value": decimal_text(watch.value),
    }


@routes.post("/ops/alerts", AlertCreate)
async def create(call: Call[AlertCreate]) -> Json:
    asked = call.params
    if asked.measure != "usage" and asked.recurrence != "period":
        raise Refusal("Only alerts on usage can fire for once.", param="recurrence")
    new = Alert(
        environment=call.environment,
        id=public("alrt"),
        sequence=uuid7(),
        title=asked.title,
        measure=asked.measure,
        unit=asked.unit,
        levels=tuple(asked.levels),
        recurrence=asked.recurrence,
        meter=asked.meter,
        asset=asked.asset,
        customer=asked.customer,
        emails=tuple(dict.fromkeys(asked.emails)),
        created=call.now,
        updated=call.now,
    )
    return render(await create_alert(call.tx, new=new, now=call.now))


@routes.get("/ops/alerts/{id}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    return render(await store.get(call.tx, call.environment, call.path["id"]))


@routes.get("/ops/alerts", AlertList)
async def listed(call: Call[AlertList]) -> Json:
    """Alerts of both kinds, newest first."""
    found = await store.listed(call.tx, call.environment, cursor(call.params), meter=call.params.meter)
    data = [render(row.load(Alert, each)) for each in found.rows]
    return list_of(data, url=call.url, has_more=found.has_more)


@routes.post("/ops/alerts/{id}/activate", Params)
async def activate(call: Call[Params]) -> Json:
    return await _become(call, "active")


@routes.post("/ops/alerts/{id}/deactivate", Params)
async def deactivate(call: Call[Params]) -> Json:
    return await _become(call, "inactive")


@routes.post("/ops/alerts/{id}/archive", Params)
async def archive(call: Call[Params]) -> Json:
    return await _become(call, "archived")


async def _become(call: Call[Params], status: Status) -> Json:
    return render(await become(call.tx, environment=call.environment, id=call.path["id"], status=status, now=call.now))


@routes.get("/ops/customers/{id}/alerts", Params)
async def standings(call: Call[Params]) -> Json:
    """How one customer stands under every alert that concerns it."""
    found = await customer.get(call.tx, call.environment, call.path["id"], param="id", subject=True)
    now = await moment(call.tx, environment=call.environment, test_clock=found.test_clock, now=call.now)
    data = [render_standing(each) for each in await show_alerts(call.tx, customer=found, now=now, wall=call.now)]
    return list_of(data, url=call.url, has_more=False)
