"""The statement of a processor's account: every movement of money there, and the payouts that bring it to the bank."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

LineType: TypeAlias = Literal[
    "charge", "payment", "refund", "payment_refund", "refund_failure", "payment_failure_refund", "adjustment",
    "stripe_fee", "payout", "payout_failure", "payout_cancel", "other",
]  # fmt: skip
"""Stripe's words for why money moved. `other` is business at the processor that is none of ours."""

NOT_PAID_OUT: frozenset[LineType] = frozenset({"payout", "payout_failure", "payout_cancel"})
"""Lines that are the payouts themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLine:
    """One movement (`txn_…`). Amounts are minor units; `amount` is negative for money that left the processor.

    `source` is what moved the money here (a charge, a refund, a dispute, a payout), null where nothing of ours did;
    `reference` is the line's name at a processor over a network. `paid_out` of the net has gone to the bank.
    """

    environment: str
    customer_id: UUID
    id: str
    type: LineType
    source: str | None
    processor: str
    amount: int
    fee: int
    currency: str
    created: datetime
    available_on: datetime
    reference: str | None = None
    payout: str | None = None
    paid_out: int = 0
    description: str | None = None

    @property
    def net(self) -> int:
        """What the movement came to after the processor's fee."""
        return self.amount - self.fee

    @property
    def left(self) -> int:
        """What of it has not gone to the bank."""
        return self.net - self.paid_out


@dataclass(frozen=True, slots=True, kw_only=True)
class Payout:
    """Money that went from the processor to the bank (`po_…`); `explained` of it is lines of the statement."""

    environment: str
    customer_id: UUID
    id: str
    processor: str
    amount: int
    currency: str
    automatic: bool
    status: Literal["pending", "in_transit", "paid", "failed", "canceled"]
    created: datetime
    arrival_date: datetime
    explained: int = 0
    reference: str | None = None
    balance_transaction: str | None = None
    description: str | None = None
    statement_descriptor: str | None = None
    method: Literal["standard", "instant"] = "standard"
    metadata: Mapping[str, str] = field(default_factory=dict)


def allocate(amount: int, lines: Iterable[StatementLine]) -> list[tuple[StatementLine, int]]:
    """Which lines a payout of `amount` was made of, where nobody says it: what left the processor first, then what
    came in, the oldest first, the last one in part. Less than `amount` in all where the lines do not reach."""
    found = [line for line in lines if line.left]
    parts = [(line, line.left) for line in found if line.left < 0]
    rest = amount - sum(part for _, part in parts)
    for line in found:
        part = min(line.left, rest)
        if part > 0:
            parts.append((line, part))
            rest -= part
    return parts


def taken_by(payout: Payout, lines: Iterable[StatementLine]) -> list[tuple[StatementLine, int]]:
    """How much of each of its lines, the oldest first, the payout brought to the bank.

    An earlier payout may have taken a part of a line whose rest this one took: of the oldest lines first.
    """
    found = list(lines)
    earlier = sum(line.paid_out for line in found) - payout.explained
    parts: list[tuple[StatementLine, int]] = []
    for line in found:
        others = min(max(line.paid_out, 0), max(earlier, 0))
        earlier -= others
        parts.append((line, line.paid_out - others))
    return parts
