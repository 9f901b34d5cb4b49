"""The end of a grant, told ahead while something of it is left."""

from datetime import datetime, timedelta
from decimal import Decimal

from meterline.wallet.grant import Grant

AHEAD = (timedelta(days=30), timedelta(days=7), timedelta(days=1))
"""How long before its end a grant is told of, the earliest first."""


def reminders(*, expires_at: datetime, now: datetime) -> list[datetime]:
    """When the end of a grant made now is to be told ahead; those already past are left out."""
    return [at for ahead in AHEAD if (at := expires_at - ahead) > now]


def would_lapse(grant: Grant, *, reminder: datetime, now: datetime) -> Decimal | None:
    """What would lapse if nothing more of the grant were used, holds included; None where there is nothing to tell.

    That is so when it is used up or over, when its end was moved since the reminder was planned, and when a later
    reminder is due as well: one that comes late is not told beside the next.
    """
    if grant.expires_at is None or grant.lapsed or grant.over(now) or grant.remaining == 0:
        return None
    planned = [grant.expires_at - ahead for ahead in AHEAD]
    if reminder not in planned or any(reminder < later <= now for later in planned):
        return None
    return grant.remaining
