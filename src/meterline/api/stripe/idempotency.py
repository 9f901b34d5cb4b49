"""Idempotency keys: one execution per key, its answer replayed.

The answer is kept in the transaction that did the work, so a crash leaves both or neither. What is refused
before execution (validation, a concurrent holder of the key, a 400) is not kept and can be retried with the
same key, and so can what met a database that was away (503); a decline (402), a missing subject (404) and a bug
(500) are answers.
"""

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Self, TypeAlias

import structlog
from asyncpg import PostgresError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api.stripe.call import Caller
from meterline.api.stripe.error import StripeError, internal, locked
from meterline.api.stripe.json import encode
from meterline.refusal import Refusal
from meterline.store import idempotency
from meterline.store.database import TROUBLE, Database, out_of_reach, stopped_by_others

log = structlog.get_logger(__name__)

Work: TypeAlias = Callable[[AsyncConnection | None], Awaitable[tuple[int, bytes]]]
Outcome: TypeAlias = tuple[int, bytes, dict[str, str]]

_STAGED_PATIENCE = timedelta(minutes=2)
"""After this long without an answer a staged call is taken for dead and may be run again."""
_NOT_KEPT = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.CONFLICT,
    HTTPStatus.TOO_MANY_REQUESTS,
}
_ATTEMPTS = 4
"""How often work is begun that the database stops because of others' locks."""


def key_in(headers: Mapping[str, str]) -> str | None:
    """The caller's key; at most 255 characters."""
    return checked(headers.get("idempotency-key"))


def checked(key: str | None) -> str | None:
    """A key as it was sent, None for an empty one; refuses one that is too long."""
    if key is not None and len(key) > 255:
        raise StripeError.invalid(
            f"Idempotency keys can be at most 255 characters long. This one is {len(key)} characters long."
        )
    return key or None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A key and what was asked under it."""

    environment: str
    key: str
    fingerprint: bytes
    request_id: str

    @classmethod
    def of(cls, caller: Caller, fingerprint: bytes) -> Self | None:
        """The claim of a call that carries a key."""
        if caller.idempotency_key is None:
            return None
        return cls(
            environment=caller.environment,
            key=caller.idempotency_key,
            fingerprint=fingerprint,
            request_id=caller.request_id,
        )

    def answer(self, status: int | None, body: bytes | None) -> idempotency.Answer:
        return idempotency.Answer(
            fingerprint=self.fingerprint,
            request_id=self.request_id,
            status=status,
            body=body,
            created=datetime.now(UTC),
        )


async def once(database: Database, claim: Claim | None, work: Work, *, staged: bool) -> Outcome:
    """Do the work, unless its key has an answer already; then replay that."""
    if claim is None:
        if staged:
            return *await work(None), {}
        return await _again(lambda: _unclaimed(database, work))
    try:
        if staged:
            outcome = await _staged(database, claim, work)
        else:
            outcome = await _again(lambda: _atomic(database, claim, work))
    except (Refusal, StripeError) as refused:
        error = StripeError.of(refused) if isinstance(refused, Refusal) else refused
        await _settle(database, claim, error, staged=staged)
        raise
    except Exception as error:
        if out_of_reach(error):
            raise  # no answer to keep: the same key may try again
        log.exception("call_failed", request_id=claim.request_id)
        await _settle(database, claim, internal(), staged=staged)
        raise internal() from None
    status, body, headers = outcome
    return status, body, {"idempotency-key": claim.key} | headers


async def _again(attempt: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """Begin anew what the database stopped to break a deadlock; give up as busy when that keeps happening."""
    for _ in range(_ATTEMPTS):
        try:
            return await attempt()
        except (DBAPIError, PostgresError) as error:
            if not stopped_by_others(error):
                raise
    raise locked()


async def _unclaimed(database: Database, work: Work) -> Outcome:
    async with database.begin() as tx:
        status, body = await work(tx)
    return status, body, {}


async def _atomic(database: Database, claim: Claim, work: Work) -> Outcome:
    async with database.begin() as tx:
        replayed = await _enter(tx, claim)
        if replayed is not None:
            return replayed
        status, body = await work(tx)
        await idempotency.keep(tx, claim.environment, claim.key, claim.answer(status, body))
    return status, body, {}


async def _staged(database: Database, claim: Claim, work: Work) -> Outcome:
    async with database.begin() as tx:
        replayed = await _enter(tx, claim)
        if replayed is not None:
            return replayed
        await idempotency.forget(tx, claim.environment, claim.key)
        await idempotency.keep(tx, claim.environment, claim.key, claim.answer(None, None))
    try:
        status, body = await work(None)
        async with database.begin() as tx:
            await idempotency.keep(tx, claim.environment, claim.key, claim.answer(status, body))
    except Exception as error:
        if out_of_reach(error):
            await _let_go(database, claim)
        raise
    return status, body, {}


async def _let_go(database: Database, claim: Claim) -> None:
    """Nobody works under the key any more; where even that cannot be written, it is free again after a while."""
    with contextlib.suppress(*TROUBLE):
        async with database.begin() as tx:
            await idempotency.forget(tx, claim.environment, claim.key)


async def _enter(tx: AsyncConnection, claim: Claim) -> Outcome | None:
    """The answer to replay, or None when the work is ours to do. Refuses a busy or a different use of the key."""
    if not await idempotency.lock(tx, claim.environment, claim.key):
        raise _in_use(claim)
    kept = await idempotency.find(tx, claim.environment, claim.key)
    if kept is None:
        return None
    if kept.fingerprint != claim.fingerprint:
        raise StripeError(
            status=HTTPStatus.BAD_REQUEST,
            type="idempotency_error",
            message=(
                "Keys for idempotent requests can only be used with the same parameters they were first used"
                f" with. Try using a key other than '{claim.key}' if you meant to execute a different request."
            ),
        )
    if kept.status is None or kept.body is None:
        if datetime.now(UTC) - kept.created < _STAGED_PATIENCE:
            raise _in_use(claim)
        return None
    return kept.status, kept.body, {"idempotent-replayed": "true", "original-request": kept.request_id}


def _in_use(claim: Claim) -> StripeError:
    return StripeError(
        status=HTTPStatus.CONFLICT,
        type="idempotency_error",
        code="idempotency_key_in_use",
        message=(
            "There is currently another in-progress request using this Idempotent Key (that probably means you"
            f" submitted twice, and the other request is still going through): {claim.key}. Please try again"
            " later."
        ),
    )


async def _settle(database: Database, claim: Claim, error: StripeError, *, staged: bool) -> None:
    """Keep an error that is an answer; let go of a staged claim whose error is not."""
    if error.type == "idempotency_error":
        return
    async with database.begin() as tx:
        if error.status not in _NOT_KEPT:
            answer = claim.answer(error.status, encode(error.body()))
            await idempotency.keep(tx, claim.environment, claim.key, answer)
        elif staged:
            await idempotency.forget(tx, claim.environment, claim.key)
