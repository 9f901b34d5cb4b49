"""`/v1/invoices`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api.stripe import invoice_line, invoice_payment
from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.discount_params import asked_discounts
from meterline.api.stripe.expand import expandable, fetcher, includable
from meterline.api.stripe.invoice_body import render
from meterline.api.stripe.invoice_params import (
    AddLines,
    Finalize,
    InvoiceCreate,
    InvoiceList,
    InvoiceUpdate,
    LineUpdate,
    Pay,
    RemoveLines,
    UpdateLines,
    asked_item,
)
from meterline.api.stripe.json import Json
from meterline.api.stripe.listing import list_of, nested_list
from meterline.api.stripe.params import Params, RetrieveParams, merge_metadata
from meterline.api.stripe.route import Routes
from meterline.api.stripe.search import SearchParams, searchable
from meterline.api.stripe.snapshot import snapshots
from meterline.invoice.model import Invoice
from meterline.payment.payment import ActionNeeded, Payment, Refused
from meterline.refusal import Declined, Missing, Refusal
from meterline.store import customer as customers
from meterline.store import invoice as store
from meterline.store import payment as payments
from meterline.usecase.create_invoice import AskedInvoice, create_invoice
from meterline.usecase.edit_invoice_lines import (
    AddedLine,
    AlteredLine,
    DroppedLine,
    Merge,
    add_lines,
    remove_lines,
    update_lines,
)
from meterline.usecase.finalize_invoice import finalize_invoice
from meterline.usecase.mark_uncollectible import mark_uncollectible
from meterline.usecase.moment import moment
from meterline.usecase.pay_invoice import pay_elsewhere, pay_invoice
from meterline.usecase.recount_draft import as_known_now
from meterline.usecase.send_invoice import send_invoice
from meterline.usecase.update_invoice import delete_invoice, update_invoice
from meterline.usecase.void_invoice import void_invoice

routes = Routes("invoices")

expandable("invoice", "customer", kind="customer")
expandable("invoice", "default_payment_method", kind="payment_method")
expandable("invoice", "test_clock", kind="test_helpers.test_clock")
expandable("invoice", "discounts", kind="discount")
expandable("invoice.total_discount_amounts", "discount", kind="discount")
expandable("invoice.total_pretax_credit_amounts", "discount", kind="discount")
expandable("invoice.parent.subscription_details", "subscription", kind="subscription")

snapshots(Invoice, render, url="/v1/invoices/{id}")


@fetcher("invoice")
async def fetch(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Json]:
    return await _rendered(tx, list((await store.find(tx, environment, ids)).values()))


async def _rendered(tx: AsyncConnection, invoices: Sequence[Invoice]) -> dict[str, Json]:
    """The invoices as they look now, by id, with what is only sent to who expands it."""
    if not invoices:
        return {}
    invoices = await as_known_now(tx, invoices)
    links = await payments.links(tx, invoices)
    asked_for = await payments.defaults(tx, invoices)
    return {
        invoice.id: includable(
            render(invoice),
            confirmation_secret=_secret(asked_for.get(invoice.id)),
            payments=nested_list(
                [invoice_payment.render(link) for link in links[invoice.id]],
                url=f"/v1/invoice_payments?invoice={invoice.id}",
            ),
        )
        for invoice in invoices
    }


async def _shown(tx: AsyncConnection, invoice: Invoice) -> Json:
    return (await _rendered(tx, [invoice]))[invoice.id]


def _secret(payment: Payment | None) -> Json | None:
    if payment is None or payment.status in ("succeeded", "canceled"):
        return None
    return {"client_secret": payment.client_secret, "type": "payment_intent"}


@routes.post("/v1/invoices", InvoiceCreate)
async def create(call: Call[InvoiceCreate]) -> Json:
    """Create a draft."""
    asked = call.params
    if asked.customer is None:
        raise Refusal("Missing required param: customer.", code="parameter_missing", param="customer")
    draft = await create_invoice(
        call.tx,
        AskedInvoice(
            environment=call.environment,
            customer=asked.customer,
            subscription=asked.subscription,
            currency=asked.currency,
            auto_advance=asked.auto_advance,
            automatically_finalizes_at=asked.automatically_finalizes_at,
            collection_method=asked.collection_method or "charge_automatically",
            days_until_due=asked.days_until_due,
            due_date=asked.due_date,
            effective_at=asked.effective_at,
            number=asked.number,
            include_pending=asked.pending_invoice_items_behavior == "include",
            discounts=asked_discounts(asked.discounts) if asked.sent("discounts") else None,
            default_payment_method=asked.default_payment_method,
            default_tax_rates=asked.default_tax_rates,
            description=asked.description,
            footer=asked.footer,
            statement_descriptor=asked.statement_descriptor,
            custom_fields=asked.own_fields(),
            rendering=None if asked.rendering is None else asked.rendering.rendering(),
            payment_method_types=asked.method_types(),
            metadata=merge_metadata({}, asked.metadata),
        ),
        now=call.now,
    )
    return await _shown(call.tx, draft)


@routes.get("/v1/invoices/search", SearchParams)
async def search(call: Call[SearchParams]) -> Json:
    """Search invoices; those on test clocks are not found."""
    found = await searchable(call, store.SEARCH, Invoice, lambda invoice: {"id": invoice.id})
    ids = [each["id"] for each in found["data"]]
    whole = await fetch(call.tx, call.environment, ids)
    found["data"] = [whole[id] for id in ids]
    return found


@routes.get("/v1/invoices/{invoice}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Read one invoice."""
    return await _shown(call.tx, await store.get(call.tx, call.environment, call.path["invoice"]))


@routes.post("/v1/invoices/{invoice}", InvoiceUpdate)
async def change(call: Call[InvoiceUpdate]) -> Json:
    """Change a draft, or the little that may change on a finalized invoice."""
    seen, now = await _seen(call, param="id")
    changed = await update_invoice(
        call.tx,
        environment=call.environment,
        id=seen.id,
        changes=_changes(call.params, seen),
        discounts=asked_discounts(call.params.discounts) if call.params.sent("discounts") else None,
        default_tax_rates=call.params.default_tax_rates,
        now=now,
    )
    return await _shown(call.tx, changed)


def _changes(asked: InvoiceUpdate, before: Invoice) -> Mapping[str, object]:
    """What was sent, as fields of the invoice."""
    plain = (
        "auto_advance",
        "automatically_finalizes_at",
        "collection_method",
        "days_until_due",
        "default_payment_method",
        "description",
        "due_date",
        "effective_at",
        "footer",
        "number",
        "statement_descriptor",
    )
    changes: dict[str, object] = {name: getattr(asked, name) for name in plain if asked.sent(name)}
    if asked.sent("custom_fields"):
        changes["custom_fields"] = asked.own_fields()
    if asked.sent("metadata"):
        changes["metadata"] = merge_metadata(dict(before.metadata), asked.metadata)
    if asked.payment_settings is not None:
        changes["payment_method_types"] = asked.method_types()
    if asked.rendering is not None:
        changes["rendering"] = asked.rendering.rendering()
    return changes


@routes.delete("/v1/invoices/{invoice}", Params)
async def delete(call: Call[Params]) -> Json:
    """Delete a draft that no subscription made."""
    seen, now = await _seen(call)
    await delete_invoice(call.tx, environment=call.environment, id=seen.id, now=now)
    return {"id": seen.id, "object": "invoice", "deleted": True}


@routes.post("/v1/invoices/{invoice}/finalize", Finalize)
async def finalize(call: Call[Finalize]) -> Json:
    """Finalize a draft; nothing is collected by this."""
    seen, now = await _seen(call, param="id")
    issued = await finalize_invoice(call.tx, invoice=seen, now=now, auto_advance=call.params.auto_advance)
    return await _shown(call.tx, issued)


@routes.post("/v1/invoices/{invoice}/pay", Pay)
async def pay(call: Call[Pay]) -> Json | Refusal:
    """Collect an invoice now, or record that it was paid elsewhere. A decline is kept and answered."""
    asked = call.params
    seen, now = await _seen(call, param="id")
    if asked.paid_out_of_band:
        return await _shown(call.tx, await pay_elsewhere(call.tx, environment=call.environment, id=seen.id, now=now))
    collected = await pay_invoice(
        call.tx,
        environment=call.environment,
        id=seen.id,
        now=now,
        method=asked.payment_method,
        off_session=asked.off_session,
    )
    match collected.outcome:
        case Refused(code=code, message=message, decline_code=decline_code):
            return Declined(message, code=code, decline_code=decline_code)
        case ActionNeeded():
            return Declined(
                "This payment requires additional user action before it can be completed successfully. Payment can"
                " be completed using the `PaymentIntent` associated with the invoice.",
                code="invoice_payment_intent_requires_action",
            )
    return await _shown(call.tx, collected.invoice)


@routes.post("/v1/invoices/{invoice}/void", Params)
async def void(call: Call[Params]) -> Json:
    """Void an open invoice."""
    seen, now = await _seen(call, param="id")
    return await _shown(call.tx, await void_invoice(call.tx, environment=call.environment, id=seen.id, now=now))


@routes.post("/v1/invoices/{invoice}/mark_uncollectible", Params)
async def write_off(call: Call[Params]) -> Json:
    """Mark an open invoice as a bad debt."""
    seen, now = await _seen(call, param="id")
    written_off = await mark_uncollectible(call.tx, environment=call.environment, id=seen.id, now=now)
    return await _shown(call.tx, written_off)


@routes.post("/v1/invoices/{invoice}/send", Params)
async def send(call: Call[Params]) -> Json:
    """Finalize a draft if need be, and announce that the invoice is to be sent."""
    seen, now = await _seen(call)
    return await _shown(call.tx, await send_invoice(call.tx, environment=call.environment, id=seen.id, now=now))


@routes.post("/v1/invoices/{invoice}/add_lines", AddLines)
async def add(call: Call[AddLines]) -> Json:
    """Add lines to a draft."""
    asked = call.params
    seen, now = await _seen(call)
    added = [
        AddedLine(
            param=f"lines[{place}]",
            item=each.invoice_item,
            asked=each.asked(merge_metadata({}, each.metadata), at=f"lines[{place}]", currency=seen.currency),
        )
        for place, each in enumerate(asked.lines)
    ]
    changed = await add_lines(
        call.tx,
        environment=call.environment,
        id=seen.id,
        added=added,
        metadata=_merging(asked.invoice_metadata),
        now=now,
    )
    return await _shown(call.tx, changed)


@routes.post("/v1/invoices/{invoice}/update_lines", UpdateLines)
async def alter(call: Call[UpdateLines]) -> Json:
    """Change lines of a draft."""
    asked = call.params
    seen, now = await _seen(call)
    altered = [
        AlteredLine(
            param=f"lines[{place}]",
            id=each.id,
            asked=each.asked({}, at=f"lines[{place}]", currency=seen.currency),
            metadata=_merging(each.metadata),
            described=each.sent("description"),
        )
        for place, each in enumerate(asked.lines)
    ]
    changed = await update_lines(
        call.tx,
        environment=call.environment,
        id=seen.id,
        altered=altered,
        metadata=_merging(asked.invoice_metadata),
        now=now,
    )
    return await _shown(call.tx, changed)


@routes.post("/v1/invoices/{invoice}/lines/{line}", LineUpdate)
async def alter_one(call: Call[LineUpdate]) -> Json:
    """Change one line of a draft."""
    asked, line = call.params, call.path["line"]
    seen, now = await _seen(call)
    if all(each.id != line for each in seen.lines):
        raise Missing("line_item", line, param="line_item_id", subject=True)
    altered = AlteredLine(
        param="",
        id=line,
        asked=asked_item(asked, {}, currency=seen.currency),
        metadata=_merging(asked.metadata),
        described=asked.sent("description"),
    )
    changed = await update_lines(
        call.tx, environment=call.environment, id=seen.id, altered=[altered], metadata=_merging({}), now=now
    )
    (known,) = await as_known_now(call.tx, [changed])
    lines = {each.id: each for each in (*changed.lines, *known.lines)}
    return invoice_line.render(lines[line], changed)


@routes.post("/v1/invoices/{invoice}/remove_lines", RemoveLines)
async def drop(call: Call[RemoveLines]) -> Json:
    """Take lines off a draft."""
    asked = call.params
    seen, now = await _seen(call)
    dropped = [
        DroppedLine(param=f"lines[{place}]", id=each.id, behavior=each.behavior)
        for place, each in enumerate(asked.lines)
    ]
    changed = await remove_lines(
        call.tx,
        environment=call.environment,
        id=seen.id,
        dropped=dropped,
        metadata=_merging(asked.invoice_metadata),
        now=now,
    )
    return await _shown(call.tx, changed)


@routes.get("/v1/invoices", InvoiceList)
async def listed(call: Call[InvoiceList]) -> Json:
    """List invoices, newest first."""
    asked = call.params
    owner = None
    if asked.customer is not None:
        owner = (await customers.get(call.tx, call.environment, asked.customer)).customer_id
    page = await store.listed(
        call.tx,
        call.environment,
        cursor(asked),
        store.Filter(
            customer_id=owner,
            subscription=asked.subscription,
            status=asked.status,
            collection_method=asked.collection_method,
            created=asked.created,
            due=asked.due_date,
        ),
    )
    found = await _rendered(call.tx, await store.assemble(call.tx, page.rows))
    return list_of(list(found.values()), url=call.url, has_more=page.has_more)


async def _seen(call: Call[Any], *, param: str = "invoice") -> tuple[Invoice, datetime]:
    """The invoice that the call is about, and what time it is for its customer."""
    seen = await store.get(call.tx, call.environment, call.path["invoice"], param=param)
    now = await moment(call.tx, environment=call.environment, test_clock=seen.test_clock, now=call.now)
    return seen, now


def _merging(change: dict[str, str] | None) -> Merge:
    return lambda before: merge_metadata(dict(before), change)
