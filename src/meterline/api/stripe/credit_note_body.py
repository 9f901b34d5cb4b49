"""How a credit note looks."""

from meterline.api import link
from meterline.api.stripe import tax_rate
from meterline.api.stripe.invoice_line import pretax_credits, taxes_of
from meterline.api.stripe.json import Json, unix, unix_or_none
from meterline.api.stripe.listing import nested_list
from meterline.invoice.credit_note import CreditNote, CreditNoteLine
from meterline.invoice.total import Totals, totals
from meterline.money import decimal_text

_LINES_SHOWN = 10


def render(note: CreditNote) -> Json:
    """The credit note object, with its first lines."""
    shown = note.lines[:_LINES_SHOWN]
    return {
        "id": note.id,
        "object": "credit_note",
        "created": unix(note.created),
        "currency": note.currency,
        "customer": note.customer,
        "customer_account": None,
        "customer_balance_transaction": note.customer_balance_transaction,
        "effective_at": unix(note.effective_at),
        "invoice": note.invoice,
        "lines": nested_list(
            [render_line(line, note) for line in shown],
            url=f"/v1/credit_notes/{note.id}/lines",
            has_more=len(note.lines) > len(shown),
            total_count=len(note.lines),
        ),
        "livemode": note.environment == "live",
        "memo": note.memo,
        "metadata": dict(note.metadata),
        "number": note.number,
        "out_of_band_amount": note.out_of_band or None,
        "pdf": link.hosted("credit_note", note.environment, f"{note.id}/pdf"),
        "post_payment_amount": note.post_payment,
        "pre_payment_amount": note.pre_payment,
        "reason": note.reason,
        "refunds": [
            {"amount_refunded": each.amount, "payment_record_refund": None, "refund": each.refund, "type": "refund"}
            for each in note.refunds
        ],
        "shipping_cost": None,
        "status": note.status,
        "type": note.kind,
        "voided_at": unix_or_none(note.voided_at),
        **_amounts(note, totals(note.lines)),
    }


def _amounts(note: CreditNote, sums: Totals) -> Json:
    return {
        "amount": note.total,
        "amount_shipping": 0,
        "discount_amount": sum(amount for _, amount in sums.discounts),
        "discount_amounts": [{"amount": amount, "discount": discount} for discount, amount in sums.discounts],
        "pretax_credit_amounts": [
            *({"amount": amount, "discount": id, "type": "discount"} for id, amount in sums.discounts),
            *(
                {"amount": amount, "credit_balance_transaction": id, "type": "credit_balance_transaction"}
                for id, amount in sums.credits
            ),
        ],
        "subtotal": sums.subtotal,
        "subtotal_excluding_tax": sums.subtotal_excluding_tax,
        "total": note.total,
        "total_excluding_tax": sums.total_excluding_tax,
        "total_taxes": taxes_of(sums.taxes),
    }


def render_line(line: CreditNoteLine, note: CreditNote) -> Json:
    """The credit note line item object."""
    unit = line.unit_amount
    whole = None if unit is None or unit != unit.to_integral_value() else int(unit)
    body: Json = {
        "id": line.id,
        "object": "credit_note_line_item",
        "amount": line.amount,
        "description": line.description,
        "discount_amount": sum(each.amount for each in line.discounts),
        "discount_amounts": [{"amount": each.amount, "discount": each.discount} for each in line.discounts],
        "livemode": note.environment == "live",
        "metadata": dict(line.metadata),
        "pretax_credit_amounts": pretax_credits(line),
        "quantity": line.quantity,
        "tax_rates": [tax_rate.render(each) for each in line.tax_rates],
        "taxes": taxes_of(line.taxes),
        "type": "custom_line_item" if line.invoice_line is None else "invoice_line_item",
        "unit_amount": whole,
        "unit_amount_decimal": None if unit is None else decimal_text(unit),
    }
    if line.invoice_line is not None:
        body["invoice_line_item"] = line.invoice_line
    return body
