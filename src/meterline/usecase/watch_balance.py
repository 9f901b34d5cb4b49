"""Watch balances as wallets change: marks passed are told in the very transaction that passed them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from meterline.limit.alert import Alert
from meterline.limit.balance import Passing, WalletPassed, passed
from meterline.money import decimal_text
from meterline.store import alert as store
from meterline.store import mail, notice
from meterline.store.alert import Connection
from meterline.store.identifier import public
from meterline.store.mail import Letter
from meterline.store.notice import Fact
from meterline.store.wallet import Touched


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    customer_id: UUID
    asset: str
    before: Decimal
    after: Decimal
    now: datetime


async def watch_balances(
    connection: Connection,
    *,
    environment: str,
    touched: Sequence[Touched],
    now_of: Callable[[UUID], datetime],
    watched: bool = True,
) -> None:
    """Tell which marks the changed pockets passed. `now_of` gives each customer's own time, UTC.

    `watched` is false where it is known that no alerts are set on balances.

    Runs inside the transaction that changes the pockets, under the lock on their books. A pocket that never held
    anything is not recovered when it is filled.
    """
    changes = [change for each in touched if (change := _change(each, now_of(each.customer_id))) is not None]
    if not changes:
        return
    alerts = await store.on_balances(connection, environment) if watched else []
    told = [
        (change, alert, passing, level)
        for change in changes
        for alert in (None, *alerts)
        if alert is None or (alert.asset == change.asset and alert.customer_id in (None, change.customer_id))
        for passing, level in _passed(change, alert)
    ]
    if not told:
        return
    who = await store.who(connection, {change.customer_id for change, *_ in told})
    objects = [
        (change.customer_id, _told(environment, who[change.customer_id][0], change, alert, passing, level))
        for change, alert, passing, level in told
    ]
    await notice.add_all(connection, [_fact(customer_id, each) for customer_id, each in objects])
    letters = [letter for customer_id, each in objects for letter in _letters(customer_id, each)]
    await mail.add_all(connection, letters, now=changes[0].now)


def _change(touched: Touched, now: datetime) -> _Change | None:
    before, after = touched.before.available(now), touched.after.available(now)
    if before == after or not (touched.before.grants or touched.before.debt):
        return None
    return _Change(customer_id=touched.customer_id, asset=touched.after.asset, before=before, after=after, now=now)


def _passed(change: _Change, alert: Alert | None) -> list[tuple[Passing, Decimal]]:
    if alert is None:
        return passed(before=change.before, after=change.after, levels=())
    marks = passed(before=change.before, after=change.after, levels=alert.levels)
    return [(passing, level) for passing, level in marks if level in alert.levels]


def _told(
    environment: str, customer: str, change: _Change, alert: Alert | None, passing: Passing, level: Decimal
) -> WalletPassed:
    return WalletPassed(
        id=public("wlt"),
        environment=environment,
        customer=customer,
        asset=change.asset,
        passing=passing,
        level=level,
        available=change.after,
        before=change.before,
        alert=alert,
        created=change.now,
    )


def _fact(customer_id: UUID, told: WalletPassed) -> Fact:
    return Fact(
        environment=told.environment,
        customer_id=customer_id,
        type=f"wallet.{told.passing}",
        subject=told,
        object_id=f"wallet/{told.customer}/{told.asset}",
        now=told.created,
    )


def _letters(customer_id: UUID, told: WalletPassed) -> list[Letter]:
    if told.alert is None:
        return []
    way = "rose above" if told.passing == "recovered" else "fell to"
    level, available = decimal_text(told.level), decimal_text(told.available)
    subject = f"The balance of {told.customer} {way} {level} {told.asset}: {told.alert.title}"
    body = f"{subject}\n\nAvailable now: {available} {told.asset}\nTime: {told.created:%Y-%m-%d %H:%M} UTC\n"
    return [
        Letter(environment=told.environment, customer_id=customer_id, recipient=recipient, subject=subject, body=body)
        for recipient in told.alert.emails
    ]
