"""How a subscription begins: first periods, stubs, backdating, trials."""

import pytest

from meterline.period import Period
from meterline.refusal import Refusal
from meterline.subscription.billable import Billable
from meterline.subscription.item import check_price, check_together, settle_quantity
from meterline.subscription.model import Mode, ProrationBehavior, Subscription
from meterline.subscription.opening import open_subscription
from tests.core.subscription.build import at, draft, price, told

GOLD = price("gold")
SEATS = price("seats", unit="2000")
TOKENS = price("tokens", metered=True)
YEARLY = price("yearly", unit="12000", every="year")
PRICES = {each.id: each for each in (GOLD, SEATS, TOKENS, YEARLY)}


def opened(
    *ids: str,
    now: str,
    anchor: str | None = None,
    start: str | None = None,
    trial_end: str | None = None,
    mode: Mode = "flexible",
    behavior: ProrationBehavior = "create_prorations",
) -> tuple[Subscription, tuple[Billable, ...]]:
    asked = draft(
        *(PRICES[id] for id in ids),
        created=at(now),
        anchor=at(anchor) if anchor else None,
        start=at(start) if start else None,
        trial_end=at(trial_end) if trial_end else None,
        mode=mode,
    )
    return open_subscription(asked, PRICES, proration_behavior=behavior, now=at(now))


def test_seats_are_billed_in_advance_and_usage_is_not_billed_yet() -> None:
    subscription, billables = opened("seats", "tokens", now="2026-01-15")

    assert told(billables) == ["+1 × seats 2026-01-15…2026-02-15"]
    seats, tokens = subscription.items
    assert tokens.usage_from == at("2026-01-15")
    assert seats.period == tokens.period
    assert subscription.status == "incomplete"


@pytest.mark.parametrize(
    ("now", "anchor", "expected"),
    [
        ("2026-02-15", "2026-03-01", "+1 × gold 2026-02-15…2026-03-01 ·1/2"),
        ("2026-01-15", "2026-02-01", "+1 × gold 2026-01-15…2026-02-01 ·17/31"),
        ("2026-01-01", "2026-02-01", "+1 × gold 2026-01-01…2026-02-01"),
    ],
)
def test_the_time_up_to_a_future_anchor_is_a_share_of_an_interval_that_begins_now(
    now: str, anchor: str, expected: str
) -> None:
    subscription, billables = opened("gold", now=now, anchor=anchor)

    assert told(billables) == [expected]
    assert subscription.items[0].period_end == at(anchor)


def test_without_prorations_the_time_up_to_the_anchor_is_free() -> None:
    subscription, billables = opened("gold", now="2026-01-15", anchor="2026-02-01", behavior="none")

    assert billables == ()
    assert subscription.items[0].billed is None


@pytest.mark.parametrize(
    ("start", "now", "mode", "expected"),
    [
        (
            "2026-02-15",
            "2026-03-01",
            "flexible",
            ["+1 × gold 2026-02-15…2026-03-01 ·1/2", "+1 × gold 2026-03-01…2026-04-01"],
        ),
        (
            "2026-01-15",
            "2026-03-01",
            "flexible",
            [
                "+1 × gold 2026-01-15…2026-02-01 ·17/31",
                "+1 × gold 2026-02-01…2026-03-01",
                "+1 × gold 2026-03-01…2026-04-01",
            ],
        ),
        (
            "2026-01-15",
            "2026-03-01",
            "classic",
            ["+1 × gold 2026-01-15…2026-03-01 ·48/31", "+1 × gold 2026-03-01…2026-04-01"],
        ),
    ],
)
def test_backdating_bills_the_time_since_the_start(start: str, now: str, mode: Mode, expected: list[str]) -> None:
    _, billables = opened("gold", now=now, start=start, mode=mode)

    assert told(billables) == expected


@pytest.mark.parametrize(
    ("mode", "now", "expected"),
    [
        ("flexible", "2026-03-10", ["+1 × gold 2026-02-15…2026-03-01 ·1/2", "+1 × gold 2026-03-01…2026-04-01"]),
        ("flexible", "2026-02-20", ["+1 × gold 2026-02-15…2026-03-01 ·1/2"]),
        ("classic", "2026-02-20", ["+1 × gold 2026-02-15…2026-03-01 ·1/2"]),
    ],
)
def test_backdating_before_a_future_anchor_bills_no_day_twice(mode: Mode, now: str, expected: list[str]) -> None:
    anchor = "2026-03-01" if now < "2026-03-01" else "2026-04-01"

    subscription, billables = opened("gold", now=now, start="2026-02-15", anchor=anchor, mode=mode)

    assert told(billables) == expected
    assert subscription.items[0].period_end == at(anchor)


def test_what_is_not_prorated_is_free_when_backdated_into_a_period_under_way() -> None:
    _, billables = opened("gold", now="2026-03-10", start="2026-02-15", anchor="2026-04-01", behavior="none")

    assert billables == ()


def test_flexible_backdating_bills_earlier_usage_at_once() -> None:
    subscription, billables = opened("tokens", now="2026-03-01", start="2026-01-15")

    assert [(each.usage, each.period) for each in billables] == [
        (span, span)
        for span in (
            Period(start=at("2026-01-15"), end=at("2026-02-01")),
            Period(start=at("2026-02-01"), end=at("2026-03-01")),
        )
    ]
    assert subscription.items[0].usage_from == at("2026-03-01")


def test_classic_backdating_bills_earlier_usage_with_the_first_period() -> None:
    subscription, billables = opened("tokens", now="2026-03-01", start="2026-02-15", mode="classic")

    assert [each.usage for each in billables] == [Period(start=at("2026-02-15"), end=at("2026-02-15"))]
    assert subscription.items[0].usage_from == at("2026-02-15")


def test_backdating_too_far_is_refused() -> None:
    with pytest.raises(Refusal, match="more than 250 invoice lines"):
        opened("gold", now="2026-03-01", start="2000-01-01")


def test_a_trial_costs_nothing_and_usage_starts_to_count_when_it_ends() -> None:
    subscription, billables = opened("gold", "tokens", now="2026-01-01", trial_end="2026-01-15")

    assert told(billables) == ["+1 × gold 2026-01-01…2026-01-15 free"]
    assert subscription.status == "trialing"
    assert subscription.anchor == at("2026-01-15")
    assert subscription.items[1].usage_from == at("2026-01-15")


def test_flexible_billing_mixes_intervals() -> None:
    subscription, billables = opened("gold", "yearly", now="2026-01-31")

    assert told(billables) == [
        "+1 × gold 2026-01-31…2026-02-28",
        "+1 × yearly 2026-01-31…2027-01-31",
    ]
    assert subscription.next_boundary == at("2026-02-28")


def test_classic_billing_shows_a_metered_item_with_no_usage_at_the_start() -> None:
    _, billables = opened("tokens", now="2026-01-31", mode="classic")

    assert told(billables) == ["usage of tokens 2026-01-31…2026-01-31"]


def test_what_cannot_stand_on_one_subscription() -> None:
    with pytest.raises(Refusal, match="multiple Subscription Items with the same Price: gold"):
        check_together([GOLD, GOLD], mode="flexible")
    with pytest.raises(Refusal, match="same billing interval"):
        check_together([GOLD, YEARLY], mode="classic")
    with pytest.raises(Refusal, match="at most 20 items"):
        check_together([price(f"p{number}") for number in range(21)], mode="flexible")
    with pytest.raises(Refusal, match="must have at least one active plan"):
        check_together([], mode="flexible")
    with pytest.raises(Refusal, match="doesn't match the expected currency: `eur`"):
        check_price(GOLD, currency="eur", param="items[0][price]")


def test_a_metered_item_has_no_quantity_and_a_licensed_one_has_one_unless_told() -> None:
    assert settle_quantity(GOLD, None, param="items[0][quantity]") == 1
    assert settle_quantity(GOLD, 0, param="items[0][quantity]") == 0
    assert settle_quantity(TOKENS, None, param="items[0][quantity]") is None
    with pytest.raises(Refusal, match=r"Remove quantity from `items\[0\]`"):
        settle_quantity(TOKENS, 1, param="items[0][quantity]")
