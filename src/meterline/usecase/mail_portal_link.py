"""Mail customers a link to their own portal: who asks at the login page, and whose session has expired."""

from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer
from meterline.customer.portal import PortalConfiguration, PortalSession
from meterline.store import customer as customers
from meterline.store import mail
from meterline.store import portal_configuration as configurations
from meterline.store import portal_session as store
from meterline.store.database import driver
from meterline.store.mail import Letter
from meterline.store.page import Cursor
from meterline.store.row import load
from meterline.usecase.enter_portal import Closed
from meterline.usecase.moment import moment
from meterline.usecase.open_portal import AskedPortal, Opened, open_portal

PAUSE = timedelta(minutes=1)
"""How long a customer who was mailed a link is not mailed another one."""


class AddressOf(Protocol):
    """Writes the address of a session's link."""

    def __call__(self, opened: Opened) -> str: ...


async def mail_login_link(
    tx: AsyncConnection, configuration: PortalConfiguration, *, email: str, address: AddressOf, now: datetime
) -> bool:
    """Mail the newest customer with that e-mail address a link. Whether one was mailed is for tests, not for pages.

    `now` is the wall clock, UTC.
    """
    page = await customers.listed(tx, configuration.environment, Cursor(limit=1), email=email)
    if not page.rows:
        return False
    return await _mail(
        tx, load(Customer, page.rows[0]), configuration, AskedPortal(mailed=True), address=address, now=now
    )


async def mail_new_link(tx: AsyncConnection, expired: PortalSession, *, address: AddressOf, now: datetime) -> bool:
    """Mail the customer of an expired session a link to the same portal. Raises Closed where that is not allowed."""
    owner = (await customers.find_all(tx, [expired.customer_id])).get(expired.customer_id)
    recovery = expired.recovery
    if owner is None or owner.deleted or recovery is None:
        raise Closed
    theirs = await moment(tx, environment=owner.environment, test_clock=owner.test_clock, now=now)
    if recovery.until is not None and theirs >= recovery.until:
        raise Closed(expired)
    asked = AskedPortal(
        return_url=expired.return_url,
        failure_url=expired.failure_url,
        locale=expired.locale,
        recovery=recovery,
        mailed=True,
    )
    configuration = await configurations.get(tx, expired.environment, expired.configuration)
    return await _mail(tx, owner, configuration, asked, address=address, now=now)


async def _mail(
    tx: AsyncConnection,
    customer: Customer,
    configuration: PortalConfiguration,
    asked: AskedPortal,
    *,
    address: AddressOf,
    now: datetime,
) -> bool:
    await customers.lock(tx, customer.customer_id)
    before = await store.last_mailed_at(tx, customer.customer_id)
    if customer.email is None or (before is not None and now - before < PAUSE):
        return False
    opened = await open_portal(tx, customer=customer, configuration=configuration, asked=asked, now=now)
    letter = Letter(
        environment=customer.environment,
        customer_id=customer.customer_id,
        recipient=customer.email,
        subject=f"Your link to {configuration.headline or 'your billing page'}",
        body="Open your billing page with this link. It works for ten minutes:\n\n"
        f"{address(opened=opened)}\n\nIf you did not ask for it, you can leave this mail alone.\n",
    )
    await mail.add_all(await driver(tx), [letter], now=now)
    return True
