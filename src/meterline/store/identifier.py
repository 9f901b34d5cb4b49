"""New ids: Stripe-style public ones, and time-ordered UUIDs for the inside."""

import secrets
import string
import time
from uuid import UUID

_ALPHABET = string.ascii_letters + string.digits
_SHORT = frozenset({"cus", "prod", "si"})

_last_ms = 0
_counter = 0


def public(prefix: str) -> str:
    """A fresh public id such as `price_…`: 14 random characters for customers, products and items, else 24."""
    length = 14 if prefix in _SHORT else 24
    return f"{prefix}_{''.join(secrets.choice(_ALPHABET) for _ in range(length))}"


def uuid7() -> UUID:
    """A UUIDv7: 48 bits of milliseconds, a 12-bit counter inside the millisecond, 62 random bits.

    Strictly increasing within a process, so that things made in one transaction keep their order.
    """
    global _last_ms, _counter
    now_ms = time.time_ns() // 1_000_000
    if now_ms > _last_ms:
        _last_ms, _counter = now_ms, 0
    else:
        _counter += 1
        if _counter > 0xFFF:
            _last_ms, _counter = _last_ms + 1, 0
    number = (_last_ms & (1 << 48) - 1) << 80
    number |= 0x7 << 76 | _counter << 64
    number |= 0b10 << 62 | secrets.randbits(62)
    return UUID(int=number)
