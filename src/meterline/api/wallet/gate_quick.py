"""Calls at the gate that are plainly written, which most are: decoded in one go, and decided without further ado.

A call is taken that names a remembered customer by id and an amount in plain digits, with a key that was looked up
within the last second. All others, and all that are wrong in any way, go to the route's own handler, which says so.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar

import msgspec

from meterline.api.asgi import Answer, Asked, Handler, Hot
from meterline.api.wallet import gate, problem
from meterline.api.wallet.gate import Asks
from meterline.api.wallet.gate_params import QuickAuthorize, QuickCapture, QuickExtend, QuickOfHold
from meterline.api.wallet.route import Behind, Json, failed, named_secret, refuse_body
from meterline.usecase.gate_calls import GateCall
from meterline.usecase.group_commit import Overloaded, Stopped, Unavailable
from meterline.usecase.hold_funds import Estimate
from meterline.usecase.work_wallet import OpenWallet

_PLAIN = re.compile(rb'"?((?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,12})?)"?').fullmatch
_ESCAPED_ZERO = b"\\u0000"
_LONGEST_BODY = 64 * 1024

P = TypeVar("P", bound=QuickOfHold)


class NotQuick(Exception):
    """The call is not one of these."""


def hot(behind: Behind, careful: Mapping[tuple[str, str], Hot]) -> dict[tuple[str, str], Hot]:
    """The hot routes of the gate, in front of the `careful` ones."""
    quick = {
        "/gate/authorize": (201, _reading(QuickAuthorize, _authorize)),
        "/gate/capture": (200, _reading(QuickCapture, _capture)),
        "/gate/extend": (200, _reading(QuickExtend, _extend)),
        "/gate/release": (200, _reading(QuickOfHold, gate.releasing)),
    }
    return {
        ("POST", path): Hot(_handler(behind, status, read, careful["POST", path]), refuse_body)
        for path, (status, read) in quick.items()
    }


def _handler(behind: Behind, status: int, read: Callable[[bytes], Asks], careful: Hot) -> Handler:
    async def handler(asked: Asked) -> Answer:
        call = _call(behind, asked, read)
        if call is None:
            return await careful.handler(asked)
        try:
            answer = await behind.gatekeeper.ask(call)
        except Overloaded as full:
            return problem.overloaded(full.retry_after).answer(asked.path)
        except (Unavailable, Stopped):
            return problem.unavailable().answer(asked.path)
        except Exception as error:  # noqa: BLE001 - every error has an answer
            return failed(error, asked.path, method=asked.method, pattern=asked.path)
        if isinstance(answer, dict):
            return Answer(status, msgspec.json.encode(answer))
        return problem.of_refusal(answer).answer(asked.path)

    return handler


def _call(behind: Behind, asked: Asked, read: Callable[[bytes], Asks]) -> GateCall | None:
    """The call, if it is one of these."""
    headers, body = asked.headers, asked.body
    secret = named_secret(headers)
    key = None if secret is None else behind.keys.fresh(secret)
    if key is None or not key.allows("gate", "write") or "x-credyt-account" in headers:
        return None
    if len(body) > _LONGEST_BODY or _ESCAPED_ZERO in body:
        return None
    try:
        asks = read(body)
    except (msgspec.MsgspecError, NotQuick, UnicodeDecodeError):
        return None
    _, remembered = behind.ingest.directory.remembered(key.environment)
    who = remembered.get(asks.customer_id or "")
    return None if who is None else gate.gate_call(asks, key.environment, who.customer_id, datetime.now(UTC))


def _reading(shape: type[P], prepare: Callable[[P], Asks]) -> Callable[[bytes], Asks]:
    decode = msgspec.json.Decoder(shape).decode
    return lambda body: prepare(decode(body))


def amount_in(raw: msgspec.Raw) -> Decimal:
    """The amount, told as a number or as text. Raises NotQuick for one that is not written in plain digits."""
    found = _PLAIN(bytes(raw))
    if found is None:
        raise NotQuick
    text = found[1].decode()
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)


def _authorize(asked: QuickAuthorize) -> Asks:
    amount = amount_in(asked.amount)
    if not amount:
        raise NotQuick
    wanted = Estimate(asset=asked.asset, amount=amount, marks=tuple(asked.marks), subject=asked.subject)

    async def estimate(_: OpenWallet) -> Estimate:
        return wanted

    return gate.authorizing(asked, said=authorize_said(asked, amount), estimate=estimate)


def authorize_said(asked: QuickAuthorize, amount: Decimal) -> Json:
    """What the caller asked for, as the full shape says it."""
    said: Json = {
        "id": asked.id,
        "asset": asked.asset,
        "amount": amount,
        "quantity": Decimal(1),
        "dimensions": {},
        "marks": asked.marks,
        "ttl_s": asked.ttl_s,
        "policy": asked.policy,
        "retryable": asked.retryable,
    }
    return said if asked.subject is None else said | {"subject": asked.subject}


def _capture(asked: QuickCapture) -> Asks:
    taken = amount_in(asked.amount)
    if not asked.final and asked.capture_id is None:
        raise NotQuick

    async def amount(_: OpenWallet) -> Decimal:
        return taken

    return gate.capturing(asked, said=capture_said(asked, taken), amount=amount)


def capture_said(asked: QuickCapture, amount: Decimal) -> Json:
    """What the caller asked for, as the full shape says it."""
    said: Json = {"id": asked.id, "amount": amount, "dimensions": {}, "final": asked.final}
    return said if asked.capture_id is None else said | {"capture_id": asked.capture_id}


def _extend(asked: QuickExtend) -> Asks:
    return gate.extending(asked, amount=amount_in(asked.amount))
