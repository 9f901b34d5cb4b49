"""From a body to events: NDJSON, a JSON array or object, CloudEvents one by one or in a batch.

One event that cannot be read is a malformed event at its place; only a body that has no places at all is
refused whole.
"""

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any, TypeAlias

import msgspec

from meterline.meter.intake import Problem
from meterline.usecase.ingest_events import Told

MAX_EVENTS = 10_000
_SAMPLE = 2_000
_MOST_PLACES = 1_000

NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-lines"})
CLOUD = "application/cloudevents+json"
CLOUD_BATCH = "application/cloudevents-batch+json"


class Unreadable(Exception):
    """The body as a whole cannot be taken apart into events."""


class Malformed(msgspec.Struct, frozen=True):
    """An event that could not be read: what is wrong, and how it began."""

    problem: Problem
    sample: str


Decoded: TypeAlias = "list[Told | Malformed]"


class Native(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Our own form. `timestamp` is RFC 3339 with an offset, or unix seconds; absent, the server's clock counts."""

    event_name: str
    payload: dict[str, Any] = {}
    identifier: str | None = None
    timestamp: datetime | int | None = None
    customer: str | None = None
    source: str | None = None


class CloudEvent(msgspec.Struct, gc=False):
    """CloudEvents 1.0 in JSON; extension attributes are passed over. `subject` is the customer.

    A `time` without an offset, which some producers send, is taken for UTC.
    """

    specversion: str
    type: str
    id: str
    source: str
    subject: str | None = None
    time: datetime | None = None
    data: dict[str, Any] = {}


class Versioned(msgspec.Struct, gc=False):
    """What tells a CloudEvent from our own form."""

    specversion: Any = None


def _exact(text: str) -> Decimal:
    number = Decimal(text)
    if abs(number.adjusted()) > _MOST_PLACES:
        raise ValueError(f"a number has more than {_MOST_PLACES} places")
    return number


_native = msgspec.json.Decoder(Native, float_hook=_exact)
_cloud = msgspec.json.Decoder(CloudEvent, float_hook=_exact)
_versioned = msgspec.json.Decoder(Versioned)
_array = msgspec.json.Decoder(list[msgspec.Raw])


def decode(body: bytes, content_type: str) -> Decoded:
    """The events of a body, in order. Raises Unreadable."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind in NDJSON:
        return _each([line for line in body.split(b"\n") if line.strip()], _told)
    if kind == CLOUD:
        return _each([body], _from_cloud)
    if kind == CLOUD_BATCH:
        return _each(_members(body), _from_cloud)
    if kind not in ("application/json", ""):
        raise Unreadable(
            f"Content-Type {kind[:60]} is not known; use application/x-ndjson, application/json,"
            f" {CLOUD} or {CLOUD_BATCH}."
        )
    return _each(_members(body) if body.lstrip()[:1] == b"[" else [body], _of_either_form)


def _members(body: bytes) -> list[bytes]:
    try:
        return [bytes(member) for member in _array.decode(body)]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"The body is not a JSON array: {error}.") from None


def _each(members: list[bytes], read: Callable[[bytes], Told]) -> Decoded:
    if not members:
        raise Unreadable("The body holds no events.")
    if len(members) > MAX_EVENTS:
        raise Unreadable(f"At most {MAX_EVENTS} events are accepted in one request; there are {len(members)}.")
    decoded: Decoded = []
    for member in members:
        try:
            decoded.append(read(member))
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, OverflowError, RecursionError) as error:
            decoded.append(Malformed(Problem("malformed", f"The event cannot be read: {error}."), _sample(member)))
    return decoded


def _of_either_form(member: bytes) -> Told:
    """Ours, or a CloudEvent, which clients of OpenMeter send as plain JSON too and which says what it is."""
    cloudy = b'"specversion"' in member and _versioned.decode(member).specversion is not None
    return _from_cloud(member) if cloudy else _told(member)


def _told(member: bytes) -> Told:
    native = _native.decode(member)
    return Told(
        event_name=native.event_name,
        payload=native.payload,
        identifier=native.identifier,
        occurred_at=_instant(native.timestamp),
        customer=native.customer,
        source=native.source,
    )


def _from_cloud(member: bytes) -> Told:
    cloud = _cloud.decode(member)
    if cloud.specversion != "1.0":
        raise ValueError(f"CloudEvents {cloud.specversion} is not known, 1.0 is")
    return Told(
        event_name=cloud.type,
        payload=cloud.data,
        identifier=cloud.id,
        occurred_at=_instant(cloud.time, naive=UTC),
        customer=cloud.subject,
        source=cloud.source,
    )


def _instant(told: datetime | int | None, *, naive: tzinfo | None = None) -> datetime | None:
    if told is None:
        return None
    if isinstance(told, int):
        return datetime.fromtimestamp(told, UTC)
    if told.tzinfo is None and naive is not None:
        return told.replace(tzinfo=naive)
    if told.tzinfo is None:
        raise ValueError("a timestamp needs an offset, such as Z - at `$.timestamp`")
    return told.astimezone(UTC)


def _sample(member: bytes) -> str:
    return member[:_SAMPLE].decode("utf-8", "replace").replace("\0", "\ufffd")
