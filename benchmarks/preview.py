"""What a preview costs with few and with many events in the period, through the official SDK.

`python -m benchmarks.preview [--few 1000] [--many 1000000] [--previews 40]`
One customer on a graduated metered price; the events lie in the last twenty days of the subscription.
"""

import argparse
import asyncio
import secrets
import statistics
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import stripe
from rich.console import Console

from benchmarks.ground import SECRET, database, furnish, load, request, serving

_BATCH = 2_000
_DAYS = 20


def sold(client: stripe.StripeClient) -> tuple[str, str]:
    """A customer who bought a month of metered usage, begun three weeks ago; and the name of its events."""
    name = f"calls_{secrets.token_hex(4)}"
    meter = client.v1.billing.meters.create(
        {"display_name": name, "event_name": name, "default_aggregation": {"formula": "sum"}}
    )
    price = client.v1.prices.create(
        {
            "currency": "usd",
            "product_data": {"name": name},
            "billing_scheme": "tiered",
            "tiers_mode": "graduated",
            "tiers": [
                {"up_to": 100_000, "unit_amount_decimal": Decimal("0.02")},
                {"up_to": "inf", "unit_amount_decimal": Decimal("0.01")},
            ],
            "recurring": {"interval": "month", "usage_type": "metered", "meter": meter.id},
        }
    )
    customer = client.v1.customers.create({"payment_method": "pm_card_visa"})
    client.v1.subscriptions.create(
        {
            "customer": customer.id,
            "items": [{"price": price.id}],
            "default_payment_method": client.v1.customers.payment_methods.list(customer.id).data[0].id,
            "backdate_start_date": int((datetime.now(UTC) - timedelta(days=_DAYS + 1)).timestamp()),
        }
    )
    return customer.id, name


async def use(addresses: list[tuple[str, int]], customer: str, name: str, count: int) -> None:
    """Send so many events, spread over the days."""
    now = datetime.now(UTC)
    for sent in range(0, count, 50_000):
        events = [
            msgspec.json.encode(
                {
                    "event_name": name,
                    "identifier": secrets.token_hex(16),
                    "timestamp": (now - timedelta(seconds=n * 97 % (_DAYS * 86_400))).isoformat(),
                    "payload": {"stripe_customer_id": customer, "value": str(n % 7)},
                }
            )
            for n in range(sent, min(count, sent + 50_000))
        ]
        parts = [events[n : n + _BATCH] for n in range(0, len(events), _BATCH)]
        bodies = [request("/ingest/events", b"\n".join(part), "application/x-ndjson") for part in parts]
        await load(addresses, bodies, connections=8)


def preview_ms(client: stripe.StripeClient, customer: str) -> float:
    """The time of one preview, milliseconds."""
    began = time.perf_counter()
    client.v1.invoices.create_preview({"customer": customer})
    return (time.perf_counter() - began) * 1000


def main() -> None:
    """Measure both customers in turns, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, default=1_000)
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--previews", type=int, default=40)
    options = parser.parse_args()
    with database() as dsn, serving(dsn) as addresses:
        asyncio.run(furnish(dsn, customers=0))
        client = stripe.StripeClient(SECRET, base_addresses={"api": f"http://127.0.0.1:{addresses[0][1]}"})
        took: dict[int, list[float]] = {options.few: [], options.many: []}
        whose = {}
        for count in took:
            whose[count], name = sold(client)
            asyncio.run(use(addresses, whose[count], name, count))
        for turn in range(options.previews + 5):
            for count, times in took.items():
                ms = preview_ms(client, whose[count])
                if turn >= 5:
                    times.append(ms)
    few, many = (statistics.median(times) for times in took.values())
    Console(width=120).print(
        f"preview: {few:.1f} ms with {options.few:,} events in the period, {many:.1f} ms with {options.many:,}"
        f" ({many / few:.2f} of it)"
    )


if __name__ == "__main__":
    main()
