"""`/v2/billing/meter_events`, `/v2/billing/meter_event_session` and `/v2/billing/meter_event_stream`.

The single event is validated whole before it is answered. A stream takes up to 100 events under a session's
token and answers `{}` once all of them are stored or kept as stray events.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from meterline.api.asgi import Answer, Asked, Hot
from meterline.api.auth import Keys, secret_in
from meterline.api.stripe import auth, idempotency, v2, version
from meterline.api.stripe.call import Call
from meterline.api.stripe.error import StripeError
from meterline.api.stripe.json import Json, encode
from meterline.api.stripe.meter_event import (
    MAX_NAME,
    Payload,
    failed,
    refuse_body,
    response_headers,
    taken,
)
from meterline.api.stripe.params import List, Params, Text
from meterline.api.stripe.route import Routes
from meterline.api.stripe.validation import validate
from meterline.meter.intake import MAX_IDENTIFIER
from meterline.store import meter_event_session
from meterline.store.database import Database
from meterline.store.event import digest16
from meterline.store.meter_event_session import Session
from meterline.usecase.ingest_events import Ingest, Told

routes = Routes("meter_events")

MAX_STREAMED = 100


class EventParams(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    event_name: Annotated[Text, Field(max_length=MAX_NAME)]
    payload: Payload
    identifier: Annotated[Text, Field(max_length=MAX_IDENTIFIER)] | None = None
    timestamp: v2.Timestamp | None = None


class MeterEventCreate(Params):
    event_name: Annotated[Text, Field(max_length=MAX_NAME)]
    payload: Payload
    identifier: Annotated[Text, Field(max_length=MAX_IDENTIFIER)] | None = None
    timestamp: v2.Timestamp | None = None


class StreamCreate(Params):
    events: Annotated[List[EventParams], Field(min_length=1, max_length=MAX_STREAMED)]


class SessionCreate(Params):
    pass


@routes.post("/v2/billing/meter_event_session", SessionCreate)
async def create_session(call: Call[SessionCreate]) -> Json:
    """A token for the event stream, good for 15 minutes."""
    session, token = await meter_event_session.create(call.tx, environment=call.environment, now=call.now)
    return {
        "id": session.id,
        "object": "v2.billing.meter_event_session",
        "authentication_token": token,
        "created": v2.timestamp(session.created),
        "expires_at": v2.timestamp(session.expires_at),
        "livemode": call.livemode,
    }


def hot_event(ingest: Ingest, keys: Keys) -> Hot:
    """`POST /v2/billing/meter_events`."""

    async def create(asked: Asked, headers: dict[str, str]) -> Answer:
        key = await auth.authenticate(keys, asked.headers)
        auth.authorize(key, "meter_events", "POST")
        version.spoken(asked.headers.get("stripe-version"))
        request_key = idempotency.key_in(asked.headers)
        params = validate(MeterEventCreate, _json(asked.body))
        told = _told(params, request_key)
        if request_key is not None:
            headers["idempotency-key"] = request_key
            told.key16 = digest16(request_key, of=b"key")
            told.key_body16 = digest16(params.model_dump_json())
        fate = await taken(ingest, told, key, "v2")
        answer = {
            "object": "v2.billing.meter_event",
            "created": v2.timestamp(fate.received_at),
            "event_name": params.event_name,
            "identifier": fate.identifier,
            "livemode": key.livemode,
            "payload": params.payload,
            "timestamp": v2.timestamp(fate.occurred_at),
        }
        return Answer(HTTPStatus.OK, encode(answer), headers)

    return Hot(_answering(create), refuse_body)


def hot_stream(ingest: Ingest, database: Database) -> Hot:
    """`POST /v2/billing/meter_event_stream`."""
    sessions = Sessions(database)

    async def create(asked: Asked, headers: dict[str, str]) -> Answer:
        now = datetime.now(UTC)
        session = await sessions.find(secret_in(asked.headers))
        if session is None:
            raise StripeError.invalid("Invalid authentication token.", status=HTTPStatus.UNAUTHORIZED)
        if session.expires_at <= now:
            raise StripeError(
                status=HTTPStatus.UNAUTHORIZED,
                type="temporary_session_expired",
                code="billing_meter_event_session_expired",
                message="The session of this authentication token has expired. Create a new meter event session.",
            )
        told = [_told(each, None) for each in validate(StreamCreate, _json(asked.body)).events]
        await ingest.take(told, environment=session.environment, origin="stream", now=now, keeps=lambda _: True)
        return Answer(HTTPStatus.OK, b"{}", headers)

    return Hot(_answering(create), refuse_body)


class Sessions:
    """Session tokens as this process knows them; one that was found stays valid until it expires."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, Session] = {}

    async def find(self, token: str | None) -> Session | None:
        """The session of a token, an expired one included."""
        if token is None:
            return None
        known = self._known.get(token)
        if known is None:
            async with self._database.begin() as tx:
                known = await meter_event_session.find(tx, token)
            if known is not None:
                if len(self._known) >= meter_event_session.MOST_CACHED:
                    self._known.clear()
                self._known[token] = known
        return known


def _answering(create: Any) -> Any:
    async def handler(asked: Asked) -> Answer:
        headers = response_headers(asked.headers)
        try:
            answer: Answer = await create(asked, headers)
        except Exception as error:  # noqa: BLE001 - every error has an answer
            return failed(error, asked.path, headers)
        return answer

    return handler


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise StripeError.invalid("Invalid JSON body: an object was expected.") from None


def _told(params: "EventParams | MeterEventCreate", request_key: str | None) -> Told:
    return Told(
        event_name=params.event_name,
        payload=params.payload,
        identifier=params.identifier,
        occurred_at=params.timestamp,
        request_key=request_key,
    )
