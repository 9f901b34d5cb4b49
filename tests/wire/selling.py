"""Short words for what wire tests of subscriptions sell, and to whom."""

import time
from datetime import UTC, datetime
from typing import Any

import stripe

_PATIENCE_S = 60


def unix(text: str) -> int:
    """`unix("2026-01-31")`, UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


class Shop:
    """One merchant, through the official SDK."""

    def __init__(self, client: stripe.StripeClient) -> None:
        self.client = client
        self.v1 = client.v1

    def clock(self, frozen: str) -> stripe.test_helpers.TestClock:
        return self.v1.test_helpers.test_clocks.create({"frozen_time": unix(frozen)})

    def advance(self, clock: stripe.test_helpers.TestClock, to: str) -> stripe.test_helpers.TestClock:
        """Ask for the advance and wait until the clock has come to rest."""
        moving = self.v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": unix(to)})
        assert moving.status == "advancing"
        return self.rested(clock)

    def rested(self, clock: stripe.test_helpers.TestClock) -> stripe.test_helpers.TestClock:
        """The clock once it is not advancing any more."""
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            seen = self.v1.test_helpers.test_clocks.retrieve(clock.id)
            if seen.status != "advancing":
                return seen
            time.sleep(0.05)
        raise AssertionError("the clock does not come to rest")

    def customer(
        self, *, clock: stripe.test_helpers.TestClock | None = None, card: str | None = "pm_card_visa"
    ) -> stripe.Customer:
        params: Any = {"name": "Ada"}
        if clock is not None:
            params["test_clock"] = clock.id
        if card is not None:
            params |= {"payment_method": card, "invoice_settings": {"default_payment_method": card}}
        return self.v1.customers.create(params)

    def price(self, amount: int = 1000, *, every: str = "month", count: int = 1, **more: Any) -> stripe.Price:
        recurring = {"interval": every, "interval_count": count, **more.pop("recurring", {})}
        params: Any = {
            "currency": "usd",
            "unit_amount": amount,
            "recurring": recurring,
            "product_data": {"name": "Seats"},
            **more,
        }
        return self.v1.prices.create(params)

    def metered(self, event_name: str, decimal: str = "0.04", *, every: str = "month") -> stripe.Price:
        meter = self.v1.billing.meters.create(
            {
                "display_name": event_name,
                "event_name": event_name,
                "default_aggregation": {"formula": "sum"},
            }
        )
        params: Any = {
            "currency": "usd",
            "unit_amount_decimal": decimal,
            "recurring": {"interval": every, "usage_type": "metered", "meter": meter.id},
            "product_data": {"name": "Tokens"},
        }
        return self.v1.prices.create(params)

    def use(self, event_name: str, customer: stripe.Customer, value: int, at: str) -> None:
        """Tell usage at an instant."""
        self.v1.billing.meter_events.create(
            {
                "event_name": event_name,
                "payload": {"stripe_customer_id": customer.id, "value": str(value)},
                "timestamp": unix(at),
            }
        )

    def subscribe(self, customer: stripe.Customer, *prices: stripe.Price, **more: Any) -> stripe.Subscription:
        params: Any = {
            "customer": customer.id,
            "items": [{"price": price.id} for price in prices],
            **more,
        }
        return self.v1.subscriptions.create(params)

    def invoices(self, subscription: stripe.Subscription) -> list[stripe.Invoice]:
        """The subscription's invoices, oldest first."""
        listed = self.v1.invoices.list({"subscription": subscription.id, "limit": 100})
        return list(reversed(listed.data))


def error(refused: Any) -> tuple[int | None, str | None, str | None, str]:
    """Status, code, param and message of a refusal."""
    found = refused.value
    return found.http_status, found.code, found.param, found.user_message
