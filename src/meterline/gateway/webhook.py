"""Sends webhooks: one POST to an address that a stranger chose.

An address is resolved once, checked, and connected to as checked, so a name that changes its answer between
check and use gains nothing. Redirects are not followed, bodies are cut, everything has a time-out.
"""

import asyncio
import ipaddress
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeAlias
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_BODY = 8 * 1024
_CONNECT_S = 5.0
_KEEP_S = 3.0  # below the 5 s after which common servers hang up: a reused connection must not be a dead one
_CONNECTIONS = 2_000
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Forbidden(OSError):
    """The address leads where webhooks must not go."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Which addresses may be called. Public ones always; loopback where `loopback` says so; `allowed` too."""

    loopback: bool = False
    allowed: Sequence[Network] = ()

    def permits(self, address: Address) -> bool:
        """Whether a connection to this address may be made; embedded IPv4 addresses are looked through."""
        address = _innermost(address)
        if any(address.version == network.version and address in network for network in self.allowed):
            return True
        if address.is_loopback:
            return self.loopback
        return address.is_global and not address.is_multicast


def _innermost(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


class _Resolver(AbstractResolver):
    """Answers with the addresses of a host that may be called, and with an error when there are none."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        results = [
            ResolveResult(
                hostname=host,
                host=str(sockaddr[0]),
                port=port,
                family=kind,
                proto=proto,
                flags=socket.AI_NUMERICHOST,
            )
            for kind, _, proto, _, sockaddr in found
            if self._reach.permits(ipaddress.ip_address(sockaddr[0]))
        ]
        if not results:
            raise Forbidden(f"{host} resolves to no address that webhooks may be sent to")
        return results

    async def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. Without a `status` nothing did, and `error` says why."""

    status: int | None
    headers: Mapping[str, str]
    body: str
    error: str | None
    duration_ms: int


class Sender:
    """Posts webhooks over kept connections; used as an async context manager.

    `live` and `test` say what each kind of environment may reach, `timeout_s` how long one call may take.
    """

    def __init__(self, *, live: Reach, test: Reach, timeout_s: float = 20.0) -> None:
        self._reach = {True: live, False: test}
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, connect=_CONNECT_S)
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        for livemode, reach in self._reach.items():
            connector = aiohttp.TCPConnector(
                resolver=_Resolver(reach), use_dns_cache=False, limit=_CONNECTIONS, keepalive_timeout=_KEEP_S
            )
            self._sessions[livemode] = aiohttp.ClientSession(
                connector=connector,
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for session in self._sessions.values():
            await session.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, livemode: bool) -> Answer:
        """Send and tell what happened; never raises for what the other side or the network did."""
        began = time.monotonic()

        def answer(
            *, status: int | None = None, headers: Mapping[str, str] | None = None, body: str = "", error: str | None
        ) -> Answer:
            spent = round((time.monotonic() - began) * 1000)
            return Answer(status=status, headers=headers or {}, body=body, error=error, duration_ms=spent)

        try:
            self._check_literal(url, self._reach[livemode])
            session = self._sessions[livemode]
            async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                said = await _head(response)
                return answer(status=response.status, headers=_bounded(response.headers), body=said, error=None)
        except TimeoutError:
            return answer(error="timed out")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return answer(error=_reason(error))

    @staticmethod
    def _check_literal(url: str, reach: Reach) -> None:
        """A host that is an address already is not resolved, so it is checked here."""
        try:
            address = ipaddress.ip_address((urlsplit(url).hostname or "").partition("%")[0])
        except ValueError:
            return
        if not reach.permits(address):
            raise Forbidden(f"webhooks may not be sent to {address}")


def _reason(error: Exception) -> str:
    """Why there is no answer, without the client library's own wording around a refusal of ours."""
    inner = error.__cause__ if isinstance(error.__cause__, Forbidden) else error
    return f"{inner}"[:500] or type(inner).__name__


async def _head(response: aiohttp.ClientResponse) -> str:
    """The first bytes of the body, as text; the rest is not read."""
    read = bytearray()
    async for chunk in response.content.iter_chunked(MAX_BODY):
        read += chunk
        if len(read) >= MAX_BODY:
            response.close()
            break
    return bytes(read[:MAX_BODY]).decode(errors="replace").replace("\0", "�")


def _bounded(headers: Mapping[str, str]) -> dict[str, str]:
    """A bounded copy of the answer's headers, names in lower case."""
    return {name.lower()[:100]: value.replace("\0", "")[:1_000] for name, value in list(headers.items())[:50]}
