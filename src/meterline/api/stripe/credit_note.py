"""`/v1/credit_notes`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.credit_note_body import render, render_line
from meterline.api.stripe.credit_note_params import (
    CreditNoteCreate,
    CreditNoteList,
    CreditNotePreviewLines,
    CreditNoteUpdate,
)
from meterline.api.stripe.expand import expandable, fetcher
from meterline.api.stripe.json import Json
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import ListParams, Params, RetrieveParams, merge_metadata
from meterline.api.stripe.route import Routes
from meterline.api.stripe.snapshot import snapshots
from meterline.invoice.credit_note import CreditNote
from meterline.invoice.model import Invoice
from meterline.refusal import Missing
from meterline.store import credit_note as store
from meterline.store import customer as customers
from meterline.store import invoice as invoices
from meterline.store import row
from meterline.store.page import stretch
from meterline.usecase.create_credit_note import create_credit_note, preview_credit_note
from meterline.usecase.moment import moment
from meterline.usecase.update_credit_note import update_credit_note
from meterline.usecase.void_credit_note import void_credit_note

routes = Routes("credit_notes")

LINE = "credit_note_line_item"

expandable("credit_note", "customer", kind="customer")
expandable("credit_note", "customer_balance_transaction", kind="customer_balance_transaction")
expandable("credit_note", "invoice", kind="invoice")
expandable("credit_note.refunds", "refund", kind="refund")
for _part in ("credit_note", LINE):
    expandable(f"{_part}.discount_amounts", "discount", kind="discount")
    expandable(f"{_part}.pretax_credit_amounts", "discount", kind="discount")
    expandable(
        f"{_part}.pretax_credit_amounts", "credit_balance_transaction", kind="billing.credit_balance_transaction"
    )

snapshots(CreditNote, render, url="/v1/credit_notes/{id}")


@fetcher("credit_note")
async def fetch(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Json]:
    return {id: render(found) for id, found in (await store.find(tx, environment, ids)).items()}


@routes.post("/v1/credit_notes", CreditNoteCreate)
async def create(call: Call[CreditNoteCreate]) -> Json:
    """Lower a finalized invoice, and give back what of it was paid already."""
    invoice, now = await _invoice(call)
    return render(await create_credit_note(call.tx, invoice, call.params.asked(), now=now))


@routes.get("/v1/credit_notes/preview", CreditNoteCreate)
async def preview(call: Call[CreditNoteCreate]) -> Json:
    """A credit note as it would be; nothing is stored or moved."""
    invoice, now = await _invoice(call)
    return render(await preview_credit_note(call.tx, invoice, call.params.asked(), now=now))


@routes.get("/v1/credit_notes/preview/lines", CreditNotePreviewLines)
async def preview_lines(call: Call[CreditNotePreviewLines]) -> Json:
    """The lines of a credit note as it would be."""
    invoice, now = await _invoice(call)
    return _lines(call, await preview_credit_note(call.tx, invoice, call.params.asked(), now=now))


async def _invoice(call: Call[Any]) -> tuple[Invoice, datetime]:
    """The invoice that a parameter names, and what time it is for its customer."""
    id = call.params.invoice
    found = (await invoices.find(call.tx, call.environment, [id])).get(id)
    if found is None:
        raise Missing("invoice", id, param="invoice")
    return found, await moment(call.tx, environment=call.environment, test_clock=found.test_clock, now=call.now)


def _lines(call: Call[Any], note: CreditNote) -> Json:
    shown, has_more = stretch(note.lines, kind=LINE, cursor=cursor(call.params))
    return list_of([render_line(each, note) for each in shown], url=call.url, has_more=has_more)


@routes.get("/v1/credit_notes/{id}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Read one credit note."""
    return render(await store.get(call.tx, call.environment, call.path["id"]))


@routes.post("/v1/credit_notes/{id}", CreditNoteUpdate)
async def change(call: Call[CreditNoteUpdate]) -> Json:
    """Change a credit note's memo and metadata."""
    asked = call.params
    seen, now = await _seen(call)
    before = await store.lock(call.tx, customer_id=seen.customer_id, id=seen.id)
    changed = await update_credit_note(
        call.tx,
        before,
        memo=asked.memo if asked.sent("memo") else before.memo,
        metadata=merge_metadata(dict(before.metadata), asked.metadata),
        now=now,
    )
    return render(changed)


@routes.get("/v1/credit_notes/{id}/lines", ListParams)
async def lines(call: Call[ListParams]) -> Json:
    """List the lines of a credit note, in their order."""
    return _lines(call, await store.get(call.tx, call.environment, call.path["id"]))


@routes.post("/v1/credit_notes/{id}/void", Params)
async def void(call: Call[Params]) -> Json:
    """Void a credit note of an open invoice."""
    seen, now = await _seen(call)
    return render(await void_credit_note(call.tx, seen, now=now))


@routes.get("/v1/credit_notes", CreditNoteList)
async def listed(call: Call[CreditNoteList]) -> Json:
    """List credit notes, newest first."""
    asked = call.params
    owner = None
    if asked.customer is not None:
        owner = (await customers.get(call.tx, call.environment, asked.customer)).customer_id
    page = await store.listed(
        call.tx,
        call.environment,
        cursor(asked),
        customer_id=owner,
        invoice=asked.invoice,
        created=asked.created,
    )
    data = [render(row.load(CreditNote, each)) for each in page.rows]
    return list_of(data, url=call.url, has_more=page.has_more)


async def _seen(call: Call[Any]) -> tuple[CreditNote, datetime]:
    """The note that the call is about, and what time it is for its customer."""
    seen = await store.get(call.tx, call.environment, call.path["id"])
    now = await moment(call.tx, environment=call.environment, test_clock=seen.test_clock, now=call.now)
    return seen, now
