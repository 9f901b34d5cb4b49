"""`POST /v1/billing/meter_events`, on the hot path: bare ASGI, group commit, the answer after it.

What is checked at once, as Stripe does: the parameters, that the meter exists and is active, the timestamp,
the value's digits, the identifier. An unknown customer and a missing or bad value are answered 200, kept as
stray events and told by `v1.billing.meter.error_report_triggered`.
"""

import os
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Annotated, Any, Literal
from urllib.parse import unquote_plus

import msgspec
import structlog
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from meterline.api.asgi import Answer, Asked, BodyRefused, Hot, Reply, decoded
from meterline.api.auth import Keys, secret_in
from meterline.api.stripe import auth, form, idempotency, version
from meterline.api.stripe.error import StripeError, internal
from meterline.api.stripe.json import encode, unix
from meterline.api.stripe.params import Instant, Params, Text
from meterline.api.stripe.validation import validate
from meterline.meter.intake import MAX_IDENTIFIER, Problem
from meterline.store.api_key import ApiKey
from meterline.store.database import out_of_reach
from meterline.store.event import digest16
from meterline.usecase.group_commit import Overloaded, Stopped, Unavailable
from meterline.usecase.ingest_events import Ingest, Told
from meterline.usecase.write_events import Accepted, Duplicate, Fate, KeyReused, Refused

log = structlog.get_logger(__name__)

PATH = "/v1/billing/meter_events"
MAX_NAME = 100
_FORM = "application/x-www-form-urlencoded"
_MOST_CALLERS = 10_000
_MAX_BODY = 64 * 1024

SYNCHRONOUS = frozenset(
    {
        "no_meter",
        "archived_meter",
        "timestamp_too_far_in_past",
        "timestamp_in_future",
        "meter_event_value_too_many_digits",
        "invalid_identifier",
        "identifier_conflict",
    }
)
"""Problems that v1 answers with a 400; it keeps nothing of such an event."""


def _payload(value: Any) -> Any:
    if not isinstance(value, Mapping) or not value:
        raise PydanticCustomError("parameter_invalid_hash", "Invalid object")
    for key, text in value.items():
        if not isinstance(text, str):
            raise PydanticCustomError("invalid_string", "Invalid string: payload[{key}]", {"key": key[:100]})
    return value


Payload = Annotated[dict[str, str], BeforeValidator(_payload)]
"""A flat map of texts."""


class MeterEventCreate(Params):
    event_name: Annotated[Text, Field(max_length=MAX_NAME)]
    payload: Payload
    identifier: Annotated[Text, Field(max_length=MAX_IDENTIFIER)] | None = None
    timestamp: Instant | None = None


def hot(ingest: Ingest, keys: Keys) -> Hot:
    """The route, on the ingest of this process."""

    async def handler(asked: Asked) -> Answer:
        headers = response_headers(asked.headers)
        try:
            key = await auth.authenticate(keys, asked.headers)
            auth.authorize(key, "meter_events", "POST")
            version.spoken(asked.headers.get("stripe-version"))
            params = (_plain(asked.body) if _usual(asked) else None) or _validated(asked)
            call = _call(key, params, asked.headers.get("idempotency-key"), asked.body, headers)
            return _created(call, await taken(ingest, call.told, key, "v1"))
        except Exception as error:  # noqa: BLE001 - every error has an answer
            return failed(error, asked.path, headers)

    def at_once(sent: Mapping[bytes, bytes], body: bytes, reply: Reply) -> bool:
        caller = callers.find(sent)
        params = None if caller is None else _plain(body)
        if caller is None or params is None:
            return False
        headers = {"request-id": f"req_{os.urandom(7).hex()}", "stripe-version": caller.version}
        now = datetime.now(UTC)
        try:
            raw_key = sent.get(b"idempotency-key")
            call = _call(caller.key, params, None if raw_key is None else raw_key.decode("latin-1"), body, headers)

            def then(fate: Fate | BaseException) -> None:
                # What is refused is kept as a stray event, which the handler does.
                reply(None if isinstance(fate, Refused) else _told_of(fate, call, now))

            return ingest.take_at_once(call.told, environment=caller.key.environment, origin="v1", now=now, then=then)
        except Exception as error:  # noqa: BLE001 - every error has an answer
            reply(failed(error, PATH, headers))
            return True

    callers = _Callers(keys)
    return Hot(handler, refuse_body, at_once)


class _Caller(msgspec.Struct, frozen=True, gc=False):
    """Who calls with certain headers: a key that may tell events, in a version that is spoken, in forms."""

    until: float
    key: ApiKey
    version: str


class _Callers:
    """The callers of the last second by the headers that say who they are: most requests differ only in their body."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._known: dict[tuple[bytes | None, ...], _Caller] = {}

    def find(self, sent: Mapping[bytes, bytes]) -> _Caller | None:
        """Who sent these headers; None where that must be found out the careful way."""
        asked = (
            sent.get(b"authorization"),
            sent.get(b"stripe-version"),
            sent.get(b"content-type"),
            sent.get(b"content-encoding"),
        )
        known = self._known.get(asked)
        if known is not None and known.until > time.monotonic():
            return known
        made = self._made(decoded((name, value) for name, value in sent.items()))
        if made is not None:
            if len(self._known) >= _MOST_CALLERS:
                self._known.clear()
            self._known[asked] = made
        return made

    def _made(self, headers: Mapping[str, str]) -> _Caller | None:
        until, key = self._keys.at_hand(secret_in(headers) or "")
        form_body = headers.get("content-type", "").startswith(_FORM)
        if key is None or until <= time.monotonic() or not form_body or "content-encoding" in headers:
            return None
        try:
            auth.authorize(key, "meter_events", "POST")
            return _Caller(until, key, version.spoken(headers.get("stripe-version")))
        except StripeError:
            return None


class _Call(msgspec.Struct, frozen=True, gc=False):
    """A request that may be carried out: what is told, and what its answer repeats."""

    key: ApiKey
    params: Mapping[str, Any]
    told: Told
    headers: dict[str, str]


def _call(
    key: ApiKey, params: Mapping[str, Any], request_key: str | None, body: bytes, headers: dict[str, str]
) -> _Call:
    """The call that the parameters make; raises the StripeError that refuses its Idempotency-Key."""
    request_key = idempotency.checked(request_key)
    told = _told(params, request_key)
    if request_key is not None:
        headers["idempotency-key"] = request_key
        told.key16 = digest16(request_key, of=b"key")
        told.key_body16 = digest16("&".join(sorted(body.decode("latin-1").split("&"))))
    return _Call(key, params, told, headers)


def _created(call: _Call, fate: Accepted) -> Answer:
    answer = {
        "object": "billing.meter_event",
        "created": unix(fate.received_at),
        "event_name": call.params["event_name"],
        "identifier": fate.identifier,
        "livemode": call.key.livemode,
        "payload": call.params["payload"],
        "timestamp": unix(fate.occurred_at),
    }
    if fate.replayed:
        call.headers["idempotent-replayed"] = "true"
    return Answer(HTTPStatus.OK, encode(answer), call.headers)


def _told_of(fate: Fate | BaseException, call: _Call, now: datetime) -> Answer:
    """The answer to a call whose event met that fate."""
    try:
        if isinstance(fate, BaseException):
            raise fate
        return _created(call, _accepted(fate, call.told, _keeps, now))
    except Exception as error:  # noqa: BLE001 - every error has an answer
        return failed(error, PATH, call.headers)


def failed(error: Exception, path: str, headers: dict[str, str]) -> Answer:
    """What a caller is told when a call ended with an error."""
    if isinstance(error, StripeError):
        return _refused(error, headers)
    if isinstance(error, Overloaded):
        return _refused(overloaded(error), headers)
    if isinstance(error, Unavailable | Stopped):
        return _refused(unavailable(), headers)
    if out_of_reach(error):
        log.warning("database_lost", path=path, error=repr(error))
        return _refused(unavailable(), headers)
    log.error("call_failed", request_id=headers["request-id"], method="POST", path=path, exc_info=error)
    return _refused(internal(), headers)


async def taken(ingest: Ingest, told: Told, key: ApiKey, origin: Literal["v1", "v2"]) -> Accepted:
    """The fate of a single event; raises what refuses it."""
    now = datetime.now(UTC)
    keeps = _keeps if origin == "v1" else _keeps_nothing
    (fate,) = await ingest.take([told], environment=key.environment, origin=origin, now=now, keeps=keeps)
    return _accepted(fate, told, keeps, now)


def _keeps(problem: Problem) -> bool:
    return problem.code not in SYNCHRONOUS


def _keeps_nothing(_: Problem) -> bool:
    return False


def _accepted(fate: Fate, told: Told, keeps: Callable[[Problem], bool], now: datetime) -> Accepted:
    match fate:
        case Accepted():
            return fate
        case Duplicate():
            raise already_exists(fate.identifier)
        case KeyReused():
            raise StripeError(
                status=HTTPStatus.BAD_REQUEST,
                type="idempotency_error",
                message=(
                    "Keys for idempotent requests can only be used with the same parameters they were first used"
                    f" with. Try using a key other than '{told.request_key}' if you meant to execute a different"
                    " request."
                ),
            )
        case Refused(problem):
            if not keeps(problem):
                raise refusal(problem, told)
    return Accepted(told.identifier or secrets.token_hex(16), told.occurred_at or now, now)


def refusal(problem: Problem, told: Told) -> StripeError:
    """What Stripe says of an event that it refuses at once."""
    match problem.code:
        case "no_meter" | "archived_meter":
            return StripeError.invalid(f'No active meter found for event name "{told.event_name}"')
        case "identifier_conflict":
            return already_exists(told.identifier or "")
        case "timestamp_too_far_in_past" | "timestamp_in_future":
            return StripeError.invalid(problem.message, param=problem.field)
    return StripeError.invalid(problem.message, code=problem.code, param=problem.field)


def already_exists(identifier: str) -> StripeError:
    """A second use of an identifier, which no retry will cure."""
    error = StripeError.invalid(f"An event already exists with identifier {identifier}.")
    error.headers["stripe-should-retry"] = "false"
    return error


def overloaded(full: Overloaded) -> StripeError:
    """The queue is full; nothing was taken."""
    return StripeError(
        status=HTTPStatus.TOO_MANY_REQUESTS,
        type="invalid_request_error",
        code="rate_limit",
        message="Events arrive faster than they can be stored. Nothing of this request was taken; send it again.",
        headers={"retry-after": str(full.retry_after), "stripe-should-retry": "true"},
    )


def unavailable() -> StripeError:
    """The database did not confirm. The same identifiers may safely be sent again."""
    return StripeError(
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        type="api_error",
        message="The event could not be stored just now. Sending it again with the same identifier is safe.",
        headers={"retry-after": "1", "stripe-should-retry": "true"},
    )


def response_headers(asked: Mapping[str, str]) -> dict[str, str]:
    """The headers of every answer."""
    return {
        "request-id": f"req_{os.urandom(7).hex()}",
        "stripe-version": asked.get("stripe-version", version.LATEST),
    }


def refuse_body(refused: BodyRefused, asked: Mapping[str, str]) -> Answer:
    """Stripe's envelope around a body that was not read."""
    error = StripeError.invalid(refused.message, status=refused.status)
    if refused.status == HTTPStatus.TOO_MANY_REQUESTS:
        error = overloaded(Overloaded())
    return _refused(error, response_headers(asked))


def _refused(error: StripeError, headers: dict[str, str]) -> Answer:
    return Answer(error.status, encode(error.body()), headers | error.headers)


@lru_cache(1_000)
def _name(raw: str) -> str:
    """A parameter's name decoded; the same few come with every event."""
    return unquote_plus(raw, errors="strict")


_PLAIN = {"event_name", "identifier", "timestamp"}


def _usual(asked: Asked) -> bool:
    return asked.headers.get("content-type", "").startswith(_FORM) and not asked.query


def _plain(body: bytes) -> dict[str, Any] | None:
    """The parameters of a form where nothing about them is unusual; None sends them the careful way round."""
    if len(body) > _MAX_BODY or not body.isascii() or b"%00" in body or b"\0" in body:
        return None
    params: dict[str, Any] = {}
    payload: dict[str, str] = {}
    for pair in body.decode("ascii").split("&"):
        raw_name, _, value = pair.partition("=")
        try:
            name = _name(raw_name)
            if "%" in value or "+" in value:
                value = unquote_plus(value, errors="strict")
        except UnicodeDecodeError:
            return None
        if not value:
            return None
        if name.startswith("payload[") and name.endswith("]"):
            member = name[8:-1]
            if not member or "[" in member or "]" in member:
                return None
            payload[member] = value
        elif name in _PLAIN and len(value) <= MAX_NAME:
            params[name] = value
        else:
            return None
    if not payload or "event_name" not in params:
        return None
    timestamp = params.get("timestamp")
    if timestamp is not None:
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 11):
            return None
        params["timestamp"] = datetime.fromtimestamp(int(timestamp), UTC)
    params["payload"] = payload
    return params


def _validated(asked: Asked) -> dict[str, Any]:
    """The parameters by the rules of every other route, or the error that those give."""
    raw: dict[str, Any] = dict(form.parse(asked.query))
    if asked.headers.get("content-type", "").startswith("application/json"):
        try:
            raw |= msgspec.json.decode(asked.body or b"{}", type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise StripeError.invalid("Invalid JSON body: an object was expected.") from None
    else:
        raw |= form.parse(asked.body)
    checked = validate(MeterEventCreate, raw)
    return {
        "event_name": checked.event_name,
        "payload": checked.payload,
        "identifier": checked.identifier,
        "timestamp": checked.timestamp,
    }


def _told(params: Mapping[str, Any], request_key: str | None) -> Told:
    return Told(
        event_name=params["event_name"],
        payload=params["payload"],
        identifier=params.get("identifier"),
        occurred_at=params.get("timestamp"),
        request_key=request_key,
    )
