"""Rate tables: one row prices each combination of dimension values."""

from decimal import Decimal

import pytest

from meterline.catalog import ByDimension, Price, RateRow
from meterline.rating import billed_total, increment, rate_by_dimension
from meterline.refusal import Refusal
from tests.core.rating.price import graduated, per_unit, priced


def table() -> Price:
    return priced(
        ByDimension(
            keys=("model", "kind"),
            rows=(
                RateRow(match={"model": "gpt-x", "kind": "input"}, model=per_unit("0.1")),
                RateRow(match={"model": "gpt-x", "kind": "*"}, model=per_unit("0.4")),
                RateRow(match={"model": "*", "kind": "input"}, model=graduated((100, "1"), (None, "0.5"))),
            ),
        )
    )


def used(*rows: tuple[str, str, str]) -> dict[tuple[tuple[str, str], ...], Decimal]:
    return {(("kind", kind), ("model", model)): Decimal(count) for model, kind, count in rows}


@pytest.mark.parametrize(
    ("model", "kind", "cost"),
    [
        pytest.param("gpt-x", "input", 100, id="both named"),
        pytest.param("gpt-x", "output", 400, id="any kind of the model"),
        pytest.param("other", "input", 550, id="any model"),
    ],
)
def test_the_row_that_names_most_prices_the_usage(model: str, kind: str, cost: int) -> None:
    assert billed_total(rate_by_dimension(price=table(), formula="sum", usage=used((model, kind, "1000")))) == cost


def test_an_earlier_key_weighs_more_than_a_later_one() -> None:
    rows = (
        RateRow(match={"model": "*", "kind": "input"}, model=per_unit("2")),
        RateRow(match={"model": "gpt-x", "kind": "*"}, model=per_unit("1")),
    )
    both = priced(ByDimension(keys=("model", "kind"), rows=rows))
    assert billed_total(rate_by_dimension(price=both, formula="sum", usage=used(("gpt-x", "input", "10")))) == 10


def test_usage_that_one_row_prices_shares_its_tiers() -> None:
    usage = used(("a", "input", "60"), ("b", "input", "60"))
    lines = rate_by_dimension(price=table(), formula="sum", usage=usage)
    assert [(line.tier, line.quantity, line.amount) for line in lines] == [(1, Decimal(100), 100), (2, Decimal(20), 10)]
    assert {line.match["model"] for line in lines} == {"*"}


def test_maxima_of_one_row_are_one_maximum() -> None:
    usage = used(("a", "input", "60"), ("b", "input", "40"))
    assert billed_total(rate_by_dimension(price=table(), formula="max", usage=usage)) == 60


def test_no_usage_is_one_line_for_nothing() -> None:
    (line,) = rate_by_dimension(price=table(), formula="sum", usage={})
    assert (line.quantity, line.amount) == (Decimal(0), 0)


def test_usage_without_a_rate_is_refused_and_never_free() -> None:
    with pytest.raises(Refusal, match="No rate matches model=other, kind=audio") as refused:
        rate_by_dimension(price=table(), formula="sum", usage=used(("other", "audio", "1")))
    assert refused.value.code == "rate_missing"


@pytest.mark.parametrize("formula", ["last", "unique"])
def test_formulas_that_do_not_add_up_cannot_share_a_row(formula: str) -> None:
    usage = used(("a", "input", "60"), ("b", "input", "40"))
    with pytest.raises(Refusal, match="cannot be added up across dimension values"):
        rate_by_dimension(price=table(), formula="last" if formula == "last" else "unique", usage=usage)


def test_an_event_adds_what_its_row_says() -> None:
    added = increment(price=table(), before=Decimal(90), after=Decimal(110), dimensions={"model": "a", "kind": "input"})
    assert added == 15


def test_rows_that_match_alike_make_no_table() -> None:
    row = RateRow(match={"model": "*"}, model=per_unit("1"))
    with pytest.raises(AssertionError, match="no two rows match alike"):
        ByDimension(keys=("model",), rows=(row, row))
