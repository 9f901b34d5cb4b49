"""Give one customer a way into the portal: a link that opens it for a few minutes."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer
from meterline.customer.portal import (
    KEPT,
    LINK_LIFETIME,
    Flow,
    PortalConfiguration,
    PortalSession,
    Recovery,
    check_link,
    require_offered,
    require_usable,
)
from meterline.refusal import Missing, Refusal
from meterline.store import notice
from meterline.store import portal_session as store
from meterline.store import subscription as subscriptions
from meterline.store.identifier import public
from meterline.subscription.self_service import require_can_end, require_option
from meterline.usecase.change_own_subscription import own_options
from meterline.usecase.moment import moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A new session, and the secret that its link holds. Nobody can read the secret again."""

    session: PortalSession
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedPortal:
    """What a session is to be; null is "as the configuration says"."""

    return_url: str | None = None
    failure_url: str | None = None
    locale: str | None = None
    flow: Flow | None = None
    recovery: Recovery | None = None
    mailed: bool = False


def visit_secret(link: str) -> str:
    """What the visitor holds who came by that link: following the link again gives the same."""
    return hashlib.sha256(f"visit:{link}".encode()).hexdigest()


async def open_portal(
    tx: AsyncConnection, *, customer: Customer, configuration: PortalConfiguration, asked: AskedPortal, now: datetime
) -> Opened:
    """Store a session for the customer and tell it. `now` is the wall clock, UTC.

    Refuses an address that is no page's, a configuration that is off, and a flow that it does not allow or whose
    subscription is not the customer's.
    """
    require_usable(configuration)
    for url, param in ((asked.return_url, "return_url"), (asked.failure_url, "failure_url")):
        if url is not None:
            check_link(url, param=param)
    if asked.flow is not None:
        await _check_flow(tx, customer, configuration, asked.flow)
    theirs = await moment(tx, environment=customer.environment, test_clock=customer.test_clock, now=now)
    secret = secrets.token_urlsafe(32)
    session = PortalSession(
        environment=customer.environment,
        customer_id=customer.customer_id,
        id=public("bps"),
        customer=customer.id,
        configuration=configuration.id,
        created=theirs,
        link_expires_at=theirs + LINK_LIFETIME,
        return_url=asked.return_url or configuration.default_return_url,
        failure_url=asked.failure_url,
        locale=asked.locale,
        flow=asked.flow,
        recovery=asked.recovery,
    )
    await store.forget(tx, environment=customer.environment, customer_id=customer.customer_id, before=now - KEPT)
    await store.add(tx, session, link=secret, visit=visit_secret(secret), mailed=asked.mailed, wall=now)
    await notice.add(
        tx,
        environment=session.environment,
        customer_id=session.customer_id,
        type="billing_portal.session.created",
        subject=session,
        now=theirs,
    )
    return Opened(session=session, secret=secret)


async def _check_flow(tx: AsyncConnection, customer: Customer, configuration: PortalConfiguration, flow: Flow) -> None:
    if flow.after.return_url is not None:
        check_link(flow.after.return_url, param="flow_data[after_completion][redirect][return_url]")
    features, at = configuration.features, f"flow_data[{flow.type}]"
    if flow.subscription is None:
        require_offered(features, flow.type)
        return
    found = (await subscriptions.find(tx, customer.environment, [flow.subscription])).get(flow.subscription)
    if found is None or found.customer_id != customer.customer_id:
        raise Missing("subscription", flow.subscription, param=f"{at}[subscription]")
    if flow.type == "subscription_cancel":
        require_can_end(found, features)
        return
    options = await own_options(tx, found, features)
    if flow.type == "subscription_update_confirm":
        require_option(options, flow.items, at=f"{at}[items]")
    elif options is None:
        raise Refusal(
            "This subscription cannot be updated because the subscription update feature in the portal configuration"
            " is disabled, or because it has several items or is billed by usage.",
            code="portal_feature_disabled",
        )
