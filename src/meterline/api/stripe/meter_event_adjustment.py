"""`/v1/billing/meter_event_adjustments` and its v2 form: cancel one event within 24 hours of its receipt."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api.stripe import v2
from meterline.api.stripe.call import Call
from meterline.api.stripe.json import Json
from meterline.api.stripe.params import Hash, Params, Text
from meterline.api.stripe.route import Routes
from meterline.meter.intake import MAX_IDENTIFIER
from meterline.refusal import Missing, Refusal
from meterline.store import meter
from meterline.store.correction import Correction
from meterline.store.event import WINDOW, digest16
from meterline.store.identifier import public
from meterline.usecase.correct_usage import Author, find_event, void_event

routes = Routes("meter_events")


class Cancel(Hash):
    identifier: Annotated[Text, Field(max_length=MAX_IDENTIFIER)] | None = None


class AdjustmentCreate(Params):
    type: Literal["cancel"]
    event_name: Annotated[Text, Field(max_length=100)]
    cancel: Cancel | None = None


class AdjustmentCreateV2(Params):
    type: Literal["cancel"]
    event_name: Annotated[Text, Field(max_length=100)]
    cancel: Cancel


@routes.post("/v1/billing/meter_event_adjustments", AdjustmentCreate)
async def create(call: Call[AdjustmentCreate]) -> Json:
    """Cancel a meter event. What a finalized invoice says of it stays."""
    await _cancel(call.tx, call.environment, call.params, actor=call.caller.key.id, now=call.now)
    return _rendered(call.params, livemode=call.livemode)


@routes.post("/v2/billing/meter_event_adjustments", AdjustmentCreateV2)
async def create_v2(call: Call[AdjustmentCreateV2]) -> Json:
    """Cancel a meter event."""
    await _cancel(call.tx, call.environment, call.params, actor=call.caller.key.id, now=call.now)
    body = _rendered(call.params, livemode=call.livemode)
    return body | {
        "id": public("mea"),
        "object": "v2.billing.meter_event_adjustment",
        "created": v2.timestamp(call.now),
    }


def _rendered(asked: "AdjustmentCreate | AdjustmentCreateV2", *, livemode: bool) -> Json:
    identifier = asked.cancel.identifier if asked.cancel else None
    return {
        "object": "billing.meter_event_adjustment",
        "cancel": {"identifier": identifier},
        "event_name": asked.event_name,
        "livemode": livemode,
        "status": "complete",
        "type": asked.type,
    }


async def _cancel(
    tx: AsyncConnection,
    environment: str,
    asked: "AdjustmentCreate | AdjustmentCreateV2",
    *,
    actor: str,
    now: datetime,
) -> Correction:
    if asked.cancel is None or asked.cancel.identifier is None:
        raise Refusal(
            "Missing required param: cancel[identifier].", code="parameter_missing", param="cancel[identifier]"
        )
    identifier = asked.cancel.identifier
    meters = await meter.catalog(tx, environment)
    if asked.event_name not in meters:
        raise Refusal(f'No active meter found for event name "{asked.event_name}"', param="event_name")
    try:
        found, owner = await find_event(
            tx, environment=environment, identifier16=digest16(identifier), customer_id=None, now=now
        )
    except Missing:
        raise Missing("meter event", identifier, param="cancel[identifier]") from None
    if found.meter != meters[asked.event_name].id:
        raise Missing("meter event", identifier, param="cancel[identifier]")
    if now - found.received_at > WINDOW:
        raise Refusal("Only events received within the last 24 hours can be canceled.", param="cancel[identifier]")
    author = Author(actor=actor, reason="canceled by a meter event adjustment", through_stripe=True)
    return await void_event(tx, found=found, public_customer=owner, author=author, now=now)
