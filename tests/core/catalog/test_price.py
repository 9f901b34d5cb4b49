"""How often a price is billed, and in which currencies it is sold."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from meterline.catalog import Adjustment, ByDimension, CurrencyOption, PerUnit, Price, RateRow, Recurring, UsageType
from meterline.catalog.model import ascending
from meterline.catalog.validate import check_tiers, recurring
from meterline.period import Interval, Unit
from meterline.refusal import Refusal

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def price() -> Price:
    return Price(
        environment="test",
        id="price_1",
        product="prod_1",
        currency="usd",
        model=PerUnit(unit=Decimal(100)),
        currency_options={"eur": CurrencyOption(model=PerUnit(unit=Decimal(95)), tax_behavior="inclusive")},
        created=NOW,
    )


def cadence(unit: Unit, count: int = 1, *, usage_type: UsageType = "licensed", meter: str | None = None) -> Recurring:
    return recurring(
        interval=Interval(unit=unit, count=count),
        usage_type=usage_type,
        meter=meter,
        trial_period_days=None,
        at="price_data[recurring]",
    )


def test_a_metered_price_names_its_meter() -> None:
    said = cadence("month", usage_type="metered", meter="mtr_1")
    assert said == Recurring(interval=Interval(unit="month"), usage_type="metered", meter="mtr_1")


@pytest.mark.parametrize(
    ("unit", "name", "longest"),
    [("day", "daily", 1095), ("week", "weekly", 156), ("month", "monthly", 36), ("year", "yearly", 3)],
)
def test_no_interval_is_longer_than_three_years(unit: Unit, name: str, longest: int) -> None:
    assert cadence(unit, longest).interval.count == longest
    with pytest.raises(Refusal) as refused:
        cadence(unit, longest + 1)
    assert refused.value.message == f"The interval_count for {name} prices can't be greater than {longest}"
    assert refused.value.param == "price_data[recurring][interval_count]"


def test_metered_prices_need_a_meter() -> None:
    with pytest.raises(Refusal) as refused:
        cadence("month", usage_type="metered")
    assert refused.value.message == (
        "Starting with Stripe version `2025-03-31.basil`, metered prices must be backed by meters."
    )


def test_licensed_prices_have_no_meter() -> None:
    with pytest.raises(Refusal, match="must have `recurring\\[usage_type\\]=metered`") as refused:
        cadence("month", meter="mtr_1")
    assert refused.value.param == "price_data[recurring][meter]"


@pytest.mark.parametrize("bounds", [[None], [5, None], [1, 2, 3, None]])
def test_tiers_that_cover_every_quantity_once(bounds: list[int | None]) -> None:
    check_tiers(bounds, param="tiers")
    assert ascending(tuple(bounds))


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ([], "the last tier's `up_to` must be `inf`"),
        ([5], "the last tier's `up_to` must be `inf`"),
        ([None, 5], "the last tier's `up_to` must be `inf`"),
        ([None, None], "must be greater than the one before it"),
        ([5, 5, None], "must be greater than the one before it"),
        ([5, 4, None], "must be greater than the one before it"),
        ([0, None], "must be greater than the one before it"),
    ],
)
def test_tiers_that_leave_a_gap_or_overlap_are_refused(bounds: list[int | None], message: str) -> None:
    with pytest.raises(Refusal, match=message) as refused:
        check_tiers(bounds, param="tiers")
    assert refused.value.param == "tiers"


def test_a_currency_option_is_the_price_in_that_currency() -> None:
    euros = price().in_currency("eur")
    assert (euros.currency, euros.model, euros.tax_behavior) == ("eur", PerUnit(unit=Decimal(95)), "inclusive")
    assert price().in_currency("usd") == price()


def test_a_currency_without_an_amount_is_refused() -> None:
    assert not price().sold_in("jpy")
    with pytest.raises(Refusal, match="not available in `jpy`"):
        price().in_currency("jpy")


def test_a_rate_table_has_no_single_quantity_to_adjust() -> None:
    table = ByDimension(keys=("model",), rows=(RateRow(match={"model": "*"}, model=PerUnit(unit=Decimal(1))),))
    with pytest.raises(AssertionError, match="adjustments need one quantity"):
        Price(
            environment="test",
            id="price_1",
            product="prod_1",
            currency="usd",
            model=table,
            adjustment=Adjustment(maximum=Decimal(100)),
            created=NOW,
        )
