"""`/v1/invoiceitems`."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api.stripe import invoice_line, tax_rate
from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.expand import expandable, fetcher
from meterline.api.stripe.invoice_params import ItemCreate, ItemList, ItemUpdate, asked_item
from meterline.api.stripe.json import Json, unix
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import Params, RetrieveParams, merge_metadata
from meterline.api.stripe.route import Routes
from meterline.api.stripe.snapshot import snapshots
from meterline.invoice.item import InvoiceItem, line_of
from meterline.money import decimal_text
from meterline.refusal import Missing, Refusal
from meterline.store import customer as customers
from meterline.store import invoice as invoices
from meterline.store import invoice_item as store
from meterline.usecase.create_invoice_item import create_invoice_item
from meterline.usecase.moment import moment
from meterline.usecase.update_invoice_item import delete_invoice_item, update_invoice_item

routes = Routes("invoice_items")

expandable("invoiceitem", "customer", kind="customer")
expandable("invoiceitem", "discounts", kind="discount")
expandable("invoiceitem", "invoice", kind="invoice")
expandable("invoiceitem.proration_details.discount_amounts", "discount", kind="discount")
expandable("invoiceitem", "test_clock", kind="test_helpers.test_clock")
expandable("invoiceitem.pricing.price_details", "price", kind="price")


def render(item: InvoiceItem) -> Json:
    """The invoice item object."""
    return {
        "id": item.id,
        "object": "invoiceitem",
        "amount": item.amount,
        "currency": item.currency,
        "customer": item.customer,
        "customer_account": None,
        "date": unix(item.date),
        "description": item.description,
        "discountable": item.discountable,
        "discounts": [each.discount for each in item.discounts],
        "frozen_fields": ["pricing", "quantity", "discounts"] if item.proration else [],
        "invoice": item.invoice,
        "invoicing_rules": None,
        "livemode": item.environment == "live",
        "metadata": dict(item.metadata),
        "net_amount": None if item.discountable else line_of(item).discounted_amount,
        "parent": _parent(item),
        "period": {"end": unix(item.period.end), "start": unix(item.period.start)},
        "pricing": invoice_line.pricing(line_of(item)),
        "proration": item.proration,
        "proration_details": _proration(item),
        "quantity": int(item.quantity),
        "quantity_decimal": decimal_text(item.quantity),
        "tax_rates": [tax_rate.render(each) for each in item.tax_rates or ()],
        "test_clock": item.test_clock,
    }


def _parent(item: InvoiceItem) -> Json | None:
    if item.subscription is None:
        return None
    details: Json = {"subscription": item.subscription}
    if item.subscription_item is not None:
        details["subscription_item"] = item.subscription_item
    return {"subscription_details": details, "type": "subscription_details"}


def _proration(item: InvoiceItem) -> Json | None:
    if not item.proration:
        return None
    credited = item.credited and {
        "invoice_item": None,
        "invoice_line_item_details": {
            "invoice": item.credited.invoice,
            "invoice_line_items": list(item.credited.lines),
        },
        "type": "invoice_line_items",
    }
    discounts = [{"amount": each.amount, "discount": each.discount} for each in item.discounts]
    return {"credited_items": credited, "discount_amounts": discounts}


snapshots(InvoiceItem, render, url="/v1/invoiceitems/{id}")


@fetcher("invoiceitem", resource="invoice_items")
async def fetch(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Json]:
    return {id: render(found) for id, found in (await store.find(tx, environment, ids)).items()}


@routes.post("/v1/invoiceitems", ItemCreate)
async def create(call: Call[ItemCreate]) -> Json:
    """Create an invoice item: on a draft, or pending for the customer's next invoice."""
    asked = call.params
    customer = asked.customer
    if customer is None and asked.invoice is not None:
        found = (await invoices.find(call.tx, call.environment, [asked.invoice])).get(asked.invoice)
        customer = None if found is None else found.customer
    if customer is None:
        raise Refusal("Missing required param: customer.", code="parameter_missing", param="customer")
    item = await create_invoice_item(
        call.tx,
        environment=call.environment,
        customer=customer,
        asked=asked_item(
            asked, merge_metadata({}, asked.metadata), currency=asked.currency, unit=asked.unit_amount_decimal
        ),
        invoice=asked.invoice,
        subscription=asked.subscription,
        now=call.now,
    )
    return render(item)


@routes.get("/v1/invoiceitems/{invoiceitem}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Read one invoice item."""
    return render(await store.get(call.tx, call.environment, call.path["invoiceitem"]))


@routes.post("/v1/invoiceitems/{invoiceitem}", ItemUpdate)
async def change(call: Call[ItemUpdate]) -> Json:
    """Change an invoice item whose invoice, if it has one, is a draft."""
    asked = call.params
    seen = await store.get(call.tx, call.environment, call.path["invoiceitem"])
    wanted = asked_item(asked, merge_metadata(dict(seen.metadata), asked.metadata), unit=asked.unit_amount_decimal)
    changed = await update_invoice_item(
        call.tx,
        environment=call.environment,
        id=seen.id,
        asked=replace(wanted, currency=seen.currency),
        described=asked.sent("description"),
        now=await moment(call.tx, environment=call.environment, test_clock=seen.test_clock, now=call.now),
    )
    return render(changed)


@routes.delete("/v1/invoiceitems/{invoiceitem}", Params)
async def delete(call: Call[Params]) -> Json:
    """Delete an invoice item whose invoice, if it has one, is a draft."""
    seen = await store.get(call.tx, call.environment, call.path["invoiceitem"])
    now = await moment(call.tx, environment=call.environment, test_clock=seen.test_clock, now=call.now)
    await delete_invoice_item(call.tx, environment=call.environment, id=seen.id, now=now)
    return {"id": seen.id, "object": "invoiceitem", "deleted": True}


@routes.get("/v1/invoiceitems", ItemList)
async def listed(call: Call[ItemList]) -> Json:
    """List invoice items, newest first."""
    asked = call.params
    owner = None
    if asked.customer is not None:
        owner = (await customers.get(call.tx, call.environment, asked.customer)).customer_id
    if asked.invoice is not None and asked.invoice not in await invoices.find(
        call.tx, call.environment, [asked.invoice]
    ):
        raise Missing("invoice", asked.invoice, param="invoice")
    page = await store.listed(
        call.tx,
        call.environment,
        cursor(asked),
        store.Filter(customer_id=owner, invoice=asked.invoice, pending=asked.pending, created=asked.created),
    )
    data = [render(each) for each in await store.items_of(call.tx, page.rows)]
    return list_of(data, url=call.url, has_more=page.has_more)
