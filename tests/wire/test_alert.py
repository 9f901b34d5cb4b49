"""Alerts: told once per crossing, inside the transaction that stored the usage, on test clocks too."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import count
from typing import Any

import httpx
import pytest
import stripe

from tests.wire.working import running as working

_names = count(1)


@pytest.fixture
def meter(client: stripe.StripeClient) -> stripe.billing.Meter:
    return client.v1.billing.meters.create(
        {
            "display_name": "Calls",
            "event_name": f"calls_{next(_names)}",
            "default_aggregation": {"formula": "sum"},
        }
    )


@pytest.fixture
def customer(client: stripe.StripeClient) -> stripe.Customer:
    return client.v1.customers.create({"name": "Ada"})


def _use(
    client: stripe.StripeClient,
    meter: stripe.billing.Meter,
    customer: stripe.Customer,
    value: int,
    at: int | None = None,
) -> None:
    payload = {"stripe_customer_id": customer.id, "value": str(value)}
    more = {} if at is None else {"timestamp": at}
    client.v1.billing.meter_events.create({"event_name": meter.event_name, "payload": payload, **more})  # type: ignore[typeddict-item]


def _alert(
    client: stripe.StripeClient, meter: stripe.billing.Meter, gte: int, customer: stripe.Customer | None = None
) -> stripe.billing.Alert:
    filters: Any = [] if customer is None else [{"type": "customer", "customer": customer.id}]
    return client.v1.billing.alerts.create(
        {
            "alert_type": "usage_threshold",
            "title": "Many calls",
            "usage_threshold": {"meter": meter.id, "gte": gte, "recurrence": "one_time", "filters": filters},
        }
    )


def _told(client: stripe.StripeClient, customer: stripe.Customer, type: str) -> list[dict[str, Any]]:
    """What was told about a customer, earliest first."""
    events = client.v1.events.list({"type": type, "limit": 100}).data
    objects = [event.data.object.to_dict() for event in events]
    return [each for each in objects[::-1] if each["customer"] == customer.id]


def _levels(client: stripe.StripeClient, customer: stripe.Customer) -> list[tuple[str, str]]:
    return [(each["direction"], each["level"]) for each in _told(client, customer, "usage.threshold")]


def test_an_alert_fires_once_per_customer_when_the_threshold_is_reached(
    client: stripe.StripeClient, meter: stripe.billing.Meter, customer: stripe.Customer
) -> None:
    other = client.v1.customers.create({})
    alert = _alert(client, meter, 100)
    for value in (60, 39, 1, 500):
        _use(client, meter, customer, value)
    _use(client, meter, other, 99)

    [fired] = _told(client, customer, "billing.alert.triggered")
    assert (fired["object"], fired["value"]) == ("billing.alert_triggered", 100)
    assert fired["alert"]["id"] == alert.id
    assert _told(client, other, "billing.alert.triggered") == []


def test_usage_from_before_the_alert_counts_when_new_usage_arrives(
    client: stripe.StripeClient, meter: stripe.billing.Meter, customer: stripe.Customer
) -> None:
    _use(client, meter, customer, 1000)
    _alert(client, meter, 100)
    assert _told(client, customer, "billing.alert.triggered") == []
    _use(client, meter, customer, 1)
    assert [fired["value"] for fired in _told(client, customer, "billing.alert.triggered")] == [1001]


def test_a_filter_limits_an_alert_to_one_customer(
    client: stripe.StripeClient, meter: stripe.billing.Meter, customer: stripe.Customer
) -> None:
    other = client.v1.customers.create({})
    alert = _alert(client, meter, 10, customer)
    assert alert.usage_threshold is not None and alert.usage_threshold.filters is not None
    assert alert.usage_threshold.filters[0].customer == customer.id
    _use(client, meter, other, 50)
    _use(client, meter, customer, 50)
    assert _told(client, other, "billing.alert.triggered") == []
    assert len(_told(client, customer, "billing.alert.triggered")) == 1


def test_an_inactive_alert_is_silent_and_an_activated_one_fires_again(
    client: stripe.StripeClient, meter: stripe.billing.Meter, customer: stripe.Customer
) -> None:
    alert = _alert(client, meter, 10)
    assert client.v1.billing.alerts.deactivate(alert.id).status == "inactive"
    _use(client, meter, customer, 50)
    assert _told(client, customer, "billing.alert.triggered") == []
    client.v1.billing.alerts.activate(alert.id)
    _use(client, meter, customer, 1)
    assert len(_told(client, customer, "billing.alert.triggered")) == 1


def test_an_archived_alert_is_gone_from_lists_for_good(
    client: stripe.StripeClient, meter: stripe.billing.Meter
) -> None:
    alert = _alert(client, meter, 10)
    assert client.v1.billing.alerts.archive(alert.id).status == "archived"
    assert client.v1.billing.alerts.list({"meter": meter.id}).data == []
    assert client.v1.billing.alerts.retrieve(alert.id).status == "archived"
    with pytest.raises(stripe.InvalidRequestError, match="archived"):
        client.v1.billing.alerts.activate(alert.id)


def test_twenty_five_alerts_per_meter_and_customer(client: stripe.StripeClient, meter: stripe.billing.Meter) -> None:
    for number in range(25):
        _alert(client, meter, number + 1)
    with pytest.raises(stripe.InvalidRequestError, match="maximum of 25"):
        _alert(client, meter, 26)


def test_an_unknown_meter_is_named(client: stripe.StripeClient, meter: stripe.billing.Meter) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.billing.alerts.create(
            {
                "alert_type": "usage_threshold",
                "title": "?",
                "usage_threshold": {"meter": "mtr_nope", "gte": 1, "recurrence": "one_time"},
            }
        )
    assert refused.value.param == "usage_threshold[meter]"


def test_a_crossing_is_told_once_however_many_write_at_the_same_time(
    client: stripe.StripeClient, meter: stripe.billing.Meter, customer: stripe.Customer
) -> None:
    _alert(client, meter, 50)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: _use(client, meter, customer, 1), range(100)))
    [fired] = _told(client, customer, "billing.alert.triggered")
    assert 50 <= fired["value"] <= 100


def _subscribe(
    client: stripe.StripeClient, meter: stripe.billing.Meter, customer: stripe.Customer, free: int
) -> stripe.Subscription:
    price = client.v1.prices.create(
        {
            "currency": "usd",
            "product_data": {"name": "Calls"},
            "billing_scheme": "tiered",
            "tiers_mode": "graduated",
            "tiers": [{"up_to": free, "unit_amount": 0}, {"up_to": "inf", "unit_amount": 5}],
            "recurring": {"interval": "month", "usage_type": "metered", "meter": meter.id},
        }
    )
    return client.v1.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}]})


def test_included_usage_is_watched_at_80_95_and_100_percent_without_asking(
    client: stripe.StripeClient, raw: httpx.Client, meter: stripe.billing.Meter, customer: stripe.Customer
) -> None:
    _subscribe(client, meter, customer, 1000)
    _use(client, meter, customer, 799)
    assert _levels(client, customer) == []
    _use(client, meter, customer, 1)
    assert _levels(client, customer) == [("crossed", "80")]
    _use(client, meter, customer, 5000)
    assert _levels(client, customer) == [("crossed", "80"), ("crossed", "95"), ("crossed", "100")]
    last = _told(client, customer, "usage.threshold")[-1]
    assert (last["value"], last["allowance"], last["threshold"]) == ("5800", "1000", "1000")

    [standing] = raw.get(f"/ops/customers/{customer.id}/alerts").json()["data"]
    assert standing["crossed"] == ["80", "95", "100"] and standing["next"] is None


def test_usage_taken_back_is_a_recovery(
    client: stripe.StripeClient, raw: httpx.Client, meter: stripe.billing.Meter, customer: stripe.Customer
) -> None:
    levels = {"title": "Levels", "meter": meter.id, "levels[0]": "10", "levels[1]": "20"}
    created = raw.post("/ops/alerts", data=levels)
    assert created.status_code == 200, created.text
    _use(client, meter, customer, 25)
    _use(client, meter, customer, -10)
    _use(client, meter, customer, -10)
    _use(client, meter, customer, 100)
    assert _levels(client, customer) == [
        ("crossed", "10"),
        ("crossed", "20"),
        ("recovered", "20"),
        ("recovered", "10"),
        ("crossed", "10"),
        ("crossed", "20"),
    ]


def test_a_canceled_event_is_a_recovery_too(
    client: stripe.StripeClient, raw: httpx.Client, meter: stripe.billing.Meter, customer: stripe.Customer
) -> None:
    raw.post("/ops/alerts", data={"title": "Level", "meter": meter.id, "levels[0]": "10"})
    for identifier in ("first", "second"):
        client.v1.billing.meter_events.create(
            {
                "event_name": meter.event_name,
                "payload": {"stripe_customer_id": customer.id, "value": "6"},
                "identifier": identifier + customer.id,
            }
        )
    client.v1.billing.meter_event_adjustments.create(
        {"event_name": meter.event_name, "type": "cancel", "cancel": {"identifier": "first" + customer.id}}
    )
    assert _levels(client, customer) == [("crossed", "10"), ("recovered", "10")]


def test_each_period_of_a_test_clock_begins_anew_and_is_forecast(
    client: stripe.StripeClient, raw: httpx.Client, dsn: str, meter: stripe.billing.Meter
) -> None:
    first = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())
    day = 86_400
    clock = client.v1.test_helpers.test_clocks.create({"frozen_time": first})
    customer = client.v1.customers.create({"test_clock": clock.id})
    subscription = _subscribe(client, meter, customer, 100)
    client.v1.subscriptions.update(subscription.id, {"collection_method": "send_invoice", "days_until_due": 30})
    with working(dsn):
        _advance(client, clock, first + 10 * day)
        _use(client, meter, customer, 40, first + 5 * day)
        [standing] = raw.get(f"/ops/customers/{customer.id}/alerts").json()["data"]
        assert standing["next"] == {"level": "80", "threshold": "80", "expected_at": first + 20 * day}
        _use(client, meter, customer, 50)
        _advance(client, clock, first + 31 * day)
        _use(client, meter, customer, 79)
        assert _levels(client, customer) == [("crossed", "80")]
        _use(client, meter, customer, 1)
    told = _told(client, customer, "usage.threshold")
    assert [each["period"]["start"] for each in told] == [first, first + 30 * day]
    assert told[1]["created"] == first + 31 * day


def _advance(client: stripe.StripeClient, clock: stripe.test_helpers.TestClock, to: int) -> None:
    client.v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": to})
    deadline = time.monotonic() + 60
    while client.v1.test_helpers.test_clocks.retrieve(clock.id).status != "ready":
        assert time.monotonic() < deadline, "the clock does not arrive"
        time.sleep(0.05)


def test_what_usage_costs_so_far_is_watched(
    client: stripe.StripeClient, raw: httpx.Client, dsn: str, meter: stripe.billing.Meter, customer: stripe.Customer
) -> None:
    subscription = _subscribe(client, meter, customer, 100)
    levels = {"levels[0]": "500", "levels[1]": "1000"}
    created = raw.post("/ops/alerts", data={"title": "Costly", "measure": "spend", "asset": "usd", **levels})
    assert created.status_code == 200, created.text
    with working(dsn):
        _use(client, meter, customer, 199)
        _use(client, meter, customer, 1)
        [first] = _await_spending(client, customer, count=1)
        assert (first["value"], first["threshold"], first["subscription"]) == ("500", "500", subscription.id)
        _use(client, meter, customer, 50)
        _use(client, meter, customer, 500)
        told = _await_spending(client, customer, count=2)
    assert [each["level"] for each in told] == ["500", "1000"]


def test_a_customer_sees_what_it_spent_as_it_is_judged(
    client: stripe.StripeClient, raw: httpx.Client, meter: stripe.billing.Meter, customer: stripe.Customer
) -> None:
    subscription = _subscribe(client, meter, customer, 100)
    of_customer = {"title": "Mine", "measure": "spend", "customer": customer.id}
    levels = {"levels[0]": "500", "levels[1]": "1000"}
    alert = raw.post("/ops/alerts", data=of_customer | levels | {"asset": "usd"}).json()
    raw.post("/ops/alerts", data=of_customer | levels | {"asset": "eur"})
    _use(client, meter, customer, 240)

    [standing] = _on_spending(raw, customer)
    assert (standing["alert"]["id"], standing["subscription"], standing["meter"]) == (
        alert["id"],
        subscription.id,
        None,
    )
    item = subscription["items"].data[0]
    assert standing["period"] == {"start": item.current_period_start, "end": item.current_period_end}
    assert (standing["value"], standing["crossed"]) == ("700", ["500"])
    assert (standing["next"]["level"], standing["next"]["threshold"]) == ("1000", "1000")
    upcoming = client.v1.invoices.create_preview({"subscription": subscription.id})
    assert standing["value"] == str(upcoming.total)

    raw.post(f"/ops/alerts/{alert['id']}/deactivate")
    assert _on_spending(raw, customer) == []


def _on_spending(raw: httpx.Client, customer: stripe.Customer) -> list[dict[str, Any]]:
    standings = raw.get(f"/ops/customers/{customer.id}/alerts").json()["data"]
    mine = [each for each in standings if each["alert"]["customer"] == customer.id]
    return [each for each in mine if each["alert"]["measure"] == "spend"]


def test_the_meter_of_an_alert_can_be_expanded(client: stripe.StripeClient, meter: stripe.billing.Meter) -> None:
    alert = _alert(client, meter, 100)
    assert alert.usage_threshold is not None and alert.usage_threshold.meter == meter.id
    path = "usage_threshold.meter"
    found = client.v1.billing.alerts.retrieve(alert.id, {"expand": [path]})
    assert found.usage_threshold is not None
    expanded = found.usage_threshold.meter
    assert isinstance(expanded, stripe.billing.Meter)
    assert (expanded.id, expanded.event_name) == (meter.id, meter.event_name)
    [listed] = client.v1.billing.alerts.list({"meter": meter.id, "expand": [f"data.{path}"]}).data
    assert listed.usage_threshold is not None and listed.usage_threshold.meter == expanded


def _await_spending(client: stripe.StripeClient, customer: stripe.Customer, *, count: int) -> list[dict[str, Any]]:
    deadline = time.monotonic() + 60
    while len(told := _told(client, customer, "spend.threshold")) < count:
        assert time.monotonic() < deadline, f"{len(told)} were told"
        time.sleep(0.05)
    return told
