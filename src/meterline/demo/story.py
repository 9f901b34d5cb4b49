"""A month of usage billed, as a client sees it: nothing here but the official `stripe` SDK.

One plan with three seats in advance and tokens in arrears (100,000 included, then two tiers), one customer on a
test clock, thirty days of generated requests, a preview on the way, a late event while the invoice is still a
draft, and the invoice line by line.
"""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import stripe
from rich.console import Console
from rich.progress import track
from rich.table import Table

MONTH_START = datetime(2026, 6, 1, tzinfo=UTC)
MONTH_END = datetime(2026, 7, 1, tzinfo=UTC)
REQUESTS_A_DAY = 40
SEATS = 3
SENDERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the customer buys: the meter's event name and the two prices."""

    event_name: str
    seat_price: str
    token_price: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One request of the customer's application."""

    identifier: str
    at: datetime
    tokens: int


def tell(client: stripe.StripeClient, console: Console) -> stripe.Invoice:
    """Run the story; returns the paid invoice of the month."""
    plan = _catalog(client, console)
    clock, subscription = _subscription(client, console, plan)
    customer = str(subscription.customer)
    month = list(_month())
    half = MONTH_START + timedelta(days=15)
    _advance(client, console, clock, half)
    _use(client, console, plan, customer, [usage for usage in month if usage.at < half], "first half")
    _preview(client, console, subscription.id)
    _advance(client, console, clock, MONTH_END - timedelta(minutes=1))
    late = month[-1]
    rest = [usage for usage in month if usage.at >= half and usage is not late]
    _use(client, console, plan, customer, rest, "second half")
    _advance(client, console, clock, MONTH_END + timedelta(minutes=30))
    console.print("[bold]·[/] The period is over and its invoice a draft: one event arrives late, and counts")
    _send(client, plan, customer, late)
    _advance(client, console, clock, MONTH_END + timedelta(hours=2))
    invoice = _cycle_invoice(client, subscription.id)
    show(invoice, console)
    return invoice


def _catalog(client: stripe.StripeClient, console: Console) -> Plan:
    event_name = f"demo_tokens_{time.time_ns()}"
    meter = client.v1.billing.meters.create(
        {
            "display_name": "Tokens",
            "event_name": event_name,
            "default_aggregation": {"formula": "sum"},
            "customer_mapping": {"type": "by_id", "event_payload_key": "stripe_customer_id"},
            "value_settings": {"event_payload_key": "tokens"},
        }
    )
    console.print(f"[bold]1.[/] A meter sums tokens: {meter.id}")
    seats = client.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": 2000,
            "recurring": {"interval": "month"},
            "product_data": {"name": "Seat"},
        }
    )
    tokens = client.v1.prices.create(
        {
            "currency": "usd",
            "billing_scheme": "tiered",
            "tiers_mode": "graduated",
            "tiers": [
                {"up_to": 100_000, "unit_amount": 0},
                {"up_to": 1_000_000, "unit_amount_decimal": Decimal("0.02")},
                {"up_to": "inf", "unit_amount_decimal": Decimal("0.015")},
            ],
            "recurring": {"interval": "month", "usage_type": "metered", "meter": meter.id},
            "product_data": {"name": "Tokens"},
        }
    )
    console.print(f"[bold]2.[/] Two prices: seats at $20.00 in advance ({seats.id}),")
    console.print(f"   tokens in arrears: 100,000 included, then 0.02 ¢, past a million 0.015 ¢ ({tokens.id})")
    return Plan(event_name=event_name, seat_price=seats.id, token_price=tokens.id)


def _subscription(client: stripe.StripeClient, console: Console, plan: Plan) -> tuple[str, stripe.Subscription]:
    clock = client.v1.test_helpers.test_clocks.create(
        {"frozen_time": int(MONTH_START.timestamp()), "name": "Demo month"}
    )
    customer = client.v1.customers.create({"name": "Demo customer", "test_clock": clock.id})
    card = client.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    client.v1.customers.update(customer.id, {"invoice_settings": {"default_payment_method": card.id}})
    subscription = client.v1.subscriptions.create(
        {
            "customer": customer.id,
            "items": [{"price": plan.seat_price, "quantity": SEATS}, {"price": plan.token_price}],
        }
    )
    console.print(f"[bold]3.[/] A customer with a test card, subscribed on 1 June 2026: {subscription.id}")
    return clock.id, subscription


def _month() -> Iterator[Usage]:
    """Thirty days of requests, the same every time; most are small, a few are large."""
    dice = random.Random(2026)
    for number in range(30 * REQUESTS_A_DAY):
        at = MONTH_START + (number + dice.random()) * timedelta(days=1) / REQUESTS_A_DAY
        tokens = 1 + int(dice.lognormvariate(6.6, 1.0))
        yield Usage(identifier=f"request-{number:05}", at=at.replace(microsecond=0), tokens=tokens)


def _send(client: stripe.StripeClient, plan: Plan, customer: str, usage: Usage) -> None:
    client.v1.billing.meter_events.create(
        {
            "event_name": plan.event_name,
            "identifier": f"{customer}-{usage.identifier}",
            "timestamp": int(usage.at.timestamp()),
            "payload": {"stripe_customer_id": customer, "tokens": str(usage.tokens)},
        }
    )


def _use(
    client: stripe.StripeClient,
    console: Console,
    plan: Plan,
    customer: str,
    usages: list[Usage],
    part: str,
) -> None:
    tokens = sum(usage.tokens for usage in usages)
    with ThreadPoolExecutor(SENDERS) as pool:
        sent = pool.map(lambda usage: _send(client, plan, customer, usage), usages)
        title = f"   sending the {part}"
        for _ in track(sent, description=title, total=len(usages), console=console, transient=True):
            pass
    console.print(f"[bold]·[/] The {part} of the month: {len(usages):,} meter events, {tokens:,} tokens")


def _advance(client: stripe.StripeClient, console: Console, clock: str, to: datetime) -> None:
    client.v1.test_helpers.test_clocks.advance(clock, {"frozen_time": int(to.timestamp())})
    while (now := client.v1.test_helpers.test_clocks.retrieve(clock)).status == "advancing":
        time.sleep(0.05)
    if now.status != "ready":
        raise RuntimeError(f"the test clock is {now.status}")
    console.print(f"[bold]·[/] The clock stands at {to:%d %B %Y, %H:%M} UTC")


def _preview(client: stripe.StripeClient, console: Console, subscription: str) -> None:
    preview = client.v1.invoices.create_preview({"subscription": subscription})
    console.print(f"[bold]·[/] A preview of the next invoice, with usage so far: {_money(preview.total)}")


def _cycle_invoice(client: stripe.StripeClient, subscription: str) -> stripe.Invoice:
    invoices = client.v1.invoices.list({"subscription": subscription})
    return next(each for each in invoices.data if each.billing_reason == "subscription_cycle")


def show(invoice: stripe.Invoice, console: Console) -> None:
    """Print an invoice line by line."""
    table = Table(title=f"Invoice {invoice.number} · {invoice.status}", title_justify="left")
    table.add_column("Line")
    table.add_column("Period")
    table.add_column("Quantity", justify="right")
    table.add_column("Amount", justify="right")
    for line in invoice.lines.data:
        start = datetime.fromtimestamp(line.period.start, UTC)
        end = datetime.fromtimestamp(line.period.end, UTC)
        period = f"{start:%d %b} – {end:%d %b %Y}"
        quantity = "" if line.quantity is None else f"{line.quantity:,}"
        table.add_row(line.description or "", period, quantity, _money(line.amount))
    table.add_section()
    table.add_row("Total", "", "", _money(invoice.total))
    table.add_row("Paid", "", "", _money(invoice.amount_paid))
    console.print(table)


def _money(cents: int) -> str:
    sign = "-" if cents < 0 else ""
    return f"{sign}${abs(cents) // 100:,}.{abs(cents) % 100:02}"
