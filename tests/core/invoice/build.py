"""Drafts, lines and billables for invoice tests: what matters is said, the rest is filled in."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Literal
from uuid import UUID

from meterline.catalog import PriceModel, Product, Recurring
from meterline.invoice.gathered import Gathered
from meterline.invoice.line import InvoiceLine
from meterline.invoice.model import BillTo, Invoice
from meterline.invoice.state import finalized
from meterline.invoice.total import totals
from meterline.period import Interval, Period
from meterline.subscription.billable import Billable, Proration
from tests.core.rating.price import priced

START = datetime(2026, 4, 1, tzinfo=UTC)
APRIL = Period(start=START, end=datetime(2026, 5, 1, tzinfo=UTC))


def line(amount: int) -> InvoiceLine:
    """A line of that amount, in cents."""
    return InvoiceLine(id="", amount=amount, currency="usd", description=None, period=APRIL, quantity=Decimal(1))


def draft(*amounts: int, method: Literal["charge_automatically", "send_invoice"] = "charge_automatically") -> Invoice:
    """A draft with a line of each amount."""
    return Invoice(
        environment="test",
        customer_id=UUID(int=1),
        id="in_1",
        customer="cus_1",
        test_clock=None,
        created=START,
        currency="usd",
        status="draft",
        billing_reason="manual",
        collection_method=method,
        auto_advance=True,
        period_start=START,
        period_end=START,
        lines=tuple(line(amount) for amount in amounts),
    )


def issued(*amounts: int, balance: int = 0) -> Invoice:
    """The same draft, finalized an hour later against that balance."""
    made = draft(*amounts)
    now = START + timedelta(hours=1)
    after, _ = finalized(made, totals=totals(made.lines), balance=balance, number="ABC-0001", bill_to=BillTo(), now=now)
    return after


def metered(
    model: PriceModel, used: str, *, label: str | None = None, currency: str = "usd", count: int = 1
) -> Gathered:
    """Usage of April under that price model."""
    recurring = Recurring(interval=Interval(unit="month", count=count), usage_type="metered", meter="mtr_1")
    billable = Billable(
        subscription="sub_1",
        item="si_1",
        price=replace(priced(model, currency=currency), recurring=recurring),
        quantity=None,
        usage=APRIL,
        period=APRIL,
        timing="arrears",
    )
    return Gathered(billable=billable, product=product(label), used=Decimal(used))


def licensed(model: PriceModel, quantity: int, *, trial: bool = False) -> Gathered:
    """Seats for April."""
    billable = Billable(
        subscription="sub_1",
        item="si_2",
        price=replace(priced(model), recurring=Recurring(interval=Interval(unit="month"))),
        quantity=Decimal(quantity),
        usage=None,
        period=APRIL,
        timing="advance",
        trial=trial,
    )
    return Gathered(billable=billable, product=product())


def prorated(
    model: PriceModel,
    quantity: int,
    *,
    share: Fraction,
    direction: Literal["credit", "debit"],
    since: datetime = START,
) -> Gathered:
    """A share of seats, from an instant to the end of April."""
    whole = licensed(model, quantity)
    billable = replace(
        whole.billable,
        period=Period(start=since, end=APRIL.end),
        proration=Proration(direction=direction, fraction=share),
    )
    return replace(whole, billable=billable)


def product(label: str | None = None) -> Product:
    return Product(environment="test", id="prod_1", name="API", unit_label=label, created=START, updated=START)
