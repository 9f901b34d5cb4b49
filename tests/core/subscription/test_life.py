"""Renewals, changes, endings and statuses, from one instant to the next."""

from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterline.catalog import PerUnit
from meterline.period import Unit
from meterline.refusal import Refusal
from meterline.subscription import status
from meterline.subscription.billable import Billable
from meterline.subscription.change import Added, Altered, Change, ItemChange, Removed, change_items
from meterline.subscription.ending import cancel, forget_end, plan_end
from meterline.subscription.model import (
    Mode,
    PauseCollection,
    ProrationBehavior,
    Status,
    Subscription,
    TrialEnd,
)
from meterline.subscription.opening import open_subscription
from meterline.subscription.plan import planned
from meterline.subscription.renewal import renew
from tests.core.subscription.build import NOBODY, at, draft, price, told

GOLD = price("gold")
PLATINUM = price("platinum", unit="2000")
DEAR = price("dear", unit="3252")
BIG = price("big", unit="1800")
YEARLY = price("yearly", unit="12000", every="year")
TOKENS = price("tokens", unit="0.1", metered=True)
TOKENS_V2 = price("tokens_v2", unit="0.15", metered=True)
FREE = price("free", unit="0")
PRICES = {each.id: each for each in (GOLD, PLATINUM, DEAR, BIG, YEARLY, TOKENS, TOKENS_V2, FREE)}


def running(
    *ids: str, since: str, mode: Mode = "flexible", quantity: int = 1, trial_end: str | None = None
) -> Subscription:
    asked = draft(
        *(PRICES[id] for id in ids),
        created=at(since),
        mode=mode,
        quantity=quantity,
        trial_end=at(trial_end) if trial_end else None,
    )
    opened, _ = open_subscription(asked, PRICES, proration_behavior="create_prorations", now=at(since))
    return opened if trial_end else replace(opened, status="active")


def altered(subscription: Subscription, item: str, to: str, *, quantity: int | None = 1) -> Altered:
    assert subscription.item(item) is not None
    return Altered(id=item, price=to, quantity=quantity, tax_rates=(), metadata={})


def changed(
    subscription: Subscription,
    *changes: ItemChange,
    now: datetime,
    behavior: ProrationBehavior = "create_prorations",
    anchor_now: bool = False,
) -> Change:
    return change_items(subscription, PRICES, changes, behavior=behavior, since=now, anchor_now=anchor_now, now=now)


def cents(billables: tuple[Billable, ...]) -> list[int]:
    """What licensed lines come to: ties of prorations toward minus infinity."""
    return [_cents(each) for each in billables]


def _cents(billable: Billable) -> int:
    assert isinstance(billable.price.model, PerUnit) and billable.quantity is not None
    full = Fraction(billable.price.model.unit * billable.quantity)
    if billable.proration is None:
        return int(full)
    sign = -1 if billable.proration.direction == "credit" else 1
    return ceil(sign * billable.proration.fraction * full - Fraction(1, 2))


# Renewal


@pytest.mark.parametrize(
    ("since", "boundaries"),
    [
        ("2026-01-31", ["2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"]),
        ("2024-01-31", ["2024-02-29", "2024-03-31", "2024-04-30"]),
        ("2024-12-30", ["2025-01-30", "2025-02-28", "2025-03-30"]),
    ],
)
def test_month_end_anchors_come_back_to_their_day(since: str, boundaries: list[str]) -> None:
    subscription = running("gold", since=since)
    ends = []
    for _ in boundaries:
        ends.append(subscription.next_boundary)
        subscription = renew(subscription, PRICES, at=subscription.next_boundary, payable=True).subscription

    assert ends == [at(text) for text in boundaries]


def test_a_leap_day_subscription_renews_on_the_last_of_february() -> None:
    subscription = running("yearly", since="2024-02-29")
    ends = []
    for _ in range(4):
        ends.append(subscription.next_boundary)
        subscription = renew(subscription, PRICES, at=subscription.next_boundary, payable=True).subscription

    assert ends == [at("2025-02-28"), at("2026-02-28"), at("2027-02-28"), at("2028-02-29")]


def test_one_cycle_invoice_bills_last_months_usage_and_next_months_seats() -> None:
    subscription = running("gold", "tokens", since="2026-01-31")

    renewal = renew(subscription, PRICES, at=at("2026-02-28"), payable=True)

    assert told(renewal.billables) == [
        "+1 × gold 2026-02-28…2026-03-31",
        "usage of tokens 2026-01-31…2026-02-28",
    ]
    assert renewal.subscription.items[1].usage_from == at("2026-02-28")


def test_with_mixed_intervals_only_what_ends_is_renewed() -> None:
    subscription = running("gold", "yearly", since="2026-01-31")

    first = renew(subscription, PRICES, at=at("2026-02-28"), payable=True)

    assert told(first.billables) == ["+1 × gold 2026-02-28…2026-03-31"]
    assert first.subscription.items[1].period_end == at("2027-01-31")


@given(
    since=st.integers(946_684_800, 2_524_608_000),
    unit=st.sampled_from(["day", "week", "month", "year"]),
    count=st.integers(1, 3),
)
def test_the_windows_of_billed_usage_tile(since: int, unit: Unit, count: int) -> None:
    metered = price("usage", every=unit, count=count, metered=True)
    created = at("1970-01-01") + timedelta(seconds=since)
    subscription, _ = open_subscription(
        draft(metered, created=created),
        {"usage": metered},
        proration_behavior="create_prorations",
        now=created,
    )
    windows = []
    for _ in range(15):
        renewal = renew(subscription, {"usage": metered}, at=subscription.next_boundary, payable=True)
        windows += [each.usage for each in renewal.billables if each.usage is not None]
        subscription = renewal.subscription

    assert windows[0].start == created
    assert all(before.end == after.start for before, after in pairwise(windows))


# Trials


def test_at_the_end_of_a_trial_seats_begin_and_trial_usage_is_not_billed() -> None:
    trial = running("gold", "tokens", since="2026-01-01", trial_end="2026-01-15")

    renewal = renew(trial, PRICES, at=at("2026-01-15"), payable=True)

    assert told(renewal.billables) == ["+1 × gold 2026-01-15…2026-02-15"]
    assert renewal.subscription.status == "active"


@pytest.mark.parametrize(
    ("outcome", "expected"), [("create_invoice", "active"), ("pause", "paused"), ("cancel", "canceled")]
)
def test_a_trial_that_ends_without_a_payment_method_ends_as_agreed(outcome: str, expected: Status) -> None:
    trial = replace(
        running("gold", since="2026-01-01", trial_end="2026-01-15"),
        trial_settings=TrialEnd(missing_payment_method=outcome),  # type: ignore[arg-type]
    )

    renewal = renew(trial, PRICES, at=at("2026-01-15"), payable=False)

    assert renewal.subscription.status == expected
    assert bool(renewal.billables) == (expected == "active")


# Changes: the worked numbers


@pytest.mark.parametrize(
    ("case", "before", "after", "start", "end", "now", "expected"),
    [
        ("P1", ("gold", 1), ("dear", 1), 1596749288, 1599427688, 1598982148, [-166, 541]),
        ("P5", ("gold", 1), ("big", 1), 1704067200, 1706659200, 1706659200 - 6480, [-3, 4]),
        ("P6", ("gold", 1), ("gold", 3), 1704067200, 1706659200, 1706659200 - 6480, [-3, 7]),
        ("P7", ("platinum", 1), ("gold", 1), 1704067200, 1706659200, 1705795200, [-667, 333]),
        ("P2", ("gold", 1), ("platinum", 1), 1704067200, 1706659200, 1705363200, [-500, 1000]),
    ],
)
@pytest.mark.parametrize("mode", ["flexible", "classic"])
def test_a_change_in_mid_period_gives_back_the_rest_and_buys_the_rest(
    mode: Mode,
    case: str,
    before: tuple[str, int],
    after: tuple[str, int],
    start: int,
    end: int,
    now: int,
    expected: list[int],
) -> None:
    def instant(seconds: int) -> datetime:
        return at("1970-01-01") + timedelta(seconds=seconds)

    prices = {
        id: price(id, unit=unit, every="day", count=(end - start) // 86400)
        for id, unit in [("gold", "1000"), ("dear", "3252"), ("big", "1800"), ("platinum", "2000")]
    }
    opened, _ = open_subscription(
        draft(prices[before[0]], created=instant(start), mode=mode, quantity=before[1]),
        prices,
        proration_behavior="create_prorations",
        now=instant(start),
    )
    subscription = replace(opened, status="active")
    item = subscription.items[0].id

    change = change_items(
        subscription,
        prices,
        [Altered(id=item, price=after[0], quantity=after[1], tax_rates=(), metadata={})],
        behavior="create_prorations",
        since=instant(now),
        anchor_now=False,
        now=instant(now),
    )

    assert subscription.items[0].period_end == instant(end)
    assert cents(change.prorations) == expected
    assert change.charges == ()


@pytest.mark.parametrize(("mode", "expected"), [("classic", [-667, 333]), ("flexible", [-333, 333])])
def test_classic_credits_what_it_costs_now_and_flexible_what_was_debited(mode: Mode, expected: list[int]) -> None:
    subscription = running("gold", since="2026-04-01", mode=mode)
    unbilled = changed(
        subscription, altered(subscription, "si_gold", "platinum"), now=at("2026-04-11"), behavior="none"
    )
    assert unbilled.prorations == ()

    back = changed(
        unbilled.subscription,
        altered(unbilled.subscription, "si_gold", "gold"),
        now=at("2026-04-21"),
        behavior="always_invoice",
    )

    assert cents(back.prorations) == expected


def test_an_added_seat_price_is_bought_for_the_rest_of_the_period() -> None:
    subscription = running("gold", since="2026-04-01")
    added = Added(id="si_new", sequence=NOBODY, price="platinum", quantity=2)

    change = changed(subscription, added, now=at("2026-04-16"))

    assert told(change.prorations) == ["+2 × platinum 2026-04-16…2026-05-01 ·1/2"]
    assert change.subscription.items[1].period_end == at("2026-05-01")


def test_a_removed_seat_price_is_given_back_for_the_rest_of_the_period() -> None:
    subscription = running("gold", "platinum", since="2026-04-01")

    change = changed(subscription, Removed(id="si_gold"), now=at("2026-04-16"))

    assert told(change.prorations) == ["−1 × gold 2026-04-16…2026-05-01 ·1/2"]
    assert change.prorations[0].proration is not None
    assert change.prorations[0].proration.credited == subscription.items[0].period


@pytest.mark.parametrize(
    ("mode", "switch", "removal"),
    [
        ("flexible", ["usage of tokens 2026-04-01…2026-04-16"], ["usage of tokens 2026-04-01…2026-04-16"]),
        ("classic", [], []),
    ],
)
def test_flexible_bills_the_usage_of_a_metered_price_that_leaves_and_classic_drops_it(
    mode: Mode, switch: list[str], removal: list[str]
) -> None:
    subscription = running("tokens", "gold", since="2026-04-01", mode=mode)

    switched = changed(
        subscription, altered(subscription, "si_tokens", "tokens_v2", quantity=None), now=at("2026-04-16")
    )
    removed = changed(subscription, Removed(id="si_tokens"), now=at("2026-04-16"))

    assert told(switched.prorations) == switch
    assert switched.subscription.items[0].usage_from == at("2026-04-16")
    assert told(removed.prorations) == removal


def test_a_new_anchor_charges_a_full_period_and_gives_back_the_rest_of_the_old_one() -> None:
    subscription = running("gold", "tokens", since="2026-04-01")

    change = changed(subscription, now=at("2026-04-16"), anchor_now=True)

    assert told(change.prorations) == [
        "−1 × gold 2026-04-16…2026-05-01 ·1/2",
        "usage of tokens 2026-04-01…2026-04-16",
    ]
    assert told(change.charges) == ["+1 × gold 2026-04-16…2026-05-16"]
    assert change.subscription.anchor == at("2026-04-16")


@pytest.mark.parametrize(
    ("mode", "anchor", "charge"),
    [
        ("classic", "2026-04-16", "+1 × yearly 2026-04-16…2027-04-16"),
        ("flexible", "2026-04-01", "+1 × yearly 2026-04-16…2027-04-01 ·70/73"),
    ],
)
def test_another_interval_moves_the_anchor_in_classic_billing_only(mode: Mode, anchor: str, charge: str) -> None:
    subscription = running("gold", since="2026-04-01", mode=mode)

    change = changed(subscription, altered(subscription, "si_gold", "yearly"), now=at("2026-04-16"))

    assert told(change.charges) == [charge]
    assert change.subscription.anchor == at(anchor)


def test_from_free_to_paid_classic_billing_begins_a_new_period() -> None:
    subscription = running("free", since="2026-04-01", mode="classic")

    change = changed(subscription, altered(subscription, "si_free", "gold"), now=at("2026-04-16"))

    assert told(change.charges) == ["+1 × gold 2026-04-16…2026-05-16"]


def test_on_a_trial_items_change_for_free() -> None:
    trial = running("gold", since="2026-01-01", trial_end="2026-01-15")
    added = Added(id="si_new", sequence=NOBODY, price="tokens", quantity=None)

    change = changed(trial, altered(trial, "si_gold", "platinum"), added, now=at("2026-01-05"))

    assert (change.prorations, change.charges) == ((), ())
    assert change.subscription.items[1].usage_from == at("2026-01-15")
    assert {item.period_end for item in change.subscription.items} == {at("2026-01-15")}


def test_refused_changes() -> None:
    subscription = running("gold", since="2026-04-01")
    with pytest.raises(Refusal, match="Invalid subscription_item id: si_nope"):
        changed(subscription, Removed(id="si_nope"), now=at("2026-04-16"))
    with pytest.raises(Refusal, match="at least one active plan"):
        changed(subscription, Removed(id="si_gold"), now=at("2026-04-16"))
    with pytest.raises(Refusal, match="outside of the current billing period"):
        changed(subscription, altered(subscription, "si_gold", "platinum"), now=at("2026-06-16"))


@given(
    days=st.lists(st.integers(1, 29), min_size=1, max_size=6),
    quantities=st.lists(st.integers(0, 9), min_size=6, max_size=6),
)
def test_what_is_debited_and_credited_adds_up_to_the_time_each_quantity_was_held(
    days: list[int], quantities: list[int]
) -> None:
    subscription = running("gold", since="2026-04-01", quantity=3)
    total, held = Fraction(3), Fraction(0)
    quantity, since = 3, 1
    for day, wanted in zip(sorted(days), quantities, strict=False):
        now = at("2026-04-01") + timedelta(days=day)
        change = changed(subscription, altered(subscription, "si_gold", "gold", quantity=wanted), now=now)
        for each in change.prorations:
            assert each.proration is not None and each.quantity is not None
            sign = -1 if each.proration.direction == "credit" else 1
            total += sign * each.proration.fraction * Fraction(each.quantity)
        held += quantity * Fraction(day + 1 - since, 30)
        subscription, quantity, since = change.subscription, wanted, day + 1
    held += quantity * Fraction(31 - since, 30)

    assert total == held


# Endings


def test_cancelling_at_once_loses_usage_unless_it_is_invoiced() -> None:
    subscription = running("gold", "tokens", since="2026-04-01")

    plain = cancel(subscription, PRICES, usage=False, prorate=False, now=at("2026-04-16"))
    full = cancel(subscription, PRICES, usage=True, prorate=True, now=at("2026-04-16"))

    assert (plain.usage, plain.credits) == ((), ())
    assert told(full.usage) == ["usage of tokens 2026-04-01…2026-04-16"]
    assert told(full.credits) == ["−1 × gold 2026-04-16…2026-05-01 ·1/2"]
    assert full.subscription.status == "canceled"
    assert full.subscription.ended_at == at("2026-04-16")


def test_a_yearly_price_cancelled_in_the_summer_gives_about_half_back() -> None:
    subscription = running("yearly", since="2026-01-01")

    ending = cancel(subscription, PRICES, usage=False, prorate=True, now=at("2026-07-01"))

    assert cents(ending.credits) == [ceil(Fraction(-12000 * 184, 365) - Fraction(1, 2))]


def test_a_planned_end_replaces_the_renewal_when_it_comes_first() -> None:
    subscription = running("gold", since="2026-04-01")
    now = at("2026-04-10")

    at_end = plan_end(subscription, at="min_period_end", prorates=False, now=now)
    later = plan_end(subscription, at=at("2026-06-15"), prorates=True, now=now)

    assert [(plan.kind, plan.at) for plan in planned(at_end, now=now)] == [("cancellation", at("2026-05-01"))]
    assert {plan.kind for plan in planned(later, now=now)} == {"renewal", "cancellation"}
    assert (at_end.cancel_at_period_end, later.cancel_at_period_end) == (True, False)
    assert at_end.canceled_at == now
    assert forget_end(at_end) == subscription


def test_an_end_in_the_past_is_refused() -> None:
    with pytest.raises(Refusal, match="must be in the future"):
        plan_end(running("gold", since="2026-04-01"), at=at("2026-04-02"), prorates=False, now=at("2026-04-10"))


# What falls due


def test_what_is_planned_for_a_trial_with_collection_paused() -> None:
    trial = replace(
        running("gold", since="2026-01-01", trial_end="2026-01-15"),
        pause_collection=PauseCollection(behavior="void", resumes_at=at("2026-02-01")),
    )

    assert {(plan.kind, plan.at) for plan in planned(trial, now=at("2026-01-01"))} == {
        ("renewal", at("2026-01-15")),
        ("trial_notice", at("2026-01-12")),
        ("collection_resumption", at("2026-02-01")),
    }


def test_nothing_is_planned_for_what_has_ended() -> None:
    subscription = running("gold", since="2026-04-01")
    ended = cancel(subscription, PRICES, usage=False, prorate=False, now=at("2026-04-16")).subscription

    assert planned(ended, now=at("2026-04-16")) == ()


# Statuses


@pytest.mark.parametrize(
    ("before", "standing", "after"),
    [
        ("incomplete", "paid", "active"),
        ("incomplete", "failed", "incomplete"),
        ("incomplete", "void", "incomplete"),
        ("active", "failed", "past_due"),
        ("active", "overdue", "past_due"),
        ("active", "open", "active"),
        ("past_due", "paid", "active"),
        ("past_due", "uncollectible", "active"),
        ("past_due", "void", "active"),
        ("unpaid", "failed", "unpaid"),
        ("unpaid", "paid", "active"),
        ("paused", "paid", "paused"),
        ("canceled", "paid", "canceled"),
        ("incomplete_expired", "paid", "incomplete_expired"),
    ],
)
def test_the_newest_invoice_decides_the_status(before: Status, standing: status.Standing, after: Status) -> None:
    subscription = replace(running("gold", since="2026-04-01"), status=before)

    assert status.after_invoice(subscription, standing=standing, now=at("2026-04-02")).status == after


@pytest.mark.parametrize("outcome", ["canceled", "unpaid", "past_due"])
def test_when_retries_run_out_the_subscription_becomes_what_the_policy_says(outcome: Status) -> None:
    subscription = replace(running("gold", since="2026-04-01"), status="past_due")

    given_up = status.give_up_collection(subscription, outcome=outcome, now=at("2026-05-01"))  # type: ignore[arg-type]

    assert given_up.status == outcome
    assert (given_up.cancellation.reason == "payment_failed") == (outcome == "canceled")
