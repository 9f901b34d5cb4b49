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

from meterline.api import link
from meterline.api.asgi import Answer, Asked, BodyRefused, Hot
from meterline.api.auth import Keys, secret_in
from meterline.api.wallet import problem
from meterline.api.wallet.json import encode
from meterline.api.wallet.params import Params
from meterline.api.wallet.problem import Problem
from meterline.refusal import Refusal
from meterline.store.api_key import ApiKey
from meterline.store.database import TROUBLE, Database, out_of_reach, stopped_by_others
from meterline.store.identifier import account_id
from meterline.usecase.gate_calls import Gatekeeper
from meterline.usecase.ingest_events import Ingest

log = structlog.get_logger(__name__)

MAX_BODY = 2 * 1024 * 1024
_LONGEST_PART = 1000
_ATTEMPTS = 4
"""How often work is begun that the database stops because of others' locks."""

Json: TypeAlias = dict[str, Any]

P = TypeVar("P", bound=Params)
P_co = TypeVar("P_co", bound=Params, covariant=True)

_decode = msgspec.json.Decoder(float_hook=Decimal).decode


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
    gatekeeper: Gatekeeper

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """What stands behind the routes of one process."""

    database: Database
    keys: Keys
    ingest: Ingest
    gatekeeper: Gatekeeper


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A request, whoever read it: `path` what the route's pattern stands for, `told` the query or the JSON body."""

    url: str
    base_url: str
    headers: Mapping[str, str]
    path: Mapping[str, str]
    told: Any


def router(behind: Behind, resources: list[Routes]) -> APIRouter:
    """The router that serves every operation of `resources`."""
    serving = APIRouter()
    for routes in resources:
        for route in routes.all:
            serving.add_api_route(
                route.path,
                _endpoint(behind, route, routes.resource),
                methods=[route.method],
                name=f"wallet_{route.handler.__name__}",
                tags=[f"wallet {routes.resource}"],
                description=route.handler.__doc__,
                openapi_extra=_described(route),
                response_class=Response,
            )
    return serving


def _endpoint(behind: Behind, route: Route, resource: str) -> Callable[[Request], Awaitable[Response]]:
    async def heard(request: Request) -> Heard:
        link.HOME.notice(request)
        return Heard(
            url=request.url.path,
            base_url=link.HOME.url,
            headers=request.headers,
            path=request.path_params,
            told=dict(request.query_params) if route.method in ("GET", "DELETE") else parsed(await _body(request)),
        )

    async def endpoint(request: Request) -> Response:
        answer = await _told(behind, route, resource, request.url.path, request.headers, lambda: heard(request))
        json = "application/json" if answer.body else None
        return Response(answer.body, answer.status, answer.headers, media_type=json)

    return endpoint


def hot(behind: Behind, routes: Routes) -> dict[tuple[str, str], Hot]:
    """The operations of a resource whose paths name nothing, for those that answer most of the calls."""
    return {
        (route.method, route.path): Hot(_hot(behind, route, routes.resource), refuse_body)
        for route in routes.all
        if route.method == "POST" and "{" not in route.path
    }


def _hot(behind: Behind, route: Route, resource: str) -> Callable[[Asked], Awaitable[Answer]]:
    async def heard(asked: Asked) -> Heard:
        if len(asked.body) > MAX_BODY:
            raise _too_large()
        base_url = link.HOME.configured or f"http://{asked.headers.get('host', '')}"
        return Heard(url=asked.path, base_url=base_url, headers=asked.headers, path={}, told=parsed(asked.body))

    async def handler(asked: Asked) -> Answer:
        return await _told(behind, route, resource, asked.path, asked.headers, lambda: heard(asked))

    return handler


def refuse_body(refused: BodyRefused, _headers: Mapping[str, str]) -> Answer:
    code = "overloaded" if refused.status == HTTPStatus.TOO_MANY_REQUESTS else "malformed"
    return Problem(status=refused.status, detail=refused.message, code=code).answer("")


async def _told(
    behind: Behind,
    route: Route,
    resource: str,
    url: str,
    headers: Mapping[str, str],
    hear: Callable[[], Awaitable[Heard]],
) -> Answer:
    """The answer, whatever happens on the way to it."""
    try:
        key = await _authenticate(behind.keys, headers)
        _check_account(headers, key)
        if not key.allows(resource, "read" if route.method == "GET" else "write"):
            detail = f"The key may not do this to {resource}."
            raise Problem(status=HTTPStatus.FORBIDDEN, detail=detail, code="forbidden")
        return await _serve(behind, route, key, await hear())
    except Exception as error:  # noqa: BLE001 - every error has an answer
        return failed(error, url, method=route.method, pattern=route.path)


def failed(error: Exception, url: str, *, method: str, pattern: str) -> Answer:
    """What a caller hears of an error; of a bug only that there is one."""
    match error:
        case Problem():
            return error.answer(url)
        case Refusal():
            return problem.of_refusal(error).answer(url)
        case ValidationError():
            return problem.of_validation(error).answer(url)
    if out_of_reach(error):
        log.warning("database_lost", path=pattern, error=repr(error))
        return problem.unavailable().answer(url)
    log.error("call_failed", method=method, path=pattern, exc_info=error)
    return problem.internal().answer(url)


async def _serve(behind: Behind, route: Route, key: ApiKey, heard: Heard) -> Answer:
    if any("\0" in part or len(part) > _LONGEST_PART for part in heard.path.values()):
        raise Problem(status=HTTPStatus.NOT_FOUND, detail="Nothing is called that.", code="resource_missing")
    staged = Staged(
        key=key,
        params=route.params.model_validate(heard.told),
        path=heard.path,
        headers=heard.headers,
        base_url=heard.base_url,
        now=datetime.now(UTC),
        database=behind.database,
        ingest=behind.ingest,
        gatekeeper=behind.gatekeeper,
    )
    if route.staged:
        return _answer(route, await route.handler(staged), heard)
    return _answer(route, await _in_one_transaction(route, staged), heard)


async def _in_one_transaction(route: Route, staged: Staged[Any]) -> Json | Reply | Refusal | None:
    """Begin anew what the database stopped because of others' locks; give up as unavailable if that goes on."""
    for _ in range(_ATTEMPTS):
        try:
            async with staged.database.begin() as tx:
                return await route.handler(in_transaction(tx, staged))
        except TROUBLE as error:
            if not stopped_by_others(error):
                raise
    raise problem.unavailable()


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
        gatekeeper=staged.gatekeeper,
        tx=tx,
    )


def _answer(route: Route, result: Json | Reply | Refusal | None, heard: Heard) -> Answer:
    if isinstance(result, Refusal):
        return problem.of_refusal(result).answer(heard.url)
    if result is None or (route.quiet and wants_nothing(heard.headers)):
        return Answer(HTTPStatus.NO_CONTENT, b"")
    reply = result if isinstance(result, Reply) else Reply(status=route.status, body=result)
    body = b"" if reply.body is None else encode(reply.body)
    return Answer(reply.status, body, dict(reply.headers))


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


def named_secret(headers: Mapping[str, str]) -> str | None:
    """The secret of the key that a call is made with."""
    return headers.get("x-credyt-api-key") or secret_in(headers)


async def _authenticate(keys: Keys, headers: Mapping[str, str]) -> ApiKey:
    secret = named_secret(headers)
    if not secret:
        raise problem.unauthorized("An API key is expected in X-CREDYT-API-KEY, or as a Bearer token.")
    key = await keys.find(secret)
    if key is None:
        raise problem.unauthorized("The API key is not valid.")
    return key


async def _body(request: Request) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY:
            raise _too_large()
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large() -> Problem:
    return Problem(status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail=f"At most {MAX_BODY} bytes.", code="too_large")


def parsed(body: bytes) -> Any:
    """The JSON of a body, numbers as decimals; nothing at all is an empty object."""
    try:
        return _decode(body or b"{}")
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
