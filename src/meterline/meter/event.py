"""The usage event: one thing that happened, as told from outside."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageEvent:
    """One thing that a customer used.

    `value` is what the event adds (negative takes back); a counting meter ignores it. `member` is the text
    that a meter of distinct values counts, null for every other meter. `occurred_at` is when it happened, as
    told; `received_at` when it reached us. Both are UTC.
    """

    customer_id: UUID
    identifier: str
    meter: str
    value: Decimal
    occurred_at: datetime
    received_at: datetime
    dimensions: Mapping[str, str] = field(default_factory=dict)
    member: str | None = None
