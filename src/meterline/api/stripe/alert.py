"""`/v1/billing/alerts`: usage thresholds that fire once per customer."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.error import StripeError
from meterline.api.stripe.expand import expandable
from meterline.api.stripe.json import Json, unix
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import Hash, Int, List, ListParams, Params, RetrieveParams, Text
from meterline.api.stripe.route import Routes
from meterline.limit.alert import Alert, AlertTriggered, Status
from meterline.store import alert as store
from meterline.store import row
from meterline.store.identifier import public, uuid7
from meterline.usecase.change_alert import become, create_alert

routes = Routes("billing_alerts")

expandable("billing.alert.usage_threshold", "meter", kind="billing.meter")


class CustomerFilter(Hash):
    type: Literal["customer"]
    customer: Text | None = None


class UsageThreshold(Hash):
    meter: Text
    gte: Annotated[Int, Field(gt=0)]
    recurrence: Literal["one_time"]
    filters: Annotated[List[CustomerFilter], Field(max_length=1)] = []


class AlertCreate(Params):
    alert_type: Literal["usage_threshold"]
    title: Annotated[Text, Field(max_length=256)]
    usage_threshold: UsageThreshold | None = None


class AlertList(ListParams):
    alert_type: Literal["usage_threshold"] | None = None
    meter: Text | None = None


def render(alert: Alert) -> Json:
    """The alert object. Alerts of our own are shown by what they have in common with Stripe's."""
    filters = [] if alert.customer is None else [{"customer": alert.customer, "type": "customer"}]
    return {
        "id": alert.id,
        "object": "billing.alert",
        "alert_type": "usage_threshold",
        "livemode": alert.environment == "live",
        "status": alert.status,
        "title": alert.title,
        "usage_threshold": {
            "filters": filters,
            "gte": int(alert.levels[0]),
            "meter": alert.meter,
            "recurrence": "one_time",
        },
    }


def render_triggered(told: AlertTriggered) -> Json:
    """What `billing.alert.triggered` carries."""
    return {
        "object": "billing.alert_triggered",
        "alert": render(told.alert),
        "created": unix(told.created),
        "customer": told.customer,
        "livemode": told.alert.environment == "live",
        "value": int(told.value),
    }


@routes.post("/v1/billing/alerts", AlertCreate)
async def create(call: Call[AlertCreate]) -> Json:
    asked = call.params
    threshold = asked.usage_threshold
    if threshold is None:
        raise StripeError.invalid(
            "Missing required param: usage_threshold.", code="parameter_missing", param="usage_threshold"
        )
    new = Alert(
        environment=call.environment,
        id=public("alrt"),
        sequence=uuid7(),
        title=asked.title,
        measure="usage",
        unit="amount",
        levels=(Decimal(threshold.gte),),
        recurrence="one_time",
        meter=threshold.meter,
        customer=threshold.filters[0].customer if threshold.filters else None,
        created=call.now,
        updated=call.now,
    )
    return render(await create_alert(call.tx, new=new, at="usage_threshold", now=call.now))


@routes.get("/v1/billing/alerts/{id}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    return render(await store.get(call.tx, call.environment, call.path["id"]))


@routes.get("/v1/billing/alerts", AlertList)
async def listed(call: Call[AlertList]) -> Json:
    found = await store.listed(call.tx, call.environment, cursor(call.params), meter=call.params.meter, one_time=True)
    data = [render(row.load(Alert, each)) for each in found.rows]
    return list_of(data, url=call.url, has_more=found.has_more)


@routes.post("/v1/billing/alerts/{id}/activate", Params)
async def activate(call: Call[Params]) -> Json:
    return await _become(call, "active")


@routes.post("/v1/billing/alerts/{id}/deactivate", Params)
async def deactivate(call: Call[Params]) -> Json:
    return await _become(call, "inactive")


@routes.post("/v1/billing/alerts/{id}/archive", Params)
async def archive(call: Call[Params]) -> Json:
    return await _become(call, "archived")


async def _become(call: Call[Params], status: Status) -> Json:
    return render(await become(call.tx, environment=call.environment, id=call.path["id"], status=status, now=call.now))
