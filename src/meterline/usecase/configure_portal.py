"""Make and change what the portal offers."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer.portal import EVERYTHING_SAFE, PortalConfiguration, check_configuration, check_link
from meterline.refusal import Missing, Refusal
from meterline.store import notice, price
from meterline.store import portal_configuration as store
from meterline.store.identifier import public


async def create_configuration(tx: AsyncConnection, new: PortalConfiguration, *, now: datetime) -> PortalConfiguration:
    """Store a new configuration and tell it. Refuses one that contradicts itself; raises Missing for a price."""
    await _check(tx, new)
    await store.add(tx, new)
    await _tell(tx, "billing_portal.configuration.created", new, now=now)
    return new


async def change_configuration(
    tx: AsyncConnection, *, before: PortalConfiguration, after: PortalConfiguration, now: datetime
) -> PortalConfiguration:
    """Store a changed configuration that was locked, and tell it; nothing when nothing changed."""
    if after == before:
        return before
    await _check(tx, after)
    await store.save(tx, after)
    await _tell(tx, "billing_portal.configuration.updated", after, previous=before, now=now)
    return after


async def default_configuration(tx: AsyncConnection, environment: str, *, now: datetime) -> PortalConfiguration:
    """The configuration of sessions that name none; made at the first need."""
    found = await store.default(tx, environment)
    if found is not None:
        return found
    new = PortalConfiguration(
        environment=environment,
        id=public("bpc"),
        created=now,
        updated=now,
        features=EVERYTHING_SAFE,
        is_default=True,
    )
    if await store.add(tx, new):
        await _tell(tx, "billing_portal.configuration.created", new, now=now)
        return new
    made_meanwhile = await store.default(tx, environment)
    assert made_meanwhile is not None, "a default configuration is never removed"
    return made_meanwhile


async def _check(tx: AsyncConnection, configuration: PortalConfiguration) -> None:
    check_configuration(configuration)
    for url, param in (
        (configuration.default_return_url, "default_return_url"),
        (configuration.privacy_policy_url, "business_profile[privacy_policy_url]"),
        (configuration.terms_of_service_url, "business_profile[terms_of_service_url]"),
    ):
        if url is not None:
            check_link(url, param=param)
    await _check_prices(tx, configuration)


async def _check_prices(tx: AsyncConnection, configuration: PortalConfiguration) -> None:
    """Every price that customers may move to exists, belongs to its product and is billed in advance."""
    products = configuration.features.switch.products
    known = await price.find(tx, configuration.environment, [id for each in products for id in each.prices])
    for place, each in enumerate(products):
        at = f"features[subscription_update][products][{place}]"
        for nth, id in enumerate(each.prices):
            found = known.get(id)
            if found is None:
                raise Missing("price", id, param=f"{at}[prices][{nth}]")
            if found.product != each.product:
                raise Refusal(f"The price {id} is not of the product {each.product}.", param=f"{at}[prices][{nth}]")
            if found.recurring is None or found.metered:
                raise Refusal(
                    "Customers can only move to recurring prices that are not billed by usage.",
                    param=f"{at}[prices][{nth}]",
                )


async def _tell(
    tx: AsyncConnection,
    type: str,
    subject: PortalConfiguration,
    *,
    previous: PortalConfiguration | None = None,
    now: datetime,
) -> None:
    await notice.add(
        tx,
        environment=subject.environment,
        customer_id=None,
        type=type,
        subject=subject,
        previous=previous,
        now=now,
    )
