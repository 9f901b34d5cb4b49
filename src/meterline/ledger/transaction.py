"""Transfers and transactions, their sums, their reversal, and the chain that makes tampering show."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache, lru_cache
from hashlib import sha256
from typing import TypeAlias
from uuid import UUID

import msgspec
from msgspec.structs import replace

from meterline.ledger.account import Account
from meterline.money import EXACT, add, round_debit, subtract, twelve_decimals

LARGEST = Decimal(10) ** 18
"""No single transfer reaches this; a column of 38 digits then holds 10^8 of the largest."""

NOTHING = Decimal(0)

_MOMENT = timedelta(microseconds=1)
"""The least by which booking times increase."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

GENESIS = bytes(32)
"""What the first transfer of a customer's books is chained to."""


class Transfer(msgspec.Struct, frozen=True, gc=False):
    """`amount` (more than zero, at most twelve decimals) goes from `debit` to `credit`, of the same asset.

    `grant` names the grant of prepaid value that it creates, uses or ends, where there is one.
    """

    debit: Account
    credit: Account
    amount: Decimal
    grant: str | None = None

    def __post_init__(self) -> None:
        assert self.debit.asset == self.credit.asset, "a transfer stays within one asset"
        assert self.debit != self.credit, "a transfer goes somewhere else"
        assert 0 < self.amount < LARGEST, "a transfer moves something"
        assert exact(self.amount), "a transfer is booked without rounding"


class Cause(msgspec.Struct, frozen=True, gc=False):
    """What made the books move: a kind of thing and its id (`event` `evt_…`, `invoice` `in_…`)."""

    kind: str
    id: str


class LedgerTransaction(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Transfers that happened together, for one cause, in one customer's books.

    `business_at` is when it happened for the customer (UTC). The number, the booking time and the hashes are
    given when it is booked.
    """

    cause: Cause
    business_at: datetime
    transfers: tuple[Transfer, ...]

    def __post_init__(self) -> None:
        assert self.transfers, "a transaction moves something"


class Booked(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A transaction in the books: the `number`-th of this customer, counted from 1 without gaps.

    `hashes` has one link per transfer; the first is chained to the last link of the transaction before.
    """

    number: int
    booked_at: datetime
    transaction: LedgerTransaction
    hashes: tuple[bytes, ...]


class Head(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Where a customer's books end: the last number, booking time and link of the chain."""

    customer_id: UUID
    number: int
    booked_at: datetime
    hash: bytes


Balances: TypeAlias = Mapping[Account, Decimal]
"""Credits minus debits per account; what is owed to somebody is positive."""


def exact(amount: Decimal) -> bool:
    """Whether the books can hold the amount as it is."""
    return amount.is_finite() and amount == round_debit(amount)


def new_books(customer_id: UUID) -> Head:
    """The head of books that nothing was booked in."""
    return Head(customer_id=customer_id, number=0, booked_at=_EPOCH, hash=GENESIS)


def fold(transfers: Iterable[Transfer], onto: Balances | None = None) -> dict[Account, Decimal]:
    """The change that the transfers make to each account, credits positive; accounts that end even stay in.

    They may come `onto` changes that were made before.
    """
    sums: dict[Account, Decimal] = dict(onto or {})
    for each in transfers:
        sums[each.debit] = EXACT.subtract(sums.get(each.debit, NOTHING), each.amount)
        sums[each.credit] = EXACT.add(sums.get(each.credit, NOTHING), each.amount)
    return sums


def reversal(transfers: Sequence[Transfer]) -> tuple[Transfer, ...]:
    """The transfers that undo these: the recorded legs, last first, the other way round."""
    return tuple(replace(each, debit=each.credit, credit=each.debit) for each in reversed(transfers))


def unwind(transfers: Sequence[Transfer], amount: Decimal) -> tuple[Transfer, ...]:
    """A part of the reversal: `amount` in all, taken from the last leg first.

    The legs' sum bounds it. A caller that unwinds repeatedly passes what is left of the legs each time.
    """
    assert 0 < amount <= add(*(each.amount for each in transfers)), "a reversal never exceeds the original"
    legs: list[Transfer] = []
    for each in reversal(transfers):
        part = min(each.amount, amount)
        if part > 0:
            legs.append(replace(each, amount=part))
        amount = subtract(amount, part)
    return tuple(legs)


def left(transfers: Sequence[Transfer], undone: Decimal) -> tuple[Transfer, ...]:
    """The legs that remain of `transfers` after `undone` was unwound from their end."""
    legs: list[Transfer] = []
    for each in reversed(transfers):
        part = max(subtract(each.amount, undone), Decimal(0))
        undone = max(subtract(undone, each.amount), Decimal(0))
        if part > 0:
            legs.append(replace(each, amount=part))
    return tuple(reversed(legs))


def book(head: Head, transactions: Sequence[LedgerTransaction], *, now: datetime) -> tuple[list[Booked], Head]:
    """The transactions as they go into the books, in order, and the new head. `now` is UTC.

    Booking times increase strictly, by a microsecond where the clock has not moved on.
    """
    booked: list[Booked] = []
    link, booked_at = head.hash, head.booked_at
    owner = _said(head.customer_id.hex)
    for number, each in enumerate(transactions, head.number + 1):
        booked_at += _MOMENT
        if now > booked_at:
            booked_at = now
        count = str(number)
        of = f"{owner}{len(count)}:{count}"
        why = _why(each.cause, instant_text(each.business_at), instant_text(booked_at))
        hashes = []
        for line, transfer in enumerate(each.transfers):
            link = _link(link, of, line, transfer, why)
            hashes.append(link)
        booked.append(Booked(number=number, booked_at=booked_at, transaction=each, hashes=tuple(hashes)))
    end = replace(head, number=head.number + len(booked), booked_at=booked_at, hash=link)
    return booked, end


def chained(
    previous: bytes,
    *,
    customer_id: UUID,
    number: int,
    line: int,
    transfer: Transfer,
    cause: Cause,
    business_at: datetime,
    booked_at: datetime,
) -> bytes:
    """The SHA-256 link for one transfer. Every field is preceded by its length, so no two rows look alike."""
    of = f"{_said(customer_id.hex)}{_said(str(number))}"
    return _link(previous, of, line, transfer, _why(cause, instant_text(business_at), instant_text(booked_at)))


def _link(previous: bytes, of: str, line: int, transfer: Transfer, why: str) -> bytes:
    """`of` says whose transaction it is, `why` what caused it and when; both are the same for each of its transfers."""
    at, amount, grant = str(line), twelve_decimals(transfer.amount), transfer.grant or ""
    accounts = _between(transfer.debit, transfer.credit)
    text = f"{of}{len(at)}:{at}{accounts}{len(amount)}:{amount}{len(grant)}:{grant}{why}"
    return sha256(previous + text.encode()).digest()


def _why(cause: Cause, business_at: str, booked_at: str) -> str:
    kind, id = cause.kind, cause.id
    return f"{len(kind)}:{kind}{len(id)}:{id}{len(business_at)}:{business_at}{len(booked_at)}:{booked_at}"


@cache
def _between(debit: Account, credit: Account) -> str:
    return f"{_said(debit.name)}{_said(credit.name)}{_said(debit.asset)}"


def _said(part: str) -> str:
    return f"{len(part)}:{part}"


@lru_cache(maxsize=8192)
def instant_text(moment: datetime) -> str:
    """The instant in UTC, to the microsecond. The instants of a batch are written several times each."""
    since = moment - _EPOCH
    return f"{_second(since.days, since.seconds)}.{str(since.microseconds).zfill(6)}+00:00"


@lru_cache(maxsize=256)
def _second(days: int, seconds: int) -> str:
    return (_EPOCH + timedelta(days=days, seconds=seconds)).isoformat()[:19]
