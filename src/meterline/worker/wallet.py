"""What falls due for wallets."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store.due import Due
from meterline.store.offer import START
from meterline.store.top_up import RECHARGE
from meterline.usecase import (
    begin_subscription,
    debit_stored,
    hold_funds,
    move_funds,
    remind_of_expiry,
    subscribe_wallet,
    top_up_wallet,
    work_wallet,
)
from meterline.worker.handler import InTransaction


async def expire_hold(tx: AsyncConnection, row: Due, now: datetime) -> None:
    """The time of a hold is over."""
    await hold_funds.expire(tx, environment=row.environment, customer_id=row.customer_id, id=row.subject, now=now)


async def expire_grant(tx: AsyncConnection, row: Due, now: datetime) -> None:
    """A grant's time is over."""
    await move_funds.expire_grant(tx, environment=row.environment, customer_id=row.customer_id, id=row.subject, now=now)


async def remind(tx: AsyncConnection, row: Due, now: datetime) -> None:
    """A grant is going to end."""
    await remind_of_expiry.remind_of_expiry(
        tx,
        environment=row.environment,
        customer_id=row.customer_id,
        id=row.subject,
        reminder=row.boundary,
        now=now,
    )


async def recur(tx: AsyncConnection, row: Due, now: datetime) -> None:
    """A span of a subscription is over."""
    await subscribe_wallet.recur(
        tx,
        environment=row.environment,
        customer_id=row.customer_id,
        kind=row.kind,
        subject=row.subject,
        boundary=row.boundary,
        clock=row.clock,
        now=now,
    )


async def begin(tx: AsyncConnection, row: Due, now: datetime) -> None:
    """A subscription's time has come, or it can be tried again to pay its fees."""
    await subscribe_wallet.begin(
        tx, environment=row.environment, customer_id=row.customer_id, id=row.subject, clock=row.clock, now=now
    )


async def debit(tx: AsyncConnection, row: Due, now: datetime) -> None:
    """Usage may have been stored that a subscription did not debit yet."""
    await debit_stored.debit_stored(
        tx, customer_id=row.customer_id, subject=row.subject, since=row.boundary, clock=row.clock, now=now
    )


async def recharge(tx: AsyncConnection, row: Due, now: datetime) -> None:
    """A wallet fell below its threshold."""
    await top_up_wallet.recharge(
        tx, environment=row.environment, customer_id=row.customer_id, asset=row.subject, now=now
    )


HANDLERS: Mapping[str, InTransaction] = {
    work_wallet.EXPIRE: expire_hold,
    move_funds.EXPIRE_GRANT: expire_grant,
    remind_of_expiry.REMIND: remind,
    begin_subscription.RENEW_FEE: recur,
    begin_subscription.REFRESH: recur,
    START: begin,
    debit_stored.DEBIT_STORED: debit,
    RECHARGE: recharge,
}
"""By the kind of due work."""
