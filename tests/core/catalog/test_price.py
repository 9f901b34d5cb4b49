"""How often a price is billed, and in which currencies it is sold."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from meterline.catalog import Adjustment, ByDimension, CurrencyOption, PerUnit, Price, RateRow, Recurring
from meterline.catalog.validate import product_given, recurring
from meterline.meter import Meter, Status
from meterline.period import Interval, Unit
from meterline.refusal import Refusal

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def meter(status: Status = "active") -> Meter:
    return Meter(
        environment="test",
        id="mtr_1",
        display_name="Calls",
        event_name="call",
        formula="sum",
        status=status,
        created=NOW,
        updated=NOW,
    )


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


def test_a_metered_price_names_its_meter() -> None:
    said = recurring(unit="month", usage_type="metered", meter=meter())
    assert said == Recurring(interval=Interval(unit="month"), usage_type="metered", meter="mtr_1")


@pytest.mark.parametrize(
    ("unit", "name", "longest"), [("day", "daily", 1095), ("week", "weekly", 156), ("month", "monthly", 36),
                                  ("year", "yearly", 3)],
)  # fmt: skip
def test_no_interval_is_longer_than_three_years(unit: Unit, name: str, longest: int) -> None:
    assert recurring(unit=unit, count=longest).interval.count == longest
    with pytest.raises(Refusal) as refused:
        recurring(unit=unit, count=longest + 1)
    assert refused.value.message == f"The interval_count for {name} prices can't be greater than {longest}"
    assert refused.value.param == "recurring[interval_count]"


def test_an_interval_is_at_least_one_unit_long() -> None:
    with pytest.raises(Refusal, match="Invalid positive integer") as refused:
        recurring(unit="month", count=0, prefix="price_data")
    assert refused.value.param == "price_data[recurring][interval_count]"


def test_metered_prices_need_a_meter() -> None:
    with pytest.raises(Refusal) as refused:
        recurring(unit="month", usage_type="metered")
    assert refused.value.message == (
        "Starting with Stripe version `2025-03-31.basil`, metered prices must be backed by meters."
    )


def test_licensed_prices_have_no_meter() -> None:
    with pytest.raises(Refusal, match="only specify `meter` when `usage_type` is `metered`"):
        recurring(unit="month", meter=meter())


def test_an_inactive_meter_takes_no_new_price() -> None:
    with pytest.raises(Refusal, match="inactive and cannot be attached"):
        recurring(unit="month", usage_type="metered", meter=meter("inactive"))


@pytest.mark.parametrize("days", [0, 731])
def test_a_trial_is_a_day_to_two_years(days: int) -> None:
    with pytest.raises(Refusal, match="between 1 and 730"):
        recurring(unit="month", trial_period_days=days)


def test_a_price_has_a_product_or_makes_one() -> None:
    with pytest.raises(Refusal, match="You must specify either `product` or `product_data` when creating a price"):
        product_given(product=False, product_data=False)
    with pytest.raises(Refusal, match="You may only specify one of these parameters: product, product_data") as both:
        product_given(product=True, product_data=True)
    assert both.value.param == "product"
    product_given(product=True, product_data=False)


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
