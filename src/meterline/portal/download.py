"""Documents to download: invoices, receipts and credit notes as PDFs, opened by their address like the hosted pages."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from fastapi import APIRouter, Request
from fastapi.responses import Response

from meterline.payment.payment import InvoicePayment
from meterline.portal.hosted import served
from meterline.portal.page import HEADERS, not_found
from meterline.portal.sheet import Sheet, credit_note_sheet, invoice_sheet, receipt_sheet
from meterline.portal.typeset import pdf
from meterline.store import credit_note as credit_notes
from meterline.store import invoice as invoices
from meterline.store import payment as payments
from meterline.store import payment_method as methods
from meterline.store import seller as sellers
from meterline.store.database import Database

_DRAWING = ThreadPoolExecutor(max_workers=2, thread_name_prefix="pdf")
"""Drawing takes a core: two at a time, off the event loop, and the others wait their turn."""


def router(database: Database, *, public_url: str | None) -> APIRouter:
    """The documents, on this database. `public_url` is where hosted pages are reached; null takes the request's."""
    serving = APIRouter(prefix="/hosted", include_in_schema=False)

    async def invoice(database: Database, request: Request, environment: str, id: str) -> Response:
        home = (public_url or str(request.base_url)).rstrip("/")
        return await _drawn(await invoice_document(database, environment, id, home=home))

    for path, answer in (
        ("/invoice/{environment}/{id}/pdf", invoice),
        ("/invoice/{environment}/{id}/receipt", _answering(receipt_document)),
        ("/credit_note/{environment}/{id}/pdf", _answering(credit_note_document)),
    ):
        serving.add_api_route(path, served(database, answer), methods=["GET"])
    return serving


def _answering(
    document: Callable[[Database, str, str], Awaitable[Sheet | None]],
) -> Callable[[Database, Request, str, str], Awaitable[Response]]:
    async def answer(database: Database, _request: Request, environment: str, id: str) -> Response:
        return await _drawn(await document(database, environment, id))

    return answer


async def invoice_document(database: Database, environment: str, id: str, *, home: str) -> Sheet | None:
    """A finalized invoice; None for a draft, which is nothing to send yet."""
    async with database.begin() as tx:
        invoice = await invoices.get(tx, environment, id)
        seller = await sellers.find(tx, environment)
    if invoice.finalized_at is None:
        return None
    return invoice_sheet(invoice, seller, link=f"{home}/hosted/invoice/{environment}/{id}")


async def receipt_document(database: Database, environment: str, id: str) -> Sheet | None:
    """What was received for a paid invoice; None for one that is not paid."""
    async with database.begin() as tx:
        invoice = await invoices.get(tx, environment, id)
        seller = await sellers.find(tx, environment)
        links = (await payments.links(tx, [invoice]))[invoice.id]
        cards = await payments.cards_of(tx, invoice)
        named = await methods.find(tx, environment, list(cards.values()))
    if invoice.paid_at is None:
        return None
    words = {
        payment: f"{named[method].card.brand.title()} ending in {named[method].card.last4}"
        for payment, method in cards.items()
        if method in named
    }
    return receipt_sheet(invoice, seller, paid=_received(links, words))


def _received(links: list[InvoicePayment], words: dict[str, str]) -> list[tuple[InvoicePayment, str]]:
    """The payments that came, oldest first, each with the words for how."""
    return [(link, words.get(link.payment, "Payment")) for link in reversed(links) if link.status == "paid"]


async def credit_note_document(database: Database, environment: str, id: str) -> Sheet | None:
    """A credit note, void or not."""
    async with database.begin() as tx:
        note = await credit_notes.get(tx, environment, id)
        invoice = await invoices.get(tx, environment, note.invoice)
        seller = await sellers.find(tx, environment)
    return credit_note_sheet(note, invoice, seller)


async def _drawn(sheet: Sheet | None) -> Response:
    if sheet is None:
        return not_found()
    loop = asyncio.get_running_loop()
    drawn = await loop.run_in_executor(_DRAWING, lambda: pdf(sheet.plain(), issued=int(sheet.created.timestamp())))
    name = f"{sheet.title} {sheet.number}".replace(" ", "-")
    plain = "".join(letter for letter in name if letter.isascii() and (letter.isalnum() or letter in "-_."))
    return Response(
        drawn,
        media_type="application/pdf",
        headers=HEADERS | {"content-disposition": f'inline; filename="{plain or "document"}.pdf"'},
    )
