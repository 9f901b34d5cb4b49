"""Change the words of a credit note; its amounts never change."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice.credit_note import CreditNote
from meterline.store import credit_note as store
from meterline.usecase.credit_invoice import tell


async def update_credit_note(
    tx: AsyncConnection, before: CreditNote, *, memo: str | None, metadata: Mapping[str, str], now: datetime
) -> CreditNote:
    """A locked note with that memo and metadata. `now` is the customer's time, UTC."""
    after = replace(before, memo=memo, metadata=dict(metadata))
    if after != before:
        await store.save(tx, after)
        await tell(tx, "credit_note.updated", after, previous=before, now=now)
    return after
