"""What webhooks of this dialect are told: an envelope, and in it what the topic is about."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from meterline.api.wallet.json import encode
from meterline.api.wallet.route import Json
from meterline.customer import Customer
from meterline.limit.balance import WalletPassed
from meterline.limit.budget import BudgetRefused
from meterline.meter.parked import EventsParked
from meterline.money import to_major
from meterline.notice.endpoint import TEST, TopicTest
from meterline.store.notice import Notice, kind_of
from meterline.store.row import load
from meterline.wallet.news import SubscriptionNews, TransactionNews, VersionPublished, WalletNews

T = TypeVar("T")

_views: dict[str, tuple[type, Callable[[Any], Json]]] = {}


def _view(cls: type[T]) -> Callable[[Callable[[T], Json]], Callable[[T], Json]]:
    def register(render: Callable[[T], Json]) -> Callable[[T], Json]:
        _views[kind_of(cls)] = (cls, render)
        return render

    return register


def body(told: Notice, *, live: bool) -> bytes:
    """What is sent, and signed. A test says what it is a test of."""
    envelope = {
        "id": told.id,
        "type": topic(told),
        "created": told.created.isoformat(),
        "live_mode": live,
        "data": data(told),
    }
    return encode(envelope)


def topic(told: Notice) -> str:
    """The topic of a notice."""
    return str(told.snapshot["topic"]) if told.type == TEST else told.type


def data(told: Notice) -> Json:
    """What a notice is about; of a kind that this server does not know, its id."""
    known = _views.get(told.kind)
    if known is None:
        return {"id": told.object_id}
    cls, view = known
    return view(load(cls, told.snapshot))


def _at(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()


@_view(Customer)
def _customer(told: Customer) -> Json:
    return {
        "id": told.id,
        "name": told.name,
        "email": told.email,
        "metadata": dict(told.metadata),
        "created_at": told.created.isoformat(),
    }


@_view(SubscriptionNews)
def _subscription(told: SubscriptionNews) -> Json:
    return {
        "id": told.id,
        "customer_id": told.customer,
        "status": told.status,
        "products": [{"id": id, "code": code, "version": version} for id, code, version in told.products],
        "started_at": told.started_at.isoformat(),
        "renews_at": _at(told.renews_at),
    }


@_view(TransactionNews)
def _transaction(told: TransactionNews) -> Json:
    return {
        "id": told.id,
        "customer_id": told.customer,
        "type": told.type,
        "account_id": f"default:{told.asset}",
        "asset": told.asset,
        "amount": told.amount,
        "available": told.available,
        "description": told.description,
        "created_at": told.created.isoformat(),
    }


@_view(WalletPassed)
def _passed(told: WalletPassed) -> Json:
    return {
        "customer_id": told.customer,
        "account_id": f"default:{told.asset}",
        "asset": told.asset,
        "available": told.available,
        "before": told.before,
        "level": told.level,
        "alert_id": None if told.alert is None else told.alert.id,
    }


@_view(WalletNews)
def _news(told: WalletNews) -> Json:
    paid = None if told.price is None or told.currency is None else to_major(told.price, told.currency)
    return {
        "id": told.id,
        "customer_id": told.customer,
        "account_id": f"default:{told.asset}",
        "asset": told.asset,
        "amount": told.amount,
        "paid": paid,
        "currency": None if told.currency is None else told.currency.upper(),
        "reason": told.reason,
        "again_at": _at(told.again_at),
        "expires_at": _at(told.expires_at),
    }


@_view(EventsParked)
def _parked(told: EventsParked) -> Json:
    return {
        "customer_id": told.customer,
        "event_type": told.event_name,
        "code": told.code,
        "detail": told.message,
        "count": told.count,
        "sample": list(told.sample),
    }


@_view(BudgetRefused)
def _refused(told: BudgetRefused) -> Json:
    return {
        "id": told.id,
        "customer_id": told.customer,
        "budget": told.budget,
        "level": told.level,
        "asset": told.asset,
        "asked": told.asked,
        "left": told.left,
        "resets_at": _at(told.resets_at),
        "detail": told.message,
    }


@_view(VersionPublished)
def _published(told: VersionPublished) -> Json:
    return {"id": told.id, "code": told.code, "version": told.version, "is_default": told.is_default}


@_view(TopicTest)
def _test(told: TopicTest) -> Json:
    return dict(told.data)


SAMPLES: Mapping[str, Json] = {
    "customer": {"id": "cus_test", "name": "Test", "email": "test@example.com", "metadata": {}},
    "subscription": {"id": "sub_test", "customer_id": "cus_test", "status": "active", "products": []},
    "price": {"id": "prod_test", "code": "test", "version": 1, "is_default": True},
    "event": {"customer_id": "cus_test", "event_type": "test", "code": "no_subscription", "count": 1, "sample": []},
}
"""What a test of a topic carries where the caller does not say it, by the topic's noun."""

SAMPLE: Json = {"id": "test", "customer_id": "cus_test", "account_id": "default:USD", "asset": "USD", "amount": 1}
"""The same, for topics about value in a wallet."""
