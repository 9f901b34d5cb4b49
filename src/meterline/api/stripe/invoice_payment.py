"""`/v1/invoice_payments`: what was asked for and received for an invoice."""

from collections.abc import Sequence
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.expand import expandable, fetcher
from meterline.api.stripe.json import Json, unix, unix_or_none
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import Hash, InstantFilter, ListParams, RetrieveParams, Text
from meterline.api.stripe.route import Routes
from meterline.api.stripe.snapshot import snapshots
from meterline.payment.payment import InvoicePayment
from meterline.refusal import Missing
from meterline.store import invoice as invoices
from meterline.store import payment as store
from meterline.store import row

routes = Routes("invoice_payments")

expandable("invoice_payment", "invoice", kind="invoice")
expandable("invoice_payment.payment", "payment_intent", kind="payment_intent")


class PaymentParams(Hash):
    type: Literal["payment_intent", "payment_record"]
    payment_intent: Text | None = None
    payment_record: Text | None = None


class InvoicePaymentList(ListParams):
    created: InstantFilter | None = None
    invoice: Text | None = None
    payment: PaymentParams | None = None
    status: Literal["canceled", "open", "paid"] | None = None


def render(link: InvoicePayment) -> Json:
    """The invoice payment object."""
    return {
        "id": link.id,
        "object": "invoice_payment",
        "amount_paid": link.amount_paid,
        "amount_requested": link.amount_requested,
        "created": unix(link.created),
        "currency": link.currency,
        "invoice": link.invoice,
        "is_default": link.is_default,
        "livemode": link.environment == "live",
        "payment": {"payment_intent": link.payment, "type": "payment_intent"},
        "status": link.status,
        "status_transitions": {
            "canceled_at": unix_or_none(link.canceled_at),
            "paid_at": unix_or_none(link.paid_at),
        },
    }


snapshots(InvoicePayment, render, url="/v1/invoice_payments/{id}")


@fetcher("invoice_payment")
async def fetch(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Json]:
    return {id: render(found) for id, found in (await store.find_links(tx, environment, ids)).items()}


@routes.get("/v1/invoice_payments/{invoice_payment}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Read one invoice payment."""
    id = call.path["invoice_payment"]
    found = await store.find_links(call.tx, call.environment, [id])
    if id not in found:
        raise Missing("invoice_payment", id, param="invoice_payment", subject=True)
    return render(found[id])


@routes.get("/v1/invoice_payments", InvoicePaymentList)
async def listed(call: Call[InvoicePaymentList]) -> Json:
    """List invoice payments, newest first."""
    asked = call.params
    owner = None
    if asked.invoice is not None:
        found = (await invoices.find(call.tx, call.environment, [asked.invoice])).get(asked.invoice)
        if found is None:
            raise Missing("invoice", asked.invoice, param="invoice")
        owner = found.customer_id
    about = asked.payment
    wanted = None if about is None else about.payment_intent or about.payment_record
    page = await store.listed_links(
        call.tx,
        call.environment,
        cursor(asked),
        store.LinkFilter(
            customer_id=owner, invoice=asked.invoice, payment=wanted, status=asked.status, created=asked.created
        ),
    )
    data = [render(row.load(InvoicePayment, each)) for each in page.rows]
    return list_of(data, url=call.url, has_more=page.has_more)
