"""A law: the preview at an instant and the invoice made at that instant have the same lines and totals."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import stripe
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire import working
from tests.wire.billing import Month

START = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
CHANGE = datetime(2026, 2, 11, 17, 45, 12, tzinfo=UTC)
END = datetime(2026, 2, 28, 9, 30, tzinfo=UTC)
HOUR_LATER = datetime(2026, 2, 28, 10, 30, tzinfo=UTC)


@pytest.fixture(scope="module", autouse=True)
def worker(dsn: str) -> Iterator[None]:
    with working.running(dsn):
        yield


@st.composite
def stories(draw: st.DrawFn) -> dict[str, Any]:
    """Tiers, seats, a change of seats in the middle, usage, waiting items, discounts and a balance."""
    bounds = sorted(draw(st.lists(st.integers(1, 2000), min_size=0, max_size=3, unique=True)))
    unit = st.decimals(0, 30, places=4)
    flat = st.none() | st.decimals(0, 300, places=1)
    tiers = []
    for bound in [*bounds, "inf"]:
        tier: dict[str, Any] = {"up_to": bound, "unit_amount_decimal": draw(unit)}
        base = draw(flat)
        if base is not None:
            tier["flat_amount_decimal"] = base
        tiers.append(tier)
    return {
        "tiers": tiers,
        "mode": draw(st.sampled_from(["graduated", "volume"])),
        "seats": draw(st.integers(1, 9)),
        "later_seats": draw(st.integers(0, 9)),
        "used": draw(st.integers(0, 5000)),
        "waiting": draw(st.lists(st.integers(-5000, 5000), max_size=3)),
        "balance": draw(st.integers(-8000, 8000)),
        "coupons": draw(st.lists(coupons, max_size=2)),
        "seats_coupons": draw(st.lists(coupons, max_size=1)),
        "itemized": draw(st.booleans()),
    }


coupons = st.fixed_dictionaries({"duration": st.sampled_from(["once", "forever"])}).flatmap(
    lambda lasting: st.one_of(
        st.integers(1, 100).map(lambda percent: {"percent_off": percent, **lasting}),
        st.integers(1, 9000).map(lambda amount: {"amount_off": amount, "currency": "usd", **lasting}),
    )
)


@settings(max_examples=8, deadline=None)
@given(story=stories())
def test_the_preview_is_the_invoice(client: stripe.StripeClient, story: dict[str, Any]) -> None:
    month = Month(client, start=START, tiers=story["tiers"], tiers_mode=story["mode"])
    shown = "itemized" if story["itemized"] else "included"
    month.subscribe(
        seats=story["seats"],
        billing_mode={"type": "flexible", "flexible": {"proration_discounts": shown}},
        discounts=_redeemable(client, story["coupons"]),
    )
    month.advance(CHANGE)
    seats = next(item for item in month.subscription["items"].data if item.price.id == month.seat.id)
    client.v1.subscriptions.update(
        month.subscription.id,
        {
            "items": [
                {
                    "id": seats.id,
                    "quantity": story["later_seats"],
                    "discounts": _redeemable(client, story["seats_coupons"]),
                }
            ]
        },
    )
    month.use(story["used"], at=CHANGE)
    for amount in story["waiting"]:
        client.v1.invoice_items.create({"customer": month.customer.id, "amount": amount, "currency": "usd"})
    if story["balance"]:
        client.v1.customers.balance_transactions.create(
            month.customer.id, {"amount": story["balance"], "currency": "usd"}
        )

    preview = client.v1.invoices.create_preview({"subscription": month.subscription.id})
    month.advance(END)
    draft = month.latest_invoice()
    month.advance(HOUR_LATER)
    issued = client.v1.invoices.retrieve(draft.id)

    for made in (draft, issued):
        assert _lines(made) == _lines(preview)
        assert _totals(made) == _totals(preview)
    assert issued.ending_balance == preview.ending_balance
    assert issued.amount_due == issued.amount_paid
    off = sum(each.amount for each in issued.total_discount_amounts or [])
    assert issued.total == sum(line.amount for line in issued.lines.auto_paging_iter()) - off


def _redeemable(client: stripe.StripeClient, asked: list[dict[str, Any]]) -> Any:
    return [{"coupon": client.v1.coupons.create(each).id} for each in asked]  # type: ignore[arg-type]


def _lines(invoice: stripe.Invoice) -> list[dict[str, Any]]:
    lines = [line.to_dict(for_json=True) for line in invoice.lines.auto_paging_iter()]
    return [{name: value for name, value in line.items() if name not in ("id", "invoice")} for line in lines]


def _totals(invoice: stripe.Invoice) -> dict[str, Any]:
    names = (
        "subtotal", "subtotal_excluding_tax", "total", "total_excluding_tax", "amount_due", "starting_balance",
        "total_taxes", "total_discount_amounts", "total_pretax_credit_amounts", "period_start", "period_end",
    )  # fmt: skip
    return {name: invoice[name] for name in names}
