"""`POST /ingest/events` and `POST /api/v1/events`: up to 10,000 events, one verdict for each, in order.

The second is the address that OpenMeter's clients know; it answers 204 where every event has been taken care
of, and is the same otherwise.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec
import structlog

from meterline.api.asgi import Answer, Asked, BodyRefused, Hot
from meterline.api.auth import Keys, secret_in
from meterline.api.ingest.decode import Malformed, Unreadable, decode
from meterline.meter.intake import Problem
from meterline.store.database import out_of_reach
from meterline.store.event import digest16
from meterline.store.stray import Stray
from meterline.usecase.group_commit import Overloaded, Stopped, Unavailable
from meterline.usecase.ingest_events import Ingest, Told
from meterline.usecase.write_events import Accepted, Duplicate, Fate, Refused

log = structlog.get_logger(__name__)
_encode = msgspec.json.Encoder().encode


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What became of one event. `id` is its identifier, made by the server where none was told."""

    fate: str
    id: str | None = None
    code: str | None = None
    field: str | None = None
    message: str | None = None


def hot(ingest: Ingest, keys: Keys, *, openmeter: bool = False) -> Hot:
    """The route, on the ingest of this process."""

    async def handler(asked: Asked) -> Answer:
        try:
            return await _take(ingest, keys, asked, openmeter=openmeter)
        except Exception as error:
            if out_of_reach(error):
                log.warning("database_lost", path=asked.path, error=repr(error))
                return _unavailable()
            log.exception("call_failed", method="POST", path=asked.path)
            return refused(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "An unknown error occurred; see the log.")

    return Hot(handler, _refuse_body)


async def _take(ingest: Ingest, keys: Keys, asked: Asked, *, openmeter: bool) -> Answer:
    secret = secret_in(asked.headers)
    key = None if secret is None else await keys.find(secret)
    if key is None:
        return refused(HTTPStatus.UNAUTHORIZED, "unauthorized", "A valid API key is needed: Authorization: Bearer KEY.")
    if not key.allows("meter_events", "write"):
        return refused(HTTPStatus.FORBIDDEN, "forbidden", "The key may not write meter_events.")
    try:
        decoded = decode(asked.body, asked.headers.get("content-type", ""))
    except Unreadable as error:
        return refused(HTTPStatus.BAD_REQUEST, "unreadable", str(error))
    now = datetime.now(UTC)
    try:
        verdicts = await _verdicts(ingest, decoded, key.environment, now)
    except Overloaded as full:
        return refused(
            HTTPStatus.TOO_MANY_REQUESTS,
            "overloaded",
            "Events arrive faster than they can be stored. Nothing of this request was taken; send it again.",
            {"retry-after": str(full.retry_after)},
        )
    except (Unavailable, Stopped):
        return _unavailable()
    return _answer(verdicts, openmeter=openmeter)


async def _verdicts(
    ingest: Ingest, decoded: "Sequence[Told | Malformed]", environment: str, now: datetime
) -> list[Verdict]:
    told = [each for each in decoded if isinstance(each, Told)]
    fates = iter(
        await ingest.take(told, environment=environment, origin="own", now=now, keeps=lambda _: True) if told else []
    )
    malformed = [each for each in decoded if isinstance(each, Malformed)]
    if malformed:
        await ingest.keep([_stray(each, environment, now) for each in malformed])
    return [
        _rejected(each.problem, None) if isinstance(each, Malformed) else _verdict(next(fates), each)
        for each in decoded
    ]


def _verdict(fate: Fate, told: Told) -> Verdict:
    match fate:
        case Accepted():
            return Verdict("accepted", fate.identifier)
        case Duplicate():
            return Verdict("duplicate", fate.identifier)
        case Refused(problem):
            return _rejected(problem, told.identifier)
    raise AssertionError("events of this route carry no key")


def _rejected(problem: Problem, identifier: str | None) -> Verdict:
    fate = "parked" if problem.parked else "rejected"
    return Verdict(fate, identifier, problem.code, problem.field, problem.message)


def _answer(verdicts: Sequence[Verdict], *, openmeter: bool) -> Answer:
    counts = {"accepted": 0, "duplicate": 0, "rejected": 0, "parked": 0}
    for verdict in verdicts:
        counts[verdict.fate] += 1
    body: dict[str, Any] = {**counts, "verdicts": verdicts}
    if openmeter:
        if counts["rejected"] == 0:
            return Answer(HTTPStatus.NO_CONTENT, b"")
        return Answer(HTTPStatus.BAD_REQUEST, _encode(body))
    return Answer(HTTPStatus.OK, _encode(body))


def _stray(malformed: Malformed, environment: str, now: datetime) -> Stray:
    return Stray(
        environment=environment,
        key16=digest16(malformed.sample, of=b"malformed"),
        fate="rejected",
        code=malformed.problem.code,
        message=malformed.problem.message.replace("\0", ""),
        field=malformed.problem.field,
        origin="own",
        event_name=None,
        identifier=None,
        request_key=None,
        told=msgspec.json.encode({"raw": malformed.sample}).decode(),
        received_at=now,
    )


def refused(status: HTTPStatus, code: str, message: str, headers: dict[str, str] | None = None) -> Answer:
    """An error of the whole request: nothing of it needs to be looked for."""
    return Answer(status, _encode({"error": {"code": code, "message": message}}), headers or {})


def _unavailable() -> Answer:
    return refused(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "unavailable",
        "The database did not confirm all of the events. Sending the same request again is safe.",
        {"retry-after": "1"},
    )


def _refuse_body(error: BodyRefused, _: Mapping[str, str]) -> Answer:
    headers = {"retry-after": "1"} if error.status == HTTPStatus.TOO_MANY_REQUESTS else {}
    return refused(error.status, "unreadable", error.message, headers)
