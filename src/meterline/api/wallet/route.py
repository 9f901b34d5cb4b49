"""From an HTTP request to a handler and back, in the wallet dialect.

authenticate → parse → validate → handler (one transaction) → answer
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec
import structlog
from fastapi import APIRouter, Request, Response
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api.auth import Keys, secret_in
from meterline.api.wallet import problem
from meterline.api.wallet.params import Params
from meterline.api.wallet.problem import Problem
from meterline.refusal import Refusal
from meterline.store.api_key import ApiKey
from meterline.store.database import Database, out_of_reach
from meterline.store.identifier import account_id
from meterline.usecase.ingest_events import Ingest

log = structlog.get_logger(__name__)

MAX_BODY = 2 * 1024 * 1024
_LONGEST_PART = 1000

Json: TypeAlias = dict[str, Any]

P = TypeVar("P", bound=Params)
P_co = TypeVar("P_co", bound=Params, covariant=True)

_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer that is not simply a body under the route's usual status."""

    status: int
    body: Json | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged(Generic[P_co]):
    """A call that opens its own transactions. `now` is the wall clock, UTC."""

    key: ApiKey
    params: P_co
    path: Mapping[str, str]
    headers: Mapping[str, str]
    base_url: str
    now: datetime
    database: Database
    ingest: Ingest

    @property
    def environment(self) -> str:
        return self.key.environment


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Staged[P_co]):
    """A call inside one transaction, which commits when the handler returns."""

    tx: AsyncConnection


Handler: TypeAlias = Callable[[Any], Awaitable[Json | Reply | Refusal | None]]
"""Takes a `Call` (or a `Staged`). Raising a Refusal undoes everything; returning one keeps what was recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation. A `quiet` one has nothing to say to callers who want to hear of failures only."""

    method: str
    path: str
    params: type[Params]
    handler: Handler
    status: int
    staged: bool
    quiet: bool = False


@dataclass(slots=True)
class Routes:
    """The operations of one resource; `resource` names it in the permissions of restricted keys."""

    resource: str
    all: list[Route] = field(default_factory=list)

    def get(self, path: str, params: type[Params]) -> Callable[[Handler], Handler]:
        return self._add("GET", path, params, HTTPStatus.OK)

    def post(
        self,
        path: str,
        params: type[Params],
        *,
        status: int = HTTPStatus.OK,
        staged: bool = False,
        quiet: bool = False,
    ) -> Callable[[Handler], Handler]:
        return self._add("POST", path, params, status, staged=staged, quiet=quiet)

    def put(self, path: str, params: type[Params]) -> Callable[[Handler], Handler]:
        return self._add("PUT", path, params, HTTPStatus.OK)

    def patch(self, path: str, params: type[Params], *, quiet: bool = False) -> Callable[[Handler], Handler]:
        return self._add("PATCH", path, params, HTTPStatus.OK, quiet=quiet)

    def delete(self, path: str, params: type[Params]) -> Callable[[Handler], Handler]:
        return self._add("DELETE", path, params, HTTPStatus.NO_CONTENT)

    def _add(
        self,
        method: str,
        path: str,
        params: type[Params],
        status: int,
        *,
        staged: bool = False,
        quiet: bool = False,
    ) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            route = Route(
                method=method, path=path, params=params, handler=handler, status=status, staged=staged, quiet=quiet
            )
            self.all.append(route)
            return handler

        return register


def router(database: Database, keys: Keys, ingest: Ingest, resources: list[Routes]) -> APIRouter:
    """The router that serves every operation of `resources`."""
    serving = APIRouter()
    for routes in resources:
        for route in routes.all:
            serving.add_api_route(
                route.path,
                _endpoint(route, routes.resource, database, keys, ingest),
                methods=[route.method],
                name=f"wallet_{route.handler.__name__}",
                tags=[f"wallet {routes.resource}"],
                description=route.handler.__doc__,
                openapi_extra=_described(route),
                response_class=Response,
            )
    return serving


def _endpoint(
    route: Route, resource: str, database: Database, keys: Keys, ingest: Ingest
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return await _serve(route, resource, database, keys, ingest, request)
        except Problem as found:
            return found.response(request.url.path)
        except Refusal as refusal:
            return problem.of_refusal(refusal).response(request.url.path)
        except ValidationError as error:
            return problem.of_validation(error).response(request.url.path)
        except Exception as error:
            if out_of_reach(error):
                log.warning("database_lost", path=route.path, error=repr(error))
                return problem.unavailable().response(request.url.path)
            log.exception("call_failed", method=route.method, path=route.path)
            return problem.internal().response(request.url.path)

    return endpoint


async def _serve(
    route: Route, resource: str, database: Database, keys: Keys, ingest: Ingest, request: Request
) -> Response:
    key = await _authenticate(keys, request.headers)
    _check_account(request.headers, key)
    if not key.allows(resource, "read" if route.method == "GET" else "write"):
        raise Problem(status=HTTPStatus.FORBIDDEN, detail=f"The key may not do this to {resource}.", code="forbidden")
    if any("\0" in part or len(part) > _LONGEST_PART for part in request.path_params.values()):
        raise Problem(status=HTTPStatus.NOT_FOUND, detail="Nothing is called that.", code="resource_missing")
    raw = dict(request.query_params) if route.method in ("GET", "DELETE") else await _body(request)
    staged = Staged(
        key=key,
        params=route.params.model_validate(raw),
        path=request.path_params,
        headers=request.headers,
        base_url=str(request.base_url).rstrip("/"),
        now=datetime.now(UTC),
        database=database,
        ingest=ingest,
    )
    if route.staged:
        return _answer(route, await route.handler(staged), request)
    async with database.begin() as tx:
        result = await route.handler(in_transaction(tx, staged))
    return _answer(route, result, request)


def in_transaction(tx: AsyncConnection, staged: Staged[P]) -> Call[P]:
    """The call inside a transaction that its handler opened."""
    return Call(
        key=staged.key,
        params=staged.params,
        path=staged.path,
        headers=staged.headers,
        base_url=staged.base_url,
        now=staged.now,
        database=staged.database,
        ingest=staged.ingest,
        tx=tx,
    )


def _answer(route: Route, result: Json | Reply | Refusal | None, request: Request) -> Response:
    if isinstance(result, Refusal):
        return problem.of_refusal(result).response(request.url.path)
    if result is None or (route.quiet and wants_nothing(request.headers)):
        return Response(status_code=HTTPStatus.NO_CONTENT)
    reply = result if isinstance(result, Reply) else Reply(status=route.status, body=result)
    if reply.body is None:
        return Response(status_code=reply.status, headers=dict(reply.headers))
    return Response(_encode(reply.body), reply.status, dict(reply.headers), media_type="application/json")


def wants_nothing(headers: Mapping[str, str]) -> bool:
    """Whether the caller wants an empty 204 where the original answers so: it says so, or is the original's own SDK."""
    return "return=minimal" in headers.get("prefer", "") or "credyt-api/" in headers.get("user-agent", "")


def _check_account(headers: Mapping[str, str], key: ApiKey) -> None:
    """There are no connected accounts: the only one to act for is the key's own."""
    named = headers.get("x-credyt-account")
    if named is not None and named != account_id(key.environment):
        raise Problem(
            status=HTTPStatus.FORBIDDEN,
            detail="The key acts for its own account alone; connected accounts are not offered.",
            code="account_unavailable",
        )


async def _authenticate(keys: Keys, headers: Mapping[str, str]) -> ApiKey:
    secret = headers.get("x-credyt-api-key") or secret_in(headers)
    if not secret:
        raise problem.unauthorized("An API key is expected in X-CREDYT-API-KEY, or as a Bearer token.")
    key = await keys.find(secret)
    if key is None:
        raise problem.unauthorized("The API key is not valid.")
    return key


async def _body(request: Request) -> Any:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY:
            raise Problem(
                status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail=f"At most {MAX_BODY} bytes.", code="too_large"
            )
        chunks.append(chunk)
    try:
        return _decode(b"".join(chunks) or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ArithmeticError):
        raise Problem(status=HTTPStatus.BAD_REQUEST, detail="The body is not JSON.", code="malformed") from None


def _described(route: Route) -> Json:
    schema = route.params.model_json_schema()
    if route.method in ("GET", "DELETE"):
        members = schema.get("properties", {})
        required = schema.get("required", [])
        query = [
            {"name": name, "in": "query", "required": name in required, "schema": member}
            for name, member in members.items()
        ]
        path = [
            {"name": part[1:-1], "in": "path", "required": True, "schema": {"type": "string"}}
            for part in route.path.split("/")
            if part.startswith("{")
        ]
        return {"parameters": [*path, *query]}
    return {"requestBody": {"content": {"application/json": {"schema": schema}}}}
