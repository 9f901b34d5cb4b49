"""Invoice lines: how they look, and `/v1/invoices/:id/lines`."""

from collections.abc import Sequence

from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.expand import expandable
from meterline.api.stripe.json import Json, unix
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import ListParams
from meterline.api.stripe.route import Routes
from meterline.invoice.discount import own_of
from meterline.invoice.line import CreditedLines, InvoiceLine, LineTax
from meterline.invoice.model import Invoice
from meterline.invoice.total import Reckoned
from meterline.money import decimal_text
from meterline.store import invoice as store
from meterline.store.page import stretch
from meterline.usecase.recount_draft import as_known_now

routes = Routes("invoices")

expandable("line_item", "discounts", kind="discount")
expandable("line_item", "subscription", kind="subscription")
expandable("line_item.discount_amounts", "discount", kind="discount")
expandable("line_item.pretax_credit_amounts", "discount", kind="discount")
expandable("line_item.pricing.price_details", "price", kind="price")


def render(line: InvoiceLine, invoice: Invoice) -> Json:
    """The line item object."""
    return {
        "id": line.id,
        "object": "line_item",
        "amount": line.amount,
        "currency": line.currency,
        "description": line.description,
        "discount_amounts": [{"amount": each.amount, "discount": each.discount} for each in line.discounts],
        "discountable": line.discountable,
        "discounts": list(own_of(line)),
        "invoice": invoice.id,
        "livemode": invoice.environment == "live",
        "metadata": dict(line.metadata),
        "parent": _parent(line),
        "period": {"end": unix(line.period.end), "start": unix(line.period.start)},
        "pretax_credit_amounts": pretax_credits(line),
        "pricing": pricing(line),
        "quantity": None if line.quantity is None else int(line.quantity),
        "quantity_decimal": None if line.quantity is None else decimal_text(line.quantity),
        "subscription": line.subscription,
        "subtotal": line.amount,
        "taxes": taxes_of(line.taxes),
    }


def taxes_of(taxes: Sequence[LineTax]) -> list[Json]:
    """Taxes, as lines, invoices and credit notes show them."""
    return [
        {
            "amount": tax.amount,
            "tax_behavior": tax.behavior,
            "tax_rate_details": {"tax_rate": tax.tax_rate},
            "taxability_reason": tax.reason,
            "taxable_amount": tax.taxable_amount,
            "type": "tax_rate_details",
        }
        for tax in taxes
    ]


def pretax_credits(line: Reckoned) -> list[Json]:
    """What discounts and billing credits took off a line before tax."""
    discounts: list[Json] = [
        {"amount": each.amount, "discount": each.discount, "type": "discount"} for each in line.discounts
    ]
    credits: list[Json] = [
        {
            "amount": each.amount,
            "credit_balance_transaction": each.credit_balance_transaction,
            "type": "credit_balance_transaction",
        }
        for each in line.credits
    ]
    return discounts + credits


def pricing(line: InvoiceLine) -> Json | None:
    """What a line was priced at; null where neither a price nor a unit amount is known."""
    if line.price is None and line.unit_amount is None:
        return None
    details = None if line.price is None else {"price": line.price, "product": line.product}
    unit = None if line.unit_amount is None else decimal_text(line.unit_amount)
    return {"price_details": details, "type": "price_details", "unit_amount_decimal": unit}


def _parent(line: InvoiceLine) -> Json:
    if line.subscription_item is not None:
        return {
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": line.invoice_item,
                "proration": line.proration,
                "proration_details": {"credited_items": _credited(line.credited)},
                "subscription": line.subscription,
                "subscription_item": line.subscription_item,
            },
            "type": "subscription_item_details",
        }
    return {
        "invoice_item_details": {
            "invoice_item": line.invoice_item,
            "proration": line.proration,
            "proration_details": {"credited_items": _credited(line.credited)},
            "subscription": line.subscription,
        },
        "subscription_item_details": None,
        "type": "invoice_item_details",
    }


def _credited(credited: CreditedLines | None) -> Json | None:
    if credited is None:
        return None
    return {"invoice": credited.invoice, "invoice_line_items": list(credited.lines)}


@routes.get("/v1/invoices/{invoice}/lines", ListParams)
async def listed(call: Call[ListParams]) -> Json:
    """List the lines of an invoice, in their order."""
    stored = await store.get(call.tx, call.environment, call.path["invoice"])
    (invoice,) = await as_known_now(call.tx, [stored])
    lines, has_more = stretch(invoice.lines, kind="line_item", cursor=cursor(call.params))
    return list_of([render(each, invoice) for each in lines], url=call.url, has_more=has_more)
