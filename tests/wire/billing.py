"""Customers with cards and things to sell, as the tests of invoices need them."""

import time
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, cast

import stripe

if TYPE_CHECKING:
    from stripe.params import CustomerCreateParams, InvoiceCreateParams, SubscriptionCreateParams


def customer_with(client: stripe.StripeClient, card: str | None = "pm_card_visa", **more: Any) -> stripe.Customer:
    """A new customer, with that test card as the default way to pay."""
    customer = client.v1.customers.create(cast("CustomerCreateParams", more))
    if card is None:
        return customer
    method = client.v1.payment_methods.attach(card, {"customer": customer.id})
    return client.v1.customers.update(customer.id, {"invoice_settings": {"default_payment_method": method.id}})


def draft_of(client: stripe.StripeClient, customer: stripe.Customer, *amounts: int, **more: Any) -> stripe.Invoice:
    """A draft made by hand, with one line for each amount (usd)."""
    asked = {"customer": customer.id, "currency": "usd", **more}
    draft = client.v1.invoices.create(cast("InvoiceCreateParams", asked))
    for amount in amounts:
        client.v1.invoice_items.create(
            {"customer": customer.id, "invoice": draft.id, "amount": amount, "currency": "usd"}
        )
    return client.v1.invoices.retrieve(draft.id)


FREE_THEN_A_TENTH: list[dict[str, Any]] = [
    {"up_to": 100_000, "unit_amount": 0},
    {"up_to": "inf", "unit_amount_decimal": Decimal("0.1")},
]


class Month:
    """A customer on a test clock, and a catalog: seats at $20 in advance, tokens in arrears.

    Unless `tiers` say otherwise the first 100,000 tokens of a month are free, the others cost a tenth of a cent.
    """

    def __init__(
        self,
        client: stripe.StripeClient,
        *,
        start: datetime,
        card: str | None = "pm_card_visa",
        tiers: Any = FREE_THEN_A_TENTH,
        tiers_mode: Literal["graduated", "volume"] = "graduated",
    ) -> None:
        self.client = client
        self.clock = client.v1.test_helpers.test_clocks.create({"frozen_time": int(start.timestamp())})
        self.customer = customer_with(client, card, test_clock=self.clock.id)
        self.meter = client.v1.billing.meters.create(
            {
                "display_name": "Tokens",
                "event_name": f"tokens_{self.clock.id}",
                "default_aggregation": {"formula": "sum"},
            }
        )
        self.seat = client.v1.prices.create(
            {
                "currency": "usd",
                "unit_amount": 2000,
                "recurring": {"interval": "month"},
                "product_data": {"name": "Seat"},
            }
        )
        self.tokens = client.v1.prices.create(
            {
                "currency": "usd",
                "billing_scheme": "tiered",
                "tiers_mode": tiers_mode,
                "tiers": tiers,
                "recurring": {"interval": "month", "usage_type": "metered", "meter": self.meter.id},
                "product_data": {"name": "Tokens"},
            }
        )

    def subscribe(self, *, seats: int, **more: Any) -> None:
        """Buy that many seats, and tokens by use."""
        licensed = [{"price": self.seat.id, "quantity": seats}] if seats else []
        asked = {"customer": self.customer.id, "items": [*licensed, {"price": self.tokens.id}], **more}
        self.subscription = self.client.v1.subscriptions.create(cast("SubscriptionCreateParams", asked))

    def use(self, tokens: int, *, at: datetime) -> None:
        """Report usage."""
        self.client.v1.billing.meter_events.create(
            {
                "event_name": self.meter.event_name,
                "payload": {"stripe_customer_id": self.customer.id, "value": str(tokens)},
                "timestamp": int(at.timestamp()),
            }
        )

    def pay_with(self, card: str) -> None:
        """Make another test card the default."""
        method = self.client.v1.payment_methods.attach(card, {"customer": self.customer.id})
        self.client.v1.customers.update(self.customer.id, {"invoice_settings": {"default_payment_method": method.id}})

    def advance(self, to: datetime) -> None:
        """Let time pass on the clock, and wait until everything due was done."""
        self.client.v1.test_helpers.test_clocks.advance(self.clock.id, {"frozen_time": int(to.timestamp())})
        for _ in range(1000):
            clock = self.client.v1.test_helpers.test_clocks.retrieve(self.clock.id)
            if clock.status == "ready":
                return
            assert clock.status == "advancing", clock.status
            time.sleep(0.02)
        raise AssertionError("the clock did not arrive")

    def latest_invoice(self) -> stripe.Invoice:
        """The newest invoice of the subscription, as it is now."""
        [newest] = self.client.v1.invoices.list({"subscription": self.subscription.id, "limit": 1}).data
        return newest
