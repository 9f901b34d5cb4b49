"""Customers with cards and things to sell, as the tests of invoices need them."""

import stripe


def customer_with(client: stripe.StripeClient, card: str | None = "pm_card_visa", **more: object) -> stripe.Customer:
    """A new customer, with that test card as the default way to pay."""
    customer = client.v1.customers.create(more)  # type: ignore[arg-type]
    if card is None:
        return customer
    method = client.v1.payment_methods.attach(card, {"customer": customer.id})
    return client.v1.customers.update(customer.id, {"invoice_settings": {"default_payment_method": method.id}})


def draft_of(client: stripe.StripeClient, customer: stripe.Customer, *amounts: int, **more: object) -> stripe.Invoice:
    """A draft made by hand, with one line for each amount (usd)."""
    draft = client.v1.invoices.create({"customer": customer.id, "currency": "usd", **more})  # type: ignore[typeddict-item]
    for amount in amounts:
        client.v1.invoice_items.create(
            {"customer": customer.id, "invoice": draft.id, "amount": amount, "currency": "usd"}
        )
    return client.v1.invoices.retrieve(draft.id)
