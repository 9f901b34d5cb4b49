"""The quick way of a call at the gate takes less than the careful way, and the same of it."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterline.api.wallet import gate
from meterline.api.wallet.gate_params import Authorize, Capture, QuickAuthorize, QuickCapture
from meterline.api.wallet.gate_quick import NotQuick, amount_in, authorize_said, capture_said
from meterline.api.wallet.params import Params
from meterline.api.wallet.route import parsed

AMOUNTS = [
    '"1"',
    "1",
    "0.10",
    '"0.10"',
    '"0"',
    "0",
    '"007"',
    '"1e3"',
    "1e3",
    "1E-3",
    '"NaN"',
    '""',
    "null",
    "-1",
    '"-0"',
]
AMOUNTS += ['"0.000000000001"', "0.0000000000001", "999999999999999", "1000000000000000", "true", "[1]", '"1 "', '"+1"']
MEMBERS = {
    "id": ['"call"', '"call"', '"call"', '""', "5", '"a\\u0000b"', '"a\\n"', f'"{"x" * 201}"', '"\\ud83d\\ude00"'],
    "asset": ['"USD"', '"USD"', '"USD"', '"usd"', '"U"', '"USD\\n"', '"TOKEN.S"', '"9X9"', "null"],
    "marks": ["[]", '["a"]', '[""]', "null", f"[{','.join(['1'] * 2)}]", '["b","a"]'],
    "subject": ['"ann"', '""', "null", f'"{"x" * 501}"'],
    "ttl_s": ["60", "0", "86400", "86401", '"60"', "1.5", "60.0"],
    "policy": ['"reject"', '"overdraft"', '"gift"'],
    "retryable": ["true", "false", '"true"', "1"],
    "capture_id": ['"c1"', "null", '""'],
    "final": ["true", "false", '"no"'],
    "surprise": ["1"],
}
AUTHORIZE = ("marks", "subject", "ttl_s", "policy", "retryable", "surprise")
CAPTURE = ("capture_id", "final", "surprise")


def bodies(required: tuple[str, ...], optional: tuple[str, ...]) -> st.SearchStrategy[bytes]:
    members = st.fixed_dictionaries(
        {"amount": st.sampled_from(AMOUNTS), **{name: st.sampled_from(MEMBERS[name]) for name in required}},
        optional={name: st.sampled_from(MEMBERS[name]) for name in optional},
    )
    return members.map(
        lambda told: (
            "{" + ",".join(f'"{name}":{value}' for name, value in told.items()) + ',"customer_id":"cus_1"}'
        ).encode()
    )


@given(bodies(("id", "asset"), AUTHORIZE))
def test_an_authorization_read_quickly_says_what_it_says_in_full(body: bytes) -> None:
    agree(body, QuickAuthorize, authorize_said, Authorize)


@given(bodies(("id",), CAPTURE))
def test_a_capture_read_quickly_says_what_it_says_in_full(body: bytes) -> None:
    agree(body, QuickCapture, capture_said, Capture)


def agree(body: bytes, quick: type[Any], says: Callable[[Any, Any], Any], full: type[Params]) -> None:
    """What is taken quickly is what the full shape takes; that the rest is left to the full shape proves nothing."""
    if b"\\u0000" in body:
        return
    try:
        asked = msgspec.json.decode(body, type=quick)
        said = says(asked, amount_in(asked.amount))
    except (msgspec.MsgspecError, NotQuick):
        return
    nothing = full is Authorize and not amount_in(asked.amount)
    nameless = full is Capture and not (asked.final or asked.capture_id)
    if nothing or nameless:
        return
    in_full = gate.said_in_full(full.model_validate(parsed(body)))
    assert msgspec.json.encode(said, order="deterministic") == msgspec.json.encode(in_full, order="deterministic")


@pytest.mark.parametrize("amount", ['"12.50"', "12.50", "12.5"])
def test_plain_amounts_are_read_quickly_however_they_are_told(amount: str) -> None:
    body = b'{"customer_id":"cus_1","id":"call","asset":"USD","amount":%s}' % amount.encode()
    assert str(amount_in(msgspec.json.decode(body, type=QuickAuthorize).amount)) == "12.5"
