"""Money that the card's bank took back, and what becomes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from meterline.refusal import Refusal
from meterline.wallet.taken import Taken

DisputeStatus = Literal["needs_response", "under_review", "won", "lost"]

WINNING = "winning_evidence"
LOSING = "losing_evidence"
"""In test environments the text of the evidence decides how a dispute ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """A bank's objection to a charge. `amount` (minor units) stays away from the house unless it is won."""

    environment: str
    customer_id: UUID
    id: str
    charge: str
    payment: str
    processor: str
    amount: int
    currency: str
    reason: str
    status: DisputeStatus
    created: datetime
    due_by: datetime
    evidence: Mapping[str, str] = field(default_factory=dict)
    submissions: int = 0
    taken: Taken | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


def argued(dispute: Dispute, *, evidence: Mapping[str, str], submit: bool) -> Dispute:
    """The dispute with (more) evidence; submitted, it is decided by what the evidence says, or reviewed."""
    require_open(dispute)
    collected = replace(dispute, evidence={**dispute.evidence, **evidence})
    if not submit or not collected.evidence:
        return collected
    said = set(collected.evidence.values())
    status: DisputeStatus = "won" if WINNING in said else "lost" if LOSING in said else "under_review"
    return replace(collected, status=status, submissions=collected.submissions + 1)


def closed(dispute: Dispute) -> Dispute:
    """The dispute accepted: it is lost."""
    require_open(dispute)
    return replace(dispute, status="lost")


def require_open(dispute: Dispute) -> None:
    """Refuses to argue about what is decided."""
    if dispute.status not in ("needs_response", "under_review"):
        raise Refusal("This dispute is already closed")
