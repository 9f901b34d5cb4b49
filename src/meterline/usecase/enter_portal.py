"""Let a customer in: by the link of a session, and after that by what the link was exchanged for."""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer
from meterline.customer.portal import IDLE, PortalConfiguration, PortalSession
from meterline.refusal import Missing, Refusal
from meterline.store import customer as customers
from meterline.store import portal_configuration as configurations
from meterline.store import portal_session as store
from meterline.store.portal_session import Kept, digest
from meterline.usecase.moment import moment

_NOTED = timedelta(minutes=1)
"""How often it is written down that a session is in use."""


class Closed(Refusal):
    """The session does not open any more; `session` is known where the link itself was right."""

    def __init__(self, session: PortalSession | None = None) -> None:
        super().__init__("This link has expired.", code="portal_session_expired")
        self.session = session


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A customer in the portal. `now` is the customer's time, UTC."""

    session: PortalSession
    configuration: PortalConfiguration
    customer: Customer
    now: datetime

    @property
    def environment(self) -> str:
        """The environment of the customer: nothing outside it is shown or changed."""
        return self.session.environment


async def follow_link(tx: AsyncConnection, *, environment: str, id: str, secret: str, wall: datetime) -> Visit:
    """Let in who has the link. Raises Closed when it is not right, or its time is over."""
    kept = await _kept(tx, environment, id)
    if not hmac.compare_digest(kept.link_digest, digest(secret)):
        raise Closed
    visit = await _visit(tx, kept, wall=wall)
    if visit.now >= kept.session.link_expires_at:
        raise Closed(kept.session)
    await store.seen(tx, kept.session, wall=wall)
    return visit


async def come_back(
    tx: AsyncConnection, *, environment: str, id: str, secret: str, wall: datetime, active: bool = True
) -> Visit:
    """Let in who was let in before. Raises Closed for anybody else, and after IDLE without a visit.

    `active` says that the customer did something; a page that refreshes itself does not keep the portal open.
    """
    kept = await _kept(tx, environment, id)
    if kept.seen_at is None or not hmac.compare_digest(kept.visit_digest, digest(secret)):
        raise Closed
    if wall - kept.seen_at >= IDLE:
        raise Closed(kept.session)
    if active and wall - kept.seen_at >= _NOTED:
        await store.seen(tx, kept.session, wall=wall)
    return await _visit(tx, kept, wall=wall)


async def leave_portal(tx: AsyncConnection, visit: Visit) -> None:
    """Close the session: neither its link nor the visitor's cookie opens it again."""
    await store.close(tx, visit.session)


async def _kept(tx: AsyncConnection, environment: str, id: str) -> Kept:
    kept = await store.find(tx, environment, id)
    if kept is None:
        raise Closed
    return kept


async def _visit(tx: AsyncConnection, kept: Kept, *, wall: datetime) -> Visit:
    session = kept.session
    owner = (await customers.find_all(tx, [session.customer_id])).get(session.customer_id)
    if owner is None or owner.deleted:
        raise Closed
    try:
        configuration = await configurations.get(tx, session.environment, session.configuration)
    except Missing:
        raise Closed from None
    now = await moment(tx, environment=session.environment, test_clock=owner.test_clock, now=wall)
    return Visit(session=session, configuration=configuration, customer=owner, now=now)
