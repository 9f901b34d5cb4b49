"""The statement of an account at Stripe: its balance transactions, and the payouts that they went to the bank in."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast, get_args

import stripe

from meterline.gateway.stripe_news import DisputeNews, RefundNews, news_in
from meterline.payment.statement import LineType


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """A balance transaction. `payment` is Stripe's name of the payment it is about, `refund` our refund's id,
    `dispute` Stripe's name of the dispute; null where it is about none. Amounts are minor units."""

    reference: str
    type: LineType
    amount: int
    fee: int
    currency: str
    created: datetime
    available_on: datetime
    description: str | None
    payment: str | None = None
    refund: str | None = None
    dispute: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutNews:
    """A payout at Stripe as it stands. An `automatic` one can be asked what it was made of."""

    reference: str
    amount: int
    currency: str
    automatic: bool
    status: Literal["pending", "in_transit", "paid", "failed", "canceled"]
    created: datetime
    arrival_date: datetime
    statement_descriptor: str | None


class StripeStatement:
    """Reads what happened to the money of an account at Stripe. The calls block."""

    def __init__(self, client: stripe.StripeClient) -> None:
        self._client = client

    def movements_since(self, instant: datetime) -> Iterator[Movement]:
        """Every movement since then, the newest first."""
        asked: Any = {"created": {"gte": int(instant.timestamp())}, "limit": 100, "expand": ["data.source"]}
        for line in self._client.v1.balance_transactions.list(asked).auto_paging_iter():
            yield _movement(line)

    def movements_in(self, payout: str) -> Iterator[Movement]:
        """What an automatic payout was made of, itself left out."""
        asked: Any = {"payout": payout, "limit": 100, "expand": ["data.source"]}
        for line in self._client.v1.balance_transactions.list(asked).auto_paging_iter():
            if line.type != "payout":
                yield _movement(line)

    def payouts_since(self, instant: datetime) -> Iterator[PayoutNews]:
        """The payouts since then, the newest first."""
        asked: Any = {"created": {"gte": int(instant.timestamp())}, "limit": 100}
        for payout in self._client.v1.payouts.list(asked).auto_paging_iter():
            yield PayoutNews(
                reference=payout.id,
                amount=payout.amount,
                currency=payout.currency,
                automatic=payout.automatic,
                status=cast("Literal['pending', 'in_transit', 'paid', 'failed', 'canceled']", payout.status),
                created=_instant(payout.created),
                arrival_date=_instant(payout.arrival_date),
                statement_descriptor=payout.statement_descriptor,
            )


def _movement(line: stripe.BalanceTransaction) -> Movement:
    payment = refund = dispute = None
    source: Any = line.source
    match source:
        case stripe.Charge() if source.payment_intent is not None:
            intent = source.payment_intent
            payment = intent if isinstance(intent, str) else intent.id
        case stripe.Refund() | stripe.Dispute():
            for news in news_in(source):
                if isinstance(news, RefundNews):
                    refund = news.refund
                if isinstance(news, DisputeNews):
                    dispute, payment = news.reference, news.payment
        case _:
            pass
    return Movement(
        reference=line.id,
        type=_type(line.type),
        amount=line.amount,
        fee=line.fee,
        currency=line.currency,
        created=_instant(line.created),
        available_on=_instant(line.available_on),
        description=line.description,
        payment=payment,
        refund=refund,
        dispute=dispute,
    )


def _type(told: str) -> LineType:
    return cast("LineType", told) if told in get_args(LineType) else "other"


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
