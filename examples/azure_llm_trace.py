"""Bill one hour of real LLM requests with the official `stripe` SDK and nothing else.

Two services (conv, code) are two customers on one test clock in November 2023. Every request of the trace is
one meter event: context + generated tokens, at the request's own time, under an identifier of its own, so that
sending it again counts nothing twice. The price is 0.04 USD per 100 tokens, rounded up, billed monthly.

The trace is the Azure LLM inference trace 2023 (AzurePublicDataset, CC-BY 4.0): `azure_llm_conv.csv` and
`azure_llm_code.csv` in the folder given by --data. Without them the same story runs on generated requests of
the same shape and says so.

    python examples/azure_llm_trace.py --base-url http://127.0.0.1:8420 --api-key sk_test_... [--data DIR]
"""

import argparse
import csv
import random
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import stripe

SERVICES = ("conv", "code")
MONTH_START = datetime(2023, 11, 1, tzinfo=UTC)
TRACE_OVER = datetime(2023, 11, 16, 20, tzinfo=UTC)
MONTH_END = datetime(2023, 12, 1, tzinfo=UTC)
CENTS_PER_100_TOKENS = 4
SENDERS = 16


@dataclass(frozen=True)
class Request:
    """One LLM request: when it came in and how many tokens it took."""

    identifier: str
    at: datetime
    tokens: int


@dataclass(frozen=True)
class Bill:
    """What one service owes: by our own arithmetic, by the preview and by the invoice, in cents."""

    service: str
    requests: int
    tokens: int
    expected: int
    previewed: int
    invoiced: int

    @property
    def right(self) -> bool:
        return self.expected == self.previewed == self.invoiced


def trace(service: str, folder: Path | None) -> list[Request]:
    """The service's requests from its CSV file, or generated ones of the same shape."""
    file = folder / f"azure_llm_{service}.csv" if folder else None
    if file is not None and file.exists():
        return list(_read(service, file))
    print(f"  no trace of {service} found: billing generated requests of the same shape instead")
    return list(_generate(service))


def _read(service: str, file: Path) -> Iterator[Request]:
    with file.open(newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines)):
            at = datetime.fromisoformat(row["TIMESTAMP"].strip()[:26]).replace(tzinfo=UTC)
            tokens = int(row["ContextTokens"]) + int(row["GeneratedTokens"])
            yield Request(f"{service}-{number:05}", at, tokens)


def _generate(service: str) -> Iterator[Request]:
    dice = random.Random(service)  # noqa: S311 -- made-up usage, the same every time
    at = datetime(2023, 11, 16, 18, 15, 46, tzinfo=UTC)
    for number in range(500):
        at += timedelta(seconds=dice.uniform(0, 7))
        yield Request(f"{service}-{number:05}", at, 1 + int(dice.lognormvariate(6.5, 1.2)))


def expected_cents(requests: Sequence[Request]) -> int:
    """4 cents for each 100 tokens begun."""
    tokens = sum(request.tokens for request in requests)
    return -(-tokens // 100) * CENTS_PER_100_TOKENS


def dollars(cents: int) -> str:
    """Cents as people read them."""
    return f"{cents // 100:,}.{cents % 100:02}"


class Story:
    """The chain meter → price → customers → subscriptions → events → previews → invoices."""

    def __init__(self, client: stripe.StripeClient) -> None:
        self.v1 = client.v1

    def set_up_price(self) -> tuple[str, str]:
        """The meter's event name and the price's id."""
        event_name = f"llm_tokens_{time.time_ns()}"
        meter = self.v1.billing.meters.create(
            {
                "display_name": "LLM tokens",
                "event_name": event_name,
                "default_aggregation": {"formula": "sum"},
                "customer_mapping": {"type": "by_id", "event_payload_key": "stripe_customer_id"},
                "value_settings": {"event_payload_key": "value"},
            }
        )
        price = self.v1.prices.create(
            {
                "currency": "usd",
                "unit_amount": CENTS_PER_100_TOKENS,
                "transform_quantity": {"divide_by": 100, "round": "up"},
                "recurring": {"interval": "month", "usage_type": "metered", "meter": meter.id},
                "product_data": {"name": "LLM tokens"},
            }
        )
        return event_name, price.id

    def subscribe(self, service: str, clock: str, price: str) -> stripe.Subscription:
        """A new customer on the clock, with a card, subscribed to the price."""
        customer = self.v1.customers.create({"name": f"LLM service: {service}", "test_clock": clock})
        card = self.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
        self.v1.customers.update(customer.id, {"invoice_settings": {"default_payment_method": card.id}})
        return self.v1.subscriptions.create({"customer": customer.id, "items": [{"price": price}]})

    def send(self, event_name: str, customer: str, requests: Sequence[Request]) -> int:
        """Send every request as a meter event; returns how many were new."""

        def send_one(request: Request) -> bool:
            try:
                self.v1.billing.meter_events.create(
                    {
                        "event_name": event_name,
                        "identifier": f"{customer}-{request.identifier}",
                        "timestamp": int(request.at.timestamp()),
                        "payload": {"stripe_customer_id": customer, "value": str(request.tokens)},
                    }
                )
            except stripe.InvalidRequestError as refused:
                if "already exists with identifier" in (refused.user_message or ""):
                    return False
                raise
            return True

        with ThreadPoolExecutor(SENDERS) as pool:
            return sum(pool.map(send_one, requests))

    def advance(self, clock: str, to: datetime) -> None:
        """Move the clock and wait until everything due by then has happened."""
        self.v1.test_helpers.test_clocks.advance(clock, {"frozen_time": int(to.timestamp())})
        while (now := self.v1.test_helpers.test_clocks.retrieve(clock)).status != "ready":
            if now.status != "advancing":
                raise RuntimeError(f"the test clock is {now.status}")
            time.sleep(0.1)


def run(client: stripe.StripeClient, folder: Path | None) -> list[Bill]:
    """Bill the month of the trace; one bill a service."""
    story = Story(client)
    event_name, price = story.set_up_price()
    clock = client.v1.test_helpers.test_clocks.create(
        {"frozen_time": int(MONTH_START.timestamp()), "name": "Azure LLM trace"}
    )
    subscriptions = {service: story.subscribe(service, clock.id, price) for service in SERVICES}
    traces = {service: trace(service, folder) for service in SERVICES}
    story.advance(clock.id, TRACE_OVER)

    previews = {}
    for service, requests in traces.items():
        subscription = subscriptions[service]
        customer = str(subscription.customer)
        new = story.send(event_name, customer, requests)
        again = story.send(event_name, customer, requests[:100])
        print(f"  {service}: {new} requests counted, {again} of 100 replays counted")
        preview = client.v1.invoices.create_preview({"subscription": subscription.id})
        previews[service] = preview.total

    story.advance(clock.id, MONTH_END + timedelta(hours=2))
    bills = []
    for service, requests in traces.items():
        listed = client.v1.invoices.list({"subscription": subscriptions[service].id})
        invoice = next(each for each in listed.data if each.billing_reason == "subscription_cycle")
        bills.append(
            Bill(
                service=service,
                requests=len(requests),
                tokens=sum(request.tokens for request in requests),
                expected=expected_cents(requests),
                previewed=previews[service],
                invoiced=invoice.total,
            )
        )
        print(f"  {service}: invoice {invoice.number} is {invoice.status}")
    return bills


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--base-url", default="http://127.0.0.1:8420")
    parser.add_argument("--api-key", required=True)
    parser.add_argument("--data", type=Path, help="folder with azure_llm_conv.csv and azure_llm_code.csv")
    asked = parser.parse_args()
    client = stripe.StripeClient(asked.api_key, base_addresses={"api": asked.base_url})
    bills = run(client, asked.data)
    print(f"{'service':8} {'requests':>9} {'tokens':>12} {'expected':>12} {'preview':>12} {'invoice':>12}")
    for bill in bills:
        amounts = [dollars(cents) for cents in (bill.expected, bill.previewed, bill.invoiced)]
        print(f"{bill.service:8} {bill.requests:>9,} {bill.tokens:>12,} " + " ".join(f"{a:>12}" for a in amounts))
    return 0 if all(bill.right for bill in bills) else 1


if __name__ == "__main__":
    sys.exit(main())
