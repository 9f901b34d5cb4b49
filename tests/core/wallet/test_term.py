"""When fees and entitlements come again, and which asset pays a fixed fee."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from meterline.period import Interval
from meterline.wallet.grant import Grant
from meterline.wallet.pocket import Pocket
from meterline.wallet.term import FixedFee, Shortage, Way, begins, following, pay_all, span_end, span_of

MONTH = Interval(unit="month")
START = datetime(2026, 1, 31, tzinfo=UTC)
RENEWS = datetime(2026, 4, 15, tzinfo=UTC)


def at(month: int, day: int) -> datetime:
    return datetime(2026, month, day, tzinfo=UTC)


def test_boundaries_are_counted_from_the_anchor() -> None:
    assert following(START, MONTH, START) == at(2, 28)
    assert following(START, MONTH, at(2, 28)) == at(3, 31)
    assert span_end(START, MONTH, START, spans=2) == at(3, 31)
    assert begins(START, MONTH, at(2, 28)) and not begins(START, MONTH, at(3, 28))


def test_the_first_renewal_asked_for_is_the_first_boundary() -> None:
    assert following(RENEWS, MONTH, START) == RENEWS
    assert following(RENEWS, MONTH, RENEWS) == at(5, 15)
    assert span_of(RENEWS, MONTH, at(3, 1), start=START) == START
    assert span_of(RENEWS, MONTH, at(5, 1), start=START) == RENEWS
    assert not begins(RENEWS, MONTH, at(3, 15))


def pocket(asset: str, amount: int) -> Pocket:
    grant = Grant(
        id="grant",
        asset=asset,
        funding="paid",
        purpose="top_up",
        granted=Decimal(amount),
        remaining=Decimal(amount),
        effective_at=START,
        created=START,
        sequence=UUID(int=1),
    )
    return Pocket(asset=asset, grants=(grant,) if amount else ())


def fee(sold: str, **amounts: int) -> FixedFee:
    ways = tuple(Way(price=f"{sold}_{a}", product="p", asset=a, amount=Decimal(n)) for a, n in amounts.items())
    return FixedFee(sold=sold, at=START, ways=ways)


def paid(fees: list[FixedFee], **has: int) -> list[tuple[str, str]] | Shortage:
    done = pay_all(fees, lambda asset: pocket(asset, has.get(asset, 0)), at=START)
    return done if isinstance(done, Shortage) else [(each.fee.sold, each.way.asset) for each in done]


def test_the_first_asset_that_has_a_whole_fee_pays_it() -> None:
    plan, setup = fee("plan", COIN=5, USD=2), fee("setup", COIN=5, USD=2)
    assert paid([plan, setup], COIN=9, USD=2) == [("plan", "COIN"), ("setup", "USD")]


def test_all_fees_are_paid_or_none_and_what_is_missing_is_money() -> None:
    plan, setup = fee("plan", COIN=5, USD=2), fee("setup", COIN=5, USD=20)
    assert paid([plan, setup], COIN=9, USD=2) == Shortage("USD", Decimal(18))
    assert paid([fee("plan", COIN=5)], COIN=4) == Shortage("COIN", Decimal(1))


def test_a_fee_of_nothing_needs_no_money() -> None:
    done = pay_all([fee("free", USD=0)], lambda asset: pocket(asset, 0), at=START)
    assert isinstance(done, tuple)
    [payment] = done
    assert payment.debit is None
