"""Hear what live mode's processor tells, by webhook or when polled; told again, in any order, it changes nothing."""

from datetime import datetime

from meterline.gateway.stripe_news import Answer, DisputeNews, News, RefundNews
from meterline.payment.payment import Attempt, Unknown
from meterline.store import payment as payments
from meterline.store import refund as refunds
from meterline.store.database import Database
from meterline.usecase.create_payment_method import LIVE
from meterline.usecase.dispute_payment import Objection, hear_objection
from meterline.usecase.import_method import STRIPE
from meterline.usecase.refund_payment import conclude
from meterline.usecase.resolve_attempt import record_answer


async def hear(database: Database, news: News, *, now: datetime) -> bool:
    """Record what is told; whether it was about something of ours. `now` is the wall clock, UTC."""
    match news:
        case Answer():
            return await _of_attempt(database, news, now=now)
        case RefundNews():
            return await _of_refund(database, news, now=now)
        case DisputeNews():
            return await _of_dispute(database, news, now=now)


async def _of_attempt(database: Database, news: Answer, *, now: datetime) -> bool:
    if isinstance(news.outcome, Unknown):
        return False
    async with database.begin() as tx:
        known = (await payments.find_charges(tx, LIVE, [news.attempt])).get(news.attempt)
    if known is None:
        return False
    if not _settled(known):
        await record_answer(
            database, environment=LIVE, id=news.attempt, outcome=news.outcome, captured=news.captured, now=now
        )
    return True


def _settled(attempt: Attempt) -> bool:
    """Whether nothing more can become of it."""
    return attempt.outcome == "refused" or attempt.captured


async def _of_refund(database: Database, news: RefundNews, *, now: datetime) -> bool:
    async with database.begin() as tx:
        known = (await refunds.find(tx, LIVE, [news.refund])).get(news.refund)
        if known is None:
            return False
        locked = await refunds.lock(tx, customer_id=known.customer_id, id=known.id)
        await conclude(tx, locked, news.outcome, now=now)
    return True


async def _of_dispute(database: Database, news: DisputeNews, *, now: datetime) -> bool:
    said = Objection(
        reason=news.reason,
        status=news.status,
        amount=news.amount,
        reference=news.reference,
        due_by=news.due_by,
    )
    async with database.begin() as tx:
        charge = await payments.by_reference(tx, LIVE, STRIPE, news.payment)
        if charge is None:
            return False
        await hear_objection(tx, charge, said, now=now)
    return True
