"""Where webhooks may go, and what a stranger's server can do to us: nothing."""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from meterline.gateway.webhook import MAX_BODY, Reach, Sender

LIVE = Reach()
TEST = Reach(loopback=True)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "10.0.0.1",
        "172.16.3.4",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.1.2.3",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
    ],
)
def test_what_is_not_public_is_out_of_reach_in_live(address: str) -> None:
    assert not LIVE.permits(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::101:101"])
def test_what_is_public_is_within_reach(address: str) -> None:
    assert LIVE.permits(ipaddress.ip_address(address)) and TEST.permits(ipaddress.ip_address(address))


def test_test_environments_reach_loopback_and_nothing_else_that_is_private() -> None:
    assert TEST.permits(ipaddress.ip_address("127.0.0.1")) and TEST.permits(ipaddress.ip_address("::1"))
    assert not TEST.permits(ipaddress.ip_address("10.0.0.1"))
    assert not TEST.permits(ipaddress.ip_address("169.254.169.254"))


def test_a_setting_opens_a_network() -> None:
    reach = Reach(allowed=[ipaddress.ip_network("10.1.0.0/16")])
    assert reach.permits(ipaddress.ip_address("10.1.2.3"))
    assert not reach.permits(ipaddress.ip_address("10.2.2.3"))


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def _server(answer: bytes | Talk) -> AsyncIterator[str]:
    """A server that says these bytes to every request, or does as told."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if isinstance(answer, bytes):
            writer.write(answer)
            writer.close()
        else:
            await answer(reader, writer)

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/",
        "http://[::1]:9/",
        "http://localhost:9/",
        "http://2130706433:9/",
        "http://0x7f.1:9/",
        "http://[::ffff:127.0.0.1]:9/",
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
    ],
)
async def test_a_forbidden_address_is_not_called_however_it_is_spelled(url: str) -> None:
    async with Sender(live=LIVE, test=TEST, timeout_s=5) as sender:
        answer = await sender.post(url, b"{}", {}, livemode=True)
    assert answer.status is None
    assert answer.error is not None and ("webhooks" in answer.error or "not a canonical" in answer.error)


async def test_a_name_is_called_at_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that answers well once and badly afterwards gets nowhere: it is asked once per connection."""
    async with _server(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nok") as url:
        port = int(url.rsplit(":", 1)[1])
        asked: list[str] = []

        async def resolve(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
            asked.append(host)
            address = "127.0.0.1" if len(asked) == 1 else "10.0.0.1"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        async with Sender(live=LIVE, test=TEST, timeout_s=5) as sender:
            first = await sender.post(f"http://rebinding.example:{port}/", b"{}", {}, livemode=False)
            second = await sender.post(f"http://rebinding.example:{port}/", b"{}", {}, livemode=False)
    assert first.status == 200 and asked == ["rebinding.example", "rebinding.example"]
    assert second.status is None and second.error is not None and "no address" in second.error


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    async with (
        _server(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n") as url,
        Sender(live=LIVE, test=TEST, timeout_s=5) as sender,
    ):
        answer = await sender.post(url, b"{}", {}, livemode=False)
    assert answer.status == 302 and answer.headers["location"] == "http://127.0.0.1:1/"


async def test_an_endless_answer_is_cut() -> None:
    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65_536)
                await writer.drain()
        except ConnectionError:
            writer.close()

    async with _server(flood) as url, Sender(live=LIVE, test=TEST, timeout_s=5) as sender:
        answer = await sender.post(url, b"{}", {}, livemode=False)
    assert answer.status == 200 and answer.body == "x" * MAX_BODY


async def test_an_endpoint_that_says_nothing_times_out() -> None:
    async def silence(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(3)
        writer.close()

    async with _server(silence) as url, Sender(live=LIVE, test=TEST, timeout_s=0.2) as sender:
        answer = await sender.post(url, b"{}", {}, livemode=False)
    assert (answer.status, answer.error) == (None, "timed out")


async def test_what_is_no_http_is_an_error_and_no_crash() -> None:
    async with _server(b"220 smtp.example ready\r\n") as url, Sender(live=LIVE, test=TEST, timeout_s=5) as sender:
        answer = await sender.post(url, b"{}", {}, livemode=False)
    assert answer.status is None and answer.error
