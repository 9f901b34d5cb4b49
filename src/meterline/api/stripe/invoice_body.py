"""How an invoice looks."""

from meterline.api import link
from meterline.api.stripe import invoice_line, tax_rate
from meterline.api.stripe.customer import address
from meterline.api.stripe.json import Json, unix, unix_or_none
from meterline.api.stripe.listing import nested_list
from meterline.invoice.model import PREVIEW, BillTo, Invoice

_LINES_SHOWN = 10


def render(invoice: Invoice) -> Json:
    """The invoice object, with its first lines."""
    return {
        "id": invoice.id,
        "object": "invoice",
        "account_country": None,
        "account_name": None,
        "account_tax_ids": None,
        "application": None,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "billing_reason": invoice.billing_reason,
        "collection_method": invoice.collection_method,
        "created": unix(invoice.created),
        "currency": invoice.currency,
        "custom_fields": invoice.custom_fields
        and [{"name": each.name, "value": each.value} for each in invoice.custom_fields],
        "default_payment_method": invoice.default_payment_method,
        "default_source": None,
        "default_tax_rates": [tax_rate.render(each) for each in invoice.default_tax_rates],
        "description": invoice.description,
        "discounts": list(invoice.discounts),
        "due_date": unix_or_none(invoice.due_date),
        "effective_at": unix_or_none(invoice.effective_at),
        "footer": invoice.footer,
        "from_invoice": None,
        "hosted_invoice_url": _page(invoice),
        "invoice_pdf": _pdf(invoice),
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "lines": _lines(invoice),
        "livemode": invoice.environment == "live",
        "metadata": dict(invoice.metadata),
        "number": invoice.number,
        "on_behalf_of": None,
        "parent": _parent(invoice),
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": invoice.payment_method_types and list(invoice.payment_method_types),
        },
        "period_end": unix(invoice.period_end),
        "period_start": unix(invoice.period_start),
        "receipt_number": None,
        "rendering": _rendering(invoice),
        "shipping_cost": None,
        "shipping_details": None,
        "statement_descriptor": invoice.statement_descriptor,
        "status_details": invoice.uncollectible_reason and {"uncollectible": {"reason": invoice.uncollectible_reason}},
        "status_transitions": {
            "finalized_at": unix_or_none(invoice.finalized_at),
            "marked_uncollectible_at": unix_or_none(invoice.marked_uncollectible_at),
            "paid_at": unix_or_none(invoice.paid_at),
            "voided_at": unix_or_none(invoice.voided_at),
        },
        "test_clock": invoice.test_clock,
        "webhooks_delivered_at": None,
        **_progress(invoice),
        **_amounts(invoice),
        **_bill_to(invoice.bill_to, invoice.customer),
    }


def _progress(invoice: Invoice) -> Json:
    """How far the invoice has come, and what happens next."""
    reason = invoice.uncollectible_reason
    return {
        "attempt_count": invoice.attempt_count,
        "attempted": invoice.attempted,
        "auto_advance": invoice.auto_advance,
        "automatically_finalizes_at": unix_or_none(invoice.automatically_finalizes_at),
        "next_payment_attempt": unix_or_none(invoice.next_payment_attempt),
        "status": invoice.status,
        "status_details": None if reason is None else {"uncollectible": {"reason": reason}},
        "status_transitions": {
            "finalized_at": unix_or_none(invoice.finalized_at),
            "marked_uncollectible_at": unix_or_none(invoice.marked_uncollectible_at),
            "paid_at": unix_or_none(invoice.paid_at),
            "voided_at": unix_or_none(invoice.voided_at),
        },
    }


def _page(invoice: Invoice) -> str | None:
    """Where the customer sees and pays it, once it is final."""
    return None if invoice.finalized_at is None else link.hosted("invoice", invoice.environment, invoice.id)


def _pdf(invoice: Invoice) -> str | None:
    """Where it is downloaded, once it is final."""
    return None if invoice.finalized_at is None else link.hosted("invoice", invoice.environment, f"{invoice.id}/pdf")


def _amounts(invoice: Invoice) -> Json:
    amounts = invoice.amounts
    return {
        "amount_due": amounts.due,
        "amount_overpaid": amounts.overpaid,
        "amount_paid": amounts.paid,
        "amount_paid_off_stripe": amounts.paid_off_platform,
        "amount_remaining": amounts.remaining,
        "amount_shipping": 0,
        "ending_balance": amounts.ending_balance,
        "post_payment_credit_notes_amount": amounts.post_payment_credit_notes,
        "pre_payment_credit_notes_amount": amounts.pre_payment_credit_notes,
        "starting_balance": amounts.starting_balance,
        "subtotal": amounts.subtotal,
        "subtotal_excluding_tax": amounts.subtotal_excluding_tax,
        "total": amounts.total,
        "total_discount_amounts": [{"amount": amount, "discount": discount} for discount, amount in amounts.discounts],
        "total_excluding_tax": amounts.total_excluding_tax,
        "total_pretax_credit_amounts": [
            *({"amount": amount, "discount": id, "type": "discount"} for id, amount in amounts.discounts),
            *(
                {"amount": amount, "credit_balance_transaction": id, "type": "credit_balance_transaction"}
                for id, amount in amounts.credits
            ),
        ],
        "total_taxes": invoice_line.taxes_of(amounts.taxes),
    }


def _bill_to(bill_to: BillTo, customer: str) -> Json:
    shipping = bill_to.shipping
    return {
        "customer": customer or None,
        "customer_account": None,
        "customer_address": address(bill_to.address),
        "customer_email": bill_to.email,
        "customer_name": bill_to.name,
        "customer_phone": bill_to.phone,
        "customer_shipping": shipping
        and {"address": address(shipping.address), "name": shipping.name, "phone": shipping.phone},
        "customer_tax_exempt": bill_to.tax_exempt,
        "customer_tax_ids": [],
    }


def _lines(invoice: Invoice) -> Json:
    unstored = invoice.id.startswith(PREVIEW)
    shown = invoice.lines if unstored else invoice.lines[:_LINES_SHOWN]
    return nested_list(
        [invoice_line.render(line, invoice) for line in shown],
        url=f"/v1/invoices/{invoice.id}/lines",
        has_more=len(invoice.lines) > len(shown),
        total_count=len(invoice.lines),
    )


def _parent(invoice: Invoice) -> Json | None:
    if invoice.subscription is None:
        return None
    details: Json = {"metadata": dict(invoice.subscription_metadata), "subscription": invoice.subscription}
    if invoice.subscription_proration_date is not None:
        details["subscription_proration_date"] = unix(invoice.subscription_proration_date)
    return {"quote_details": None, "subscription_details": details, "type": "subscription_details"}


def _rendering(invoice: Invoice) -> Json | None:
    rendering = invoice.rendering
    if rendering is None:
        return None
    return {
        "amount_tax_display": rendering.amount_tax_display,
        "pdf": rendering.page_size and {"page_size": rendering.page_size},
        "template": None,
        "template_version": None,
    }
