"""What may be agreed on: ways of collection, trials, anchors. Each function settles one term or refuses it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from meterline.catalog import Price
from meterline.period import Cycle, first_anchor
from meterline.refusal import Refusal
from meterline.subscription import cycle
from meterline.subscription.model import AnchorConfig, CollectionMethod

LONGEST_TRIAL_DAYS = 730


def check_collection(method: CollectionMethod, days_until_due: int | None) -> None:
    """An invoice that is sent has a number of days to be paid in; one that is collected has none."""
    if method == "send_invoice" and days_until_due is None:
        raise Refusal(
            "If invoice collection method is 'send_invoice', you must specify 'days_until_due'.",
            param="days_until_due",
        )
    if method != "send_invoice" and days_until_due is not None:
        raise Refusal(
            "You can only specify 'days_until_due' if invoice collection method is 'send_invoice'.",
            param="days_until_due",
        )


def trial_end(
    *,
    asked: datetime | Literal["now"] | None,
    days: int | None,
    from_plan: bool,
    prices: Sequence[Price],
    now: datetime,
) -> datetime | None:
    """When the trial ends that was asked for, null for no trial; a trial of the price's own only `from_plan`."""
    if from_plan:
        if asked is not None or days is not None:
            raise Refusal(
                "You cannot set `trial_end` or `trial_period_days` when `trial_from_plan=true`.",
                param="trial_from_plan",
            )
        days = max((price.recurring.trial_period_days or 0 for price in prices if price.recurring), default=0)
    if asked is not None and days is not None:
        raise Refusal("You may only specify one of these parameters: trial_end, trial_period_days.")
    if asked == "now":
        return None
    if asked is None:
        if not days:
            return None
        if days > LONGEST_TRIAL_DAYS:
            raise Refusal(
                f"Trial periods can be at most {LONGEST_TRIAL_DAYS} days (two years) long.",
                param="trial_period_days",
            )
        return now + timedelta(days=days)
    check_trial_end(asked, now=now)
    return asked


def check_trial_end(asked: datetime, *, now: datetime) -> None:
    """A trial ends in the future, and within two years."""
    if asked <= now:
        raise Refusal(
            "The parameter `trial_end` expects a unix timestamp representing a date and time in the future. You"
            f" specified the value `{_unix(asked)}` which is in the past.",
            param="trial_end",
        )
    if asked > now + timedelta(days=LONGEST_TRIAL_DAYS):
        raise Refusal(
            f"Invalid timestamp: a trial can end at most {LONGEST_TRIAL_DAYS} days (two years) from now.",
            param="trial_end",
        )


def anchor(
    *,
    asked: datetime | None,
    config: AnchorConfig | None,
    prices: Sequence[Price],
    trial_end: datetime | None,
    now: datetime,
) -> datetime:
    """The instant that periods are computed from: as asked, else the end of the trial, else now."""
    if asked is not None and config is not None:
        raise Refusal(
            "You may only specify one of these parameters: billing_cycle_anchor, billing_cycle_anchor_config.",
            param="billing_cycle_anchor",
        )
    if config is not None:
        _check_config(config, prices)
        asked = _from_config(config, created=trial_end or now)
    if asked is None:
        return trial_end or now
    begins = trial_end or now
    if asked < begins or (asked == now and config is None):
        raise Refusal(
            "`billing_cycle_anchor` must be a timestamp in the future"
            + (", not before the trial ends." if trial_end else "."),
            param="billing_cycle_anchor",
        )
    for price in prices:
        natural = Cycle(anchor=begins, interval=cycle.interval(price)).boundary(1)
        if asked > natural and config is None:
            raise Refusal(
                f"`billing_cycle_anchor` cannot be later than next natural billing date ({_unix(natural)}) for"
                f" plan ({price.id}).",
                param="billing_cycle_anchor",
            )
    return asked


def _from_config(config: AnchorConfig, *, created: datetime) -> datetime:
    return first_anchor(
        created=created,
        day_of_month=config.day_of_month,
        month=config.month,
        hour=config.hour,
        minute=config.minute,
        second=config.second,
    )


def _check_config(config: AnchorConfig, prices: Sequence[Price]) -> None:
    units = {cycle.interval(price).unit for price in prices}
    if not units <= {"month", "year"}:
        raise Refusal(
            "`billing_cycle_anchor_config` can only be used with prices that are billed monthly or yearly.",
            param="billing_cycle_anchor_config",
        )
    if config.month is not None and "month" in units:
        raise Refusal(
            "`billing_cycle_anchor_config[month]` can only be used with prices that are billed yearly.",
            param="billing_cycle_anchor_config[month]",
        )


def check_backdate(start: datetime | None, *, trial_end: datetime | None, now: datetime) -> None:
    """A start date lies in the past."""
    if start is not None and start > now:
        raise Refusal("`backdate_start_date` must be in the past.", param="backdate_start_date")
    if start is not None and start < now and trial_end is not None:
        raise Refusal("`backdate_start_date` cannot be combined with a trial.", param="backdate_start_date")


def _unix(instant: datetime) -> int:
    return int(instant.timestamp())
