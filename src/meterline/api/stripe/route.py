"""From an HTTP request to a handler and back: the stations every Stripe call passes, in their order.

authenticate → permit → version → parse → validate → idempotency → handler (one transaction) → expand → answer
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, TypeAlias

import msgspec
import structlog
from fastapi import APIRouter, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api import link
from meterline.api.auth import Keys
from meterline.api.stripe import auth, form, idempotency, version
from meterline.api.stripe.call import Call, Caller, Staged
from meterline.api.stripe.error import StripeError, internal, unavailable, unknown_url
from meterline.api.stripe.expand import expand
from meterline.api.stripe.json import Json, encode
from meterline.api.stripe.openapi import describe
from meterline.api.stripe.params import Params
from meterline.api.stripe.validation import validate
from meterline.refusal import Refusal
from meterline.store.database import Database, out_of_reach
from meterline.store.identifier import account_id, public
from meterline.store.notice import Cause, cause

log = structlog.get_logger(__name__)

Handler: TypeAlias = Callable[[Any], Awaitable[Json | Refusal]]
"""Takes a `Call` (or a `Staged`). Raising a Refusal undoes everything; returning one keeps what was
recorded and answers with the error, as for a declined payment."""

MAX_BODY = 2 * 1024 * 1024
_MAX_DISCARDED = 64 * 1024 * 1024
"""How much of a body that is too large is read and dropped: a client that is hung up on while it sends never
reads why."""
_LONGEST_ID = 255
_DEEPEST_JSON = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation: where it is, what it accepts, what it needs, who answers.

    `/v2` bodies are JSON; all others are forms, like Stripe's.
    """

    method: str
    path: str
    params: type[Params]
    handler: Handler
    resource: str
    staged: bool


@dataclass(slots=True)
class Routes:
    """The operations of one resource; `resource` names it in the permissions of restricted keys."""

    resource: str
    all: list[Route] = field(default_factory=list)

    def get(self, path: str, params: type[Params]) -> Callable[[Handler], Handler]:
        return self._add("GET", path, params, staged=False)

    def post(self, path: str, params: type[Params], *, staged: bool = False) -> Callable[[Handler], Handler]:
        return self._add("POST", path, params, staged=staged)

    def delete(self, path: str, params: type[Params], *, staged: bool = False) -> Callable[[Handler], Handler]:
        return self._add("DELETE", path, params, staged=staged)

    def _add(self, method: str, path: str, params: type[Params], *, staged: bool) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            route = Route(
                method=method,
                path=path,
                params=params,
                handler=handler,
                resource=self.resource,
                staged=staged,
            )
            self.all.append(route)
            return handler

        return register


def router(database: Database, keys: Keys, resources: list[Routes]) -> APIRouter:
    """The FastAPI router that serves every operation of `resources`."""
    serving = APIRouter()
    for routes in resources:
        for route in routes.all:
            serving.add_api_route(
                route.path,
                _endpoint(route, database, keys),
                methods=[route.method],
                name=route.handler.__name__,
                tags=[route.resource],
                description=route.handler.__doc__,
                openapi_extra=describe(route.method, route.path, route.params),
                response_class=Response,
            )
    return serving


def _endpoint(route: Route, database: Database, keys: Keys) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        headers = reply_headers(request)
        try:
            return await _serve(route, database, keys, request, headers)
        except Refusal as refusal:
            return answer(StripeError.of(refusal), headers)
        except StripeError as error:
            return answer(error, headers)
        except Exception as error:
            if out_of_reach(error):
                log.warning("database_lost", path=route.path, error=repr(error))
                return answer(unavailable(), headers)
            log.exception("call_failed", request_id=headers["request-id"], method=route.method, path=route.path)
            return answer(internal(), headers)

    return endpoint


def reply_headers(request: Request) -> dict[str, str]:
    """What every answer says: its own id, and the version asked for, spoken or not."""
    return {
        "request-id": public("req")[: len("req_") + 14],
        "stripe-version": request.headers.get("stripe-version") or version.LATEST,
    }


async def _serve(route: Route, database: Database, keys: Keys, request: Request, headers: dict[str, str]) -> Response:
    key = await auth.authenticate(keys, request.headers)
    auth.authorize(key, route.resource, route.method)
    auth.check_account(request.headers, account_id(key.environment))
    caller = Caller(
        key=key,
        version=version.spoken(request.headers.get("stripe-version")),
        request_id=headers["request-id"],
        idempotency_key=idempotency.key_in(request.headers) if route.method == "POST" else None,
    )
    link.HOME.notice(request)
    raw = await _raw_params(route, request)
    claim = idempotency.Claim.of(caller, _fingerprint(route, request, raw))
    cause.set(Cause(request_id=caller.request_id, idempotency_key=caller.idempotency_key))
    staged = Staged(
        caller=caller,
        params=validate(route.params, version.upgraded(route.params, raw, caller.version)),
        path=_path_ids(request),
        url=request.url.path,
        now=datetime.now(UTC).replace(microsecond=0),
        database=database,
    )

    async def work(tx: AsyncConnection | None) -> tuple[int, bytes]:
        return await _run(route, staged, tx)

    status, body, more = await idempotency.once(database, claim, work, staged=route.staged)
    return Response(body, status, headers | more, media_type="application/json")


async def _run(route: Route, staged: Staged[Params], tx: AsyncConnection | None) -> tuple[int, bytes]:
    """The handler's answer, expanded, shaped for the caller's version and encoded."""
    call: Staged[Params] = staged
    if tx is not None:
        call = Call(
            caller=staged.caller,
            params=staged.params,
            path=staged.path,
            url=staged.url,
            now=staged.now,
            database=staged.database,
            tx=tx,
        )
    result = await route.handler(call)
    if isinstance(result, Refusal):
        error = StripeError.of(result)
        return error.status, encode(error.body())
    if tx is not None:
        await expand(tx, staged.caller.key, result, staged.params.expand)
    else:
        async with staged.database.begin() as reading:
            await expand(reading, staged.caller.key, result, staged.params.expand)
    version.shape(result, staged.caller.version)
    return HTTPStatus.OK, encode(result)


_JSON = re.compile(r"\s*application/([a-z.]+\+)?json", re.IGNORECASE)
_NOT_A_FORM = re.compile(r"\s*(application/([a-z.]+\+)?(json|xml)|text/xml|multipart/)", re.IGNORECASE)


def _path_ids(request: Request) -> Mapping[str, str]:
    """The ids in the path. One that PostgreSQL could not store names nothing."""
    for id in request.path_params.values():
        if "\0" in id or len(id) > _LONGEST_ID:
            raise unknown_url(request.method, request.url.path.replace("\0", "")[:_LONGEST_ID])
    return request.path_params


async def _raw_params(route: Route, request: Request) -> dict[str, Any]:
    """Query and body parameters, nested but not typed; a body parameter wins over a query one."""
    params: dict[str, Any] = dict(form.parse(request.scope["query_string"]))
    body = await _bounded_body(request)
    if not body:
        return params
    kind = request.headers.get("content-type", "")
    if _JSON.match(kind) and not route.path.startswith("/v1/"):
        return params | _json(body)
    if _NOT_A_FORM.match(kind):
        raise StripeError.invalid(
            "Invalid request (check that your POST content type is application/x-www-form-urlencoded)."
        )
    return params | form.parse(body)


def _json(body: bytes) -> dict[str, Any]:
    try:
        decoded = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise StripeError.invalid("Invalid JSON body: an object was expected.") from None
    _check_text(decoded, depth=0)
    return decoded


def _check_text(node: Any, *, depth: int) -> None:
    """Refuse what the form parser refuses too: null bytes, and nesting without end."""
    if depth > _DEEPEST_JSON:
        raise StripeError.invalid(f"Parameters can be nested at most {_DEEPEST_JSON} levels deep.")
    if isinstance(node, dict):
        for key, member in node.items():
            _check_text(key, depth=depth)
            _check_text(member, depth=depth + 1)
    elif isinstance(node, list):
        for member in node:
            _check_text(member, depth=depth + 1)
    elif isinstance(node, str) and "\0" in node:
        raise StripeError.invalid("Invalid request: parameters must not contain null bytes.")


async def _bounded_body(request: Request) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MAX_BODY:
            chunks.append(chunk)
        elif size > _MAX_DISCARDED:
            break
    if size > MAX_BODY:
        raise StripeError.invalid(
            f"The request body is too large: at most {MAX_BODY} bytes are accepted.",
            status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        )
    return b"".join(chunks)


def _fingerprint(route: Route, request: Request, raw: dict[str, Any]) -> bytes:
    """What makes two requests the same: method, path and parameters, whatever their order."""
    said = f"{route.method} {request.url.path}\n".encode() + msgspec.json.encode(raw, order="deterministic")
    return hashlib.sha256(said).digest()


def answer(error: StripeError, headers: dict[str, str]) -> Response:
    """The HTTP response for an error."""
    return Response(encode(error.body()), error.status, headers | error.headers, media_type="application/json")
