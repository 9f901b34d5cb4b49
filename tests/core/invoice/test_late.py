"""Late usage: the one line that brings what was billed for a window to what the window costs now."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterline.catalog import Adjustment, ByDimension, PriceModel, RateRow, flat_fee
from meterline.invoice.compose import billed_lines, counted_again, usage_key, window_key
from meterline.invoice.discount import discounted, own_of, with_own
from meterline.invoice.gathered import Gathered
from meterline.invoice.late import BilledLine, BilledWindow, billed_windows, correction, with_corrections
from meterline.invoice.line import InvoiceLine
from meterline.invoice.model import Status
from tests.core.discount.build import discount, percent
from tests.core.invoice.build import line, metered
from tests.core.rating.price import graduated, package, per_unit, volume

COUNTED = datetime(2026, 5, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 6, 1, 1, tzinfo=UTC)
LATE = "Late usage of API, 01 Apr 2026 to 01 May 2026"
BACK = "Usage taken back of API, 01 Apr 2026 to 01 May 2026"


def billed(gathered: Gathered) -> BilledWindow:
    """The window as its own invoice billed it."""
    return BilledWindow(invoice="in_1", counted_at=COUNTED, lines=billed_lines(gathered))


def corrected(window: BilledWindow, made: InvoiceLine, *, invoice: str = "in_2") -> BilledWindow:
    """The window after that correction was billed too."""
    on = BilledLine(invoice=invoice, status="paid", counted_at=LATER, line=made)
    return replace(window, corrections=(*window.corrections, on))


TWO_TIERS = graduated((100, "0", "500"), (None, "1", "50"))


@pytest.mark.parametrize(
    ("model", "before", "now", "amount", "quantity", "words"),
    [
        (per_unit("2"), "10", "15", 10, "5", LATE),
        (per_unit("0.4"), "1", "2", 1, "1", LATE),
        (per_unit("2"), "15", "10", -10, "-5", BACK),
        (per_unit("2"), "3", "-4", -6, "-3", BACK),
        (TWO_TIERS, "90", "100", 0, "10", LATE),
        (TWO_TIERS, "90", "120", 70, "30", LATE),
        (TWO_TIERS, "120", "90", -70, "-30", BACK),
        (volume((100, "2"), (None, "1")), "100", "101", -99, "1", LATE),
        (package("800", size=60), "60", "61", 800, "1", LATE),
        (package("800", size=60), "61", "90", 0, "29", LATE),
        (flat_fee(Decimal(900)), "7", "9", 0, "2", LATE),
    ],
)
def test_a_window_is_rated_anew_as_a_whole(
    model: PriceModel, before: str, now: str, amount: int, quantity: str, words: str
) -> None:
    made = correction(metered(model, now), billed(metered(model, before)))

    assert made is not None and made.late
    assert (made.amount, str(made.quantity), made.description) == (amount, quantity, words)
    assert window_key(made) == usage_key(billed_lines(metered(model, before))[0])


def test_usage_that_a_minimum_covers_costs_nothing_more() -> None:
    before, now = metered(per_unit("100"), "3"), metered(per_unit("100"), "12")
    least = Adjustment(minimum=Decimal(1000), allowance=Decimal(1))
    before, now = (
        replace(each, billable=replace(each.billable, price=replace(each.billable.price, adjustment=least)))
        for each in (before, now)
    )

    made = correction(now, billed(before))

    assert made is not None
    assert (made.amount, made.quantity) == (100, Decimal(9))


def test_a_rate_table_has_one_line_for_all_that_changed() -> None:
    rates = ByDimension(keys=("model",), rows=(_rate("small", "1"), _rate("large", "10")))
    before, now = (
        replace(metered(rates, "0"), used_by_dimension={(("model", name),): Decimal(n) for name, n in used.items()})
        for used in ({"small": 5}, {"small": 4, "large": 3})
    )

    made = correction(now, billed(before))

    assert made is not None
    assert (made.amount, made.quantity) == (34 - 5, Decimal(2))


def _rate(model: str, unit: str) -> RateRow:
    return RateRow(match={"model": model}, model=per_unit(unit))


def test_usage_that_is_as_it_was_billed_needs_no_line() -> None:
    gathered = metered(per_unit("2"), "10")
    assert correction(gathered, billed(gathered)) is None


MODELS = st.sampled_from(
    [per_unit("0.37"), TWO_TIERS, volume((50, "3", "10"), (None, "1.5")), package("7", size=9), flat_fee(Decimal(12))]
)


@given(model=MODELS, counts=st.lists(st.decimals(-20, 400, places=2), min_size=2, max_size=6))
def test_however_usage_comes_the_window_costs_what_it_costs_at_once(model: PriceModel, counts: list[Decimal]) -> None:
    window = billed(metered(model, str(counts[0])))
    for count in counts[1:]:
        made = correction(metered(model, str(count)), window)
        if made is not None:
            window = corrected(window, made)
        assert correction(metered(model, str(count)), window) is None

    at_once = billed(metered(model, str(counts[-1])))
    assert (window.amount, window.quantity) == (at_once.amount, at_once.quantity)


def _on(invoice: str, status: Status, *lines: InvoiceLine) -> list[BilledLine]:
    counted = None if status == "draft" else COUNTED
    return [BilledLine(invoice=invoice, status=status, counted_at=counted, line=each) for each in lines]


@pytest.mark.parametrize("status", ["open", "paid", "uncollectible"])
def test_a_finalized_window_knows_its_lines_and_corrections(status: Status) -> None:
    usage = metered(TWO_TIERS, "120")
    late = correction(metered(TWO_TIERS, "130"), billed(usage))
    assert late is not None
    lines = billed_lines(usage)

    (window,) = billed_windows([*_on("in_1", status, line(700), *lines), *_on("in_2", "draft", late)]).values()

    assert (window.invoice, window.lines) == ("in_1", lines)
    assert (window.amount, window.quantity) == (570 + 10, Decimal(130))


@pytest.mark.parametrize("status", ["draft", "void"])
def test_drafts_count_for_themselves_and_what_is_void_is_given_up(status: Status) -> None:
    assert billed_windows(_on("in_1", status, *billed_lines(metered(TWO_TIERS, "120")))) == {}


def test_a_void_correction_is_not_asked_for_again() -> None:
    usage, now = metered(TWO_TIERS, "120"), metered(TWO_TIERS, "130")
    late = correction(now, billed(usage))
    assert late is not None

    (window,) = billed_windows([*_on("in_1", "paid", *billed_lines(usage)), *_on("in_2", "void", late)]).values()

    assert correction(now, window) is None


def test_a_draft_gets_its_corrections_anew_and_they_keep_their_names() -> None:
    window = billed(metered(per_unit("2"), "10"))
    first, more = correction(metered(per_unit("2"), "11"), window), correction(metered(per_unit("2"), "14"), window)
    assert first is not None and more is not None
    kept = replace(first, id="il_1", metadata={"po": "7"})

    assert with_corrections([line(700)], [first]) == (line(700), first)
    again = with_corrections([kept, line(700)], [more])
    assert again == (replace(more, id="il_1", metadata={"po": "7"}), line(700))
    assert with_corrections([kept, line(700)], []) == (line(700),)


def test_counting_a_drafts_own_usage_leaves_its_corrections_alone() -> None:
    late = correction(metered(per_unit("2"), "11"), billed(metered(per_unit("2"), "10")))
    assert late is not None
    key = window_key(late)
    assert key is not None

    assert counted_again([late], {key: metered(per_unit("2"), "99")}) == (late,)


TENTH = discount("di_1", percent("10"))


def discounted_window(gathered: Gathered) -> BilledWindow:
    """The window as its own invoice billed it, ten percent off."""
    window = billed(gathered)
    return replace(window, lines=discounted(window.lines, on_invoice=[TENTH], on_lines={}, currency="usd"))


def test_usage_taken_back_takes_its_discount_with_it() -> None:
    made = correction(metered(per_unit("2"), "60"), discounted_window(metered(per_unit("2"), "100")))

    assert made is not None
    assert (made.amount, made.net_amount, made.discountable) == (-80, -72, False)
    assert [(each.discount, each.amount, each.level) for each in made.discounts] == [("di_1", -8, "invoice")]


def test_usage_that_is_added_is_discounted_as_the_invoice_that_it_is_on() -> None:
    made = correction(metered(per_unit("2"), "130"), discounted_window(metered(per_unit("2"), "100")))

    assert made is not None
    assert (made.amount, made.discounts, made.discountable) == (60, (), True)


def test_what_is_added_has_the_own_discounts_of_its_item() -> None:
    seats = with_own(replace(line(500), subscription_item="si_1"), ["di_seats"])
    usage = [with_own(each, ["di_own"]) for each in billed_lines(metered(per_unit("2"), "1"))]
    late = correction(metered(per_unit("2"), "130"), billed(metered(per_unit("2"), "100")))
    assert late is not None

    *_, added = with_corrections([seats, *usage], [late])

    assert own_of(added) == ("di_own",)


@given(first=st.integers(1, 300), steps=st.lists(st.integers(0, 300), max_size=5))
def test_taking_back_everything_gives_back_just_what_was_paid(first: int, steps: list[int]) -> None:
    window = discounted_window(metered(per_unit("7"), str(first)))
    paid = sum(each.net_amount for each in window.lines)
    for used in [*steps, 0]:
        made = correction(metered(per_unit("7"), str(used)), window)
        if made is None:
            continue
        [made] = discounted([made], on_invoice=[TENTH], on_lines={}, currency="usd")
        window = corrected(window, made)
        paid += made.net_amount

    assert paid == 0
