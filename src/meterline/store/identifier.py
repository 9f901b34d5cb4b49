"""New ids: Stripe-style public ones, and time-ordered UUIDs for the inside."""

import hashlib
import secrets
import string
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

_ALPHABET = string.ascii_letters + string.digits
_FAIR = 256 - 256 % len(_ALPHABET)
_LETTERS = bytes(ord(_ALPHABET[n % len(_ALPHABET)]) for n in range(256))
_UNFAIR = bytes(range(_FAIR, 256))
_MOST_IN_A_MS = 0xFFF
_SHORT = frozenset({"cus", "prod", "si"})


def public(prefix: str) -> str:
    """A fresh public id such as `price_…`: 14 random characters for customers, products and items, else 24."""
    length = 14 if prefix in _SHORT else 24
    return f"{prefix}_{_random(length)}"


def _random(length: int) -> str:
    """Characters of the alphabet, each as likely: bytes past its last whole multiple are left out."""
    drawn = b""
    while len(drawn) < length:
        drawn += secrets.token_bytes(2 * length).translate(_LETTERS, _UNFAIR)
    return drawn[:length].decode()


def derived(prefix: str, *of: str) -> str:
    """A public id that is the same for the same parts, of which at least one is unique to the installation."""
    digest = hashlib.sha256("\0".join(of).encode()).hexdigest()
    return f"{prefix}_{digest[:24]}"


class _Sequence:
    """The last time a UUIDv7 was made, and how many were made in that millisecond."""

    def __init__(self) -> None:
        self._ms = 0
        self._made = 0

    def next(self, now_ms: int) -> tuple[int, int]:
        """A pair of milliseconds and counter greater than any before."""
        if now_ms > self._ms:
            self._ms, self._made = now_ms, 0
        else:
            self._made += 1
            if self._made > 0xFFF:
                self._ms, self._made = self._ms + 1, 0
        return self._ms, self._made


_sequence = _Sequence()


def account_id(environment: str) -> str:
    """The account that an environment is to API clients: the same id for the same environment."""
    return f"acct_{hashlib.sha256(environment.encode()).hexdigest()[:16]}"


def house(environment: str) -> UUID:
    """Whose books hold what belongs to no customer of an environment: the same for the same environment."""
    return UUID(bytes=hashlib.sha256(f"house of {environment}".encode()).digest()[:16], version=5)


def made_at(sequence: UUID) -> datetime:
    """When a UUIDv7 was made, to the millisecond, UTC."""
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=sequence.int >> 80)


def sequences(count: int) -> list[str]:
    """So many fresh UUIDv7 as hexadecimal text, for rows that are written together."""
    chance = secrets.token_bytes(8 * count)
    now_ms = time.time_ns() // 1_000_000
    made = []
    for at in range(0, 8 * count, 8):
        milliseconds, counter = _sequence.next(now_ms)
        random = int.from_bytes(chance[at : at + 8]) >> 2
        made.append(f"{milliseconds:012x}7{counter:03x}{0b10 << 62 | random:016x}")
    return made


def uuid7() -> UUID:
    """A UUIDv7: 48 bits of milliseconds, a 12-bit counter inside the millisecond, 62 random bits.

    Strictly increasing within a process, so that things made in one transaction keep their order.
    """
    milliseconds, counter = _sequence.next(time.time_ns() // 1_000_000)
    number = (milliseconds & (1 << 48) - 1) << 80
    number |= 0x7 << 76 | counter << 64
    number |= 0b10 << 62 | int.from_bytes(secrets.token_bytes(8)) >> 2
    return UUID(int=number)
