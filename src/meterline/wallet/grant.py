"""Grants, and the total order in which they are used."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal, TypeAlias
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from meterline.ledger.posting import Funding, Slice
from meterline.money import EXACT, add, subtract

Purpose: TypeAlias = Literal["top_up", "adjustment", "bundled", "promotion"]

DEFAULT_PRIORITY = 50

_NEVER = datetime.max.replace(tzinfo=UTC)


class Grant(Struct, frozen=True, kw_only=True, gc=False):
    """An amount of prepaid value with a source and, mostly, an end.

    Usable from `effective_at` until just before `expires_at`. `scope` lists the event types, prices or products
    that it may pay for; empty means any. `priority`: lower is used first. `held` is the part of `remaining` that
    holds have set aside. `sequence` orders grants that were made at the same instant.
    """

    id: str
    asset: str
    funding: Funding
    purpose: Purpose
    granted: Decimal
    remaining: Decimal
    held: Decimal = Decimal(0)
    priority: int = DEFAULT_PRIORITY
    effective_at: datetime
    expires_at: datetime | None = None
    created: datetime
    sequence: UUID
    scope: tuple[str, ...] = ()
    source: str | None = None
    lapsed: bool = False

    def __post_init__(self) -> None:
        assert 0 <= self.held <= self.remaining <= self.granted, "a grant stays within its bounds"

    @property
    def free(self) -> Decimal:
        """What is neither used nor held."""
        return EXACT.subtract(self.remaining, self.held)

    def live(self, at: datetime) -> bool:
        """Whether the grant is in force at that instant."""
        return not self.lapsed and self.effective_at <= at and not self.over(at)

    def over(self, at: datetime) -> bool:
        """Whether it has expired by that instant."""
        return self.expires_at is not None and self.expires_at <= at

    def fits(self, marks: Iterable[str]) -> bool:
        """Whether it may pay for something with these marks (event type, price, product)."""
        return not self.scope or any(mark in self.scope for mark in marks)


def burn_order(grant: Grant) -> tuple[int, datetime, bool, datetime, datetime, UUID, str]:
    """The order of use: priority, then the sooner expiry, given before bought, the earlier start, the older."""
    return (
        grant.priority,
        grant.expires_at or _NEVER,
        grant.funding == "paid",
        grant.effective_at,
        grant.created,
        grant.sequence,
        grant.id,
    )


def take(
    grants: Sequence[Grant], amount: Decimal, *, at: datetime, marks: Iterable[str]
) -> tuple[tuple[Slice, ...], Decimal]:
    """The slices that cover `amount`, in order of use, and the shortage where the grants do not reach.

    `grants` must be in burn order.
    """
    marks = tuple(marks)
    slices: list[Slice] = []
    for grant in grants:
        if amount <= 0:
            break
        free = grant.free
        if free > 0 and grant.live(at) and grant.fits(marks):
            part = min(free, amount)
            slices.append(Slice(grant.id, grant.funding, part))
            amount = subtract(amount, part)
    return tuple(slices), amount


def change(
    grants: Sequence[Grant],
    slices: Iterable[Slice],
    *,
    remaining: Literal[-1, 0, 1] = 0,
    held: Literal[-1, 0, 1] = 0,
) -> tuple[Grant, ...]:
    """The grants with each slice added to, or taken from, what remains and what is held."""
    sums: dict[str, Decimal] = {}
    for each in slices:
        sums[each.grant] = EXACT.add(sums[each.grant], each.amount) if each.grant in sums else each.amount
    if not sums:
        return tuple(grants)
    assert sums.keys() <= {grant.id for grant in grants}, "slices are of grants that are at hand"
    return tuple(
        [
            replace(
                grant,
                remaining=EXACT.fma(sums[grant.id], remaining, grant.remaining),
                held=EXACT.fma(sums[grant.id], held, grant.held),
            )
            if grant.id in sums
            else grant
            for grant in grants
        ]
    )


def total(slices: Iterable[Slice]) -> Decimal:
    """What the slices come to."""
    return add(*(each.amount for each in slices))
