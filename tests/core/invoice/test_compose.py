"""From what is billable to lines: amounts, splits, words, and what late usage changes."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterline.catalog import ByDimension, Percentage, RateRow, flat_fee
from meterline.invoice.compose import billed_lines, counted_again, invoice_lines, unused, usage_key
from meterline.invoice.gathered import Gathered
from meterline.invoice.line import CreditedLines
from meterline.period import Period
from meterline.rating import DimensionValues, billed_total, rate
from tests.core.invoice.build import APRIL, START, licensed, metered, prorated
from tests.core.invoice.build import line as line_of
from tests.core.rating.price import graduated, package, per_unit, volume


def _told(gathered: Gathered) -> list[tuple[int, str, str | None]]:
    """Amount, quantity and words of each line."""
    return [(line.amount, str(line.quantity), line.description) for line in billed_lines(gathered)]


@pytest.mark.parametrize(
    ("gathered", "told"),
    [
        (licensed(per_unit("2000"), 1), [(2000, "1", "1 × API (at $20.00 / month)")]),
        (metered(per_unit("0.05"), "30"), [(2, "30", "30 × API (at $0.0005 / month)")]),
        (metered(per_unit("0.05"), "-5"), [(0, "0", "0 × API (at $0.0005 / month)")]),
        (metered(per_unit("100"), "2.5"), [(250, "2.5", "2.5 × API (at $1.00 / month)")]),
        (metered(per_unit("500"), "2", currency="jpy"), [(1000, "2", "2 × API (at ¥500 / month)")]),
        (metered(per_unit("500"), "2", currency="kwd"), [(1000, "2", "2 × API (at KWD 0.500 / month)")]),
        (metered(per_unit("54537"), "1", count=3), [(54537, "1", "1 × API (at $545.37 / every 3 months)")]),
        (metered(package("8", size=60), "9892"), [(1320, "9892", "9892 × API (at $0.08 per 60 units / month)")]),
        (metered(flat_fee(Decimal(900)), "7"), [(900, "7", "7 × API (Tier 1 at $9.00 / month)")]),
        (metered(Percentage(percent=Decimal("2.9")), "100"), [(290, "100", "100 × API")]),
        (licensed(per_unit("2000"), 1, trial=True), [(0, "1", "Free trial for 1 x API")]),
    ],
)
def test_a_billable_becomes_lines(gathered: Gathered, told: list[tuple[int, str, str | None]]) -> None:
    assert _told(gathered) == told


def test_each_tier_is_a_line_and_its_flat_amount_another() -> None:
    usage = metered(graduated((1000, "0", "900"), (None, "3.6", "0")), "1031", label="credit")

    assert _told(usage) == [
        (0, "1000", "1000 credit × API (Tier 1 at $0.00 / month)"),
        (900, "0", "API (Tier 1 at $9.00 / month)"),
        (112, "31", "31 credit × API (Tier 2 at $0.036 / month)"),
        (0, "0", "API (Tier 2 at $0.00 / month)"),
    ]


def test_nothing_used_still_pays_the_first_flat_amount() -> None:
    usage = metered(graduated((5, "500", "1000"), (None, "100", "5000")), "0")

    assert [(line.amount, line.tier, line.flat) for line in billed_lines(usage)] == [(0, 1, False), (1000, 1, True)]
    assert not unused(usage)
    assert unused(metered(per_unit("5"), "0"))
    assert not unused(licensed(per_unit("0"), 0))


def test_a_rate_table_names_the_rate_that_priced_each_line() -> None:
    rows = (
        RateRow(match={"model": "large", "kind": "*"}, model=per_unit("2")),
        RateRow(match={"model": "*", "kind": "*"}, model=per_unit("1")),
    )
    table = metered(ByDimension(keys=("model", "kind"), rows=rows), "0")
    used: dict[DimensionValues, Decimal] = {
        (("kind", "input"), ("model", "large")): Decimal(10),
        (("kind", "output"), ("model", "large")): Decimal(5),
        (("kind", "input"), ("model", "small")): Decimal(3),
    }

    assert _told(replace(table, used_by_dimension=used)) == [
        (30, "15", "15 × API (large) (at $0.02 / month)"),
        (3, "3", "3 × API (at $0.01 / month)"),
    ]


@given(
    bounds=st.lists(st.integers(1, 500), min_size=1, max_size=4, unique=True),
    units=st.lists(st.decimals(0, 20, places=4), min_size=5, max_size=5),
    flats=st.lists(st.none() | st.decimals(0, 500, places=2), min_size=5, max_size=5),
    used=st.decimals(0, 2000, places=3),
    by_volume=st.booleans(),
)
def test_the_lines_add_up_to_the_rated_amount(
    *, bounds: list[int], units: list[Decimal], flats: list[Decimal | None], used: Decimal, by_volume: bool
) -> None:
    ends = [*sorted(bounds), None]
    rows = [
        (end, str(unit), None if flat is None else str(flat))
        for end, unit, flat in zip(ends, units, flats, strict=False)
    ]
    usage = metered(volume(*rows) if by_volume else graduated(*rows), str(used))

    lines = billed_lines(usage)

    assert sum(line.amount for line in lines) == billed_total(rate(price=usage.billable.price, quantity=used))
    assert sum(line.quantity or 0 for line in lines) == used


@pytest.mark.parametrize(
    ("share", "direction", "quantity", "amount"),
    [
        (Fraction(1, 400), "credit", 1, -3),
        (Fraction(1, 400), "debit", 3, 7),
        (Fraction(1, 3), "credit", 1, -333),
        (Fraction(2, 3), "credit", 1, -667),
        (Fraction(1, 2), "debit", 2, 1000),
    ],
)
def test_a_proration_is_rounded_on_its_own(share: Fraction, direction: str, quantity: int, amount: int) -> None:
    part = prorated(per_unit("1000"), quantity, share=share, direction="credit" if direction == "credit" else "debit")

    [line] = billed_lines(part)

    assert line.amount == amount
    assert (line.proration, line.discountable, line.unit_amount) == (True, False, None)


def test_a_proration_says_from_which_day() -> None:
    since = datetime(2026, 4, 9, 23, 59, tzinfo=UTC)
    unused_time = prorated(per_unit("100"), 1, share=Fraction(1, 2), direction="credit", since=since)
    remaining = prorated(per_unit("100"), 2, share=Fraction(1, 2), direction="debit", since=since)

    assert [line.description for line in (*billed_lines(unused_time), *billed_lines(remaining))] == [
        "Unused time on API after 09 Apr 2026",
        "Remaining time on 2 × API after 09 Apr 2026",
    ]


def test_a_credit_gives_back_a_share_of_what_was_really_debited() -> None:
    half = Period(start=datetime(2026, 4, 16, tzinfo=UTC), end=APRIL.end)
    credit = prorated(per_unit("1000"), 1, share=Fraction(1, 2), direction="credit", since=half.start)
    assert credit.billable.proration is not None
    billable = replace(credit.billable, proration=replace(credit.billable.proration, credited=APRIL))
    earlier = CreditedLines(invoice="in_0", lines=("il_1",))

    [line] = billed_lines(replace(credit, billable=billable, credited=earlier, debited=(line_of(834),)))

    assert line.amount == -417
    assert line.credited == earlier


def test_late_usage_changes_metered_lines_and_nothing_else() -> None:
    tiers = graduated((100, "1"), (None, "2"))
    seats, early, late = licensed(per_unit("500"), 2), metered(tiers, "100"), metered(tiers, "130")
    drafted = [
        replace(line, id=f"il_{number}", metadata={"kept": str(number)})
        for number, line in enumerate(invoice_lines(pending=(), gathered=(early, seats)))
    ]
    key = usage_key(drafted[0])
    assert key is not None

    counted = counted_again(drafted, {key: late})

    assert [(line.id, line.amount, dict(line.metadata)) for line in counted] == [
        ("il_0", 100, {"kept": "0"}),
        ("", 60, {}),
        ("il_1", 1000, {"kept": "1"}),
    ]


@given(used=st.integers(0, 500), later=st.integers(0, 500))
def test_counting_again_gives_the_lines_of_a_fresh_draft(used: int, later: int) -> None:
    tiers = graduated((100, "1", "30"), (200, "0.5"), (None, "0.25", "7"))
    early, late = metered(tiers, str(used)), metered(tiers, str(later))
    drafted = invoice_lines(pending=(), gathered=(early,))
    key = usage_key(drafted[0])
    assert key is not None

    assert counted_again(drafted, {key: late}) == invoice_lines(pending=(), gathered=(late,))


def test_rows_of_a_rate_table_keep_an_id_each_when_counted_again() -> None:
    row = metered(per_unit("1"), "5")
    drafted = [replace(line, id=f"il_{number}") for number, line in enumerate(billed_lines(row) * 2)]
    table = ByDimension(
        keys=("model",),
        rows=tuple(RateRow(match={"model": name}, model=per_unit("1")) for name in ("large", "small")),
    )
    used: dict[DimensionValues, Decimal] = {(("model", "large"),): Decimal(5), (("model", "small"),): Decimal(7)}
    late = replace(metered(table, "0"), used_by_dimension=used)
    key = usage_key(drafted[0])
    assert key is not None

    assert [line.id for line in counted_again(drafted, {key: late})] == ["il_0", "il_1"]


def test_the_window_of_usage_is_not_the_period_of_the_line() -> None:
    joined = Period(start=datetime(2026, 4, 10, tzinfo=UTC), end=APRIL.end)
    usage = metered(per_unit("1"), "5")
    late_joiner = replace(usage, billable=replace(usage.billable, usage=joined))

    [line] = billed_lines(late_joiner)

    assert (line.usage, line.period) == (joined, APRIL)
    assert line.period.start == START
