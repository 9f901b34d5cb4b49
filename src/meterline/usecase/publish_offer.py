"""Sell a product to wallets: an offer with its prices, a further version of it, publishing, the default.

The prices are made in the one catalog, on meters that are made where they are missing: the other doors see the
same objects.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import Price, PriceModel, Product, Recurring
from meterline.catalog.offer import Cadence, Entitlement, Offer, OfferPrice, OfferVersion
from meterline.meter import Meter
from meterline.period import Interval
from meterline.refusal import Refusal
from meterline.store import meter, notice, offer
from meterline.store import price as catalog_prices
from meterline.store import product as products
from meterline.store.identifier import public
from meterline.usecase.change_price import change_price
from meterline.usecase.change_product import change_product
from meterline.usecase.create_price import create_price
from meterline.usecase.create_product import create_product
from meterline.wallet.news import VersionPublished

MONTHLY = Interval(unit="month")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPrice:
    """A price as a seller asks for it. `model` is in minor units of `asset` (upper case).

    Those of one name are the same price as it is sold; of these, those of one `volume_field` are ways to pay for the
    same thing, the first one first.

    Usage prices name the event type they count, by number or by `volume_field`, and the dimensions they need.
    """

    name: str
    asset: str
    model: PriceModel
    event_type: str | None = None
    volume_field: str | None = None
    dimensions: tuple[str, ...] = ()
    cadence: Cadence = "lifetime"
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    interval: Interval | None = None
    told: Mapping[str, object] = field(default_factory=dict)


async def create_offer(
    tx: AsyncConnection,
    *,
    environment: str,
    name: str,
    code: str,
    prices: Sequence[NewPrice],
    entitlements: Sequence[Entitlement],
    publish: bool,
    now: datetime,
) -> tuple[Offer, OfferVersion]:
    """Make a product, its prices and version 1 of its offer. Refuses a code that is taken."""
    product = Product(environment=environment, id=public("prod"), name=name, created=now, updated=now)
    await create_product(tx, new=product, now=now)
    new = Offer(
        environment=environment,
        product=product.id,
        code=code,
        default_version=1 if publish else None,
        latest_version=1,
        created=now,
    )
    await offer.add(tx, new)
    if publish:
        await _tell_published(tx, new, 1, now=now)
    first = await _version(tx, new, number=1, prices=prices, entitlements=entitlements, publish=publish, now=now)
    return new, first


async def add_version(
    tx: AsyncConnection,
    *,
    environment: str,
    key: str,
    prices: Sequence[NewPrice],
    entitlements: Sequence[Entitlement],
    publish: bool,
    make_default: bool,
    now: datetime,
) -> tuple[Offer, OfferVersion]:
    """Make the next version of an offer. Who is subscribed stays with the version they have."""
    found = await offer.find(tx, environment, key, lock=True)
    number = found.latest_version + 1
    make_default = make_default or (publish and found.default_version is None)
    if make_default and not publish:
        raise Refusal("Only a published version can be the default.", code="not_published", param="make_default")
    changed = replace(found, latest_version=number, default_version=number if make_default else found.default_version)
    await offer.save(tx, changed)
    if publish:
        await _tell_published(tx, changed, number, now=now)
    made = await _version(
        tx, changed, number=number, prices=prices, entitlements=entitlements, publish=publish, now=now
    )
    return changed, made


async def change_version(
    tx: AsyncConnection, *, environment: str, key: str, number: int, publish: bool, make_default: bool, now: datetime
) -> tuple[Offer, OfferVersion]:
    """Publish a draft, make a published version the default, or both. The first one to be published is the default."""
    found = await offer.find(tx, environment, key, lock=True)
    made = await offer.version(tx, environment, found.product, number)
    if publish and made.status == "archived":
        raise Refusal("An archived version cannot be published.", code="archived", param="publish")
    fresh = publish and made.status == "draft"
    if fresh:
        made = replace(made, status="published")
        await offer.save_version(tx, made)
        make_default = make_default or found.default_version is None
    if make_default:
        if made.status != "published":
            raise Refusal("Only a published version can be the default.", code="not_published")
        found = replace(found, default_version=number)
        await offer.save(tx, found)
    if fresh:
        await _tell_published(tx, found, number, now=now)
    return found, made


async def _tell_published(tx: AsyncConnection, of: Offer, number: int, *, now: datetime) -> None:
    news = VersionPublished(
        environment=of.environment,
        id=of.product,
        code=of.code,
        version=number,
        is_default=of.default_version == number,
        created=now,
    )
    await notice.add(tx, environment=of.environment, customer_id=None, type="price.published", subject=news, now=now)


async def edit_draft(
    tx: AsyncConnection,
    *,
    environment: str,
    key: str,
    number: int,
    prices: Sequence[NewPrice] | None,
    entitlements: Sequence[Entitlement] | None,
    now: datetime,
) -> None:
    """Give a draft other prices or entitlements (null: those it has). What is published stays as it is."""
    found = await offer.find(tx, environment, key, lock=True)
    before = await offer.version(tx, environment, found.product, number)
    if before.status != "draft":
        raise Refusal(f"Version {number} is {before.status}; only a draft can be edited.", code="not_a_draft")
    after = before
    if prices is not None:
        after = replace(after, prices=await _prices(tx, found, prices, now=now))
        for gone in await catalog_prices.find(tx, environment, [each.price for each in before.prices]):
            held = await catalog_prices.get(tx, environment, gone, lock=True)
            await change_price(tx, before=held, after=replace(held, active=False), now=now)
    if entitlements is not None:
        after = replace(after, entitlements=tuple(entitlements))
    await offer.save_version(tx, after)


async def delete_offer(tx: AsyncConnection, *, environment: str, key: str, now: datetime) -> None:
    """Take a product off sale: archived where anybody ever subscribed to it, else gone, and its code free again."""
    found = await offer.find(tx, environment, key, lock=True)
    if await offer.used(tx, environment, found.product):
        await offer.archive(tx, found)
    else:
        await offer.remove(tx, found)
    sold = await products.lock(tx, environment, found.product)
    await change_product(tx, before=sold, after=replace(sold, active=False, updated=now), now=now)


async def archive_version(tx: AsyncConnection, *, environment: str, key: str, number: int) -> OfferVersion:
    """Nobody can subscribe to that version any more; the default cannot be archived."""
    found = await offer.find(tx, environment, key, lock=True)
    if number == found.default_version:
        raise Refusal("The default version cannot be archived.", code="default_version")
    gone = replace(await offer.version(tx, environment, found.product, number), status="archived")
    await offer.save_version(tx, gone)
    return gone


async def _version(
    tx: AsyncConnection,
    of: Offer,
    *,
    number: int,
    prices: Sequence[NewPrice],
    entitlements: Sequence[Entitlement],
    publish: bool,
    now: datetime,
) -> OfferVersion:
    ways = [(each.name, each.volume_field, each.asset) for each in prices]
    if len(set(ways)) != len(ways):
        raise Refusal(
            "The prices of a product have different names, and each asset once.", code="duplicate_name", param="prices"
        )
    made = OfferVersion(
        environment=of.environment,
        product=of.product,
        version=number,
        status="published" if publish else "draft",
        prices=await _prices(tx, of, prices, now=now),
        entitlements=tuple(entitlements),
        created=now,
    )
    await offer.add_version(tx, made)
    return made


async def _prices(
    tx: AsyncConnection, of: Offer, prices: Sequence[NewPrice], *, now: datetime
) -> tuple[OfferPrice, ...]:
    made: list[OfferPrice] = []
    for new in prices:
        price = await _price(tx, of, new, now=now)
        same = [each for each in made if each.name == new.name]
        ways = [each for each in same if each.volume_field == new.volume_field]
        if same:
            price = replace(price, id=same[0].id)
        if ways:
            price = replace(price, counter=ways[0].counter, rank=len(ways))
        made.append(price)
    return tuple(made)


async def _price(tx: AsyncConnection, of: Offer, new: NewPrice, *, now: datetime) -> OfferPrice:
    counted = None if new.event_type is None else await _meter(tx, of.environment, new, now=now)
    recurring = None
    if counted is not None:
        recurring = Recurring(interval=MONTHLY, usage_type="metered", meter=counted.id)
    elif new.interval is not None:
        recurring = Recurring(interval=new.interval)
    price = Price(
        environment=of.environment,
        id=public("price"),
        product=of.product,
        currency=new.asset.lower(),
        model=new.model,
        recurring=recurring,
        nickname=new.name,
        metadata={"collection": "wallet"},
        created=now,
    )
    await create_price(tx, new=price, now=now)
    return OfferPrice(
        id=price.id,
        name=new.name,
        price=price.id,
        asset=new.asset,
        counter=price.id,
        meter=None if counted is None else counted.id,
        event_type=new.event_type,
        volume_field=new.volume_field,
        cadence=new.cadence,
        minimum=new.minimum,
        maximum=new.maximum,
        interval=new.interval,
        told=new.told,
    )


def event_name(event_type: str, volume_field: str | None) -> str:
    """The meter's event name: one event that carries several volumes is counted on a meter for each."""
    return event_type if volume_field is None else f"{event_type}.{volume_field}"


async def _meter(tx: AsyncConnection, environment: str, new: NewPrice, *, now: datetime) -> Meter:
    assert new.event_type is not None
    name = event_name(new.event_type, new.volume_field)
    known = (await meter.catalog(tx, environment)).get(name)
    if known is not None:
        missing = sorted(set(new.dimensions) - set(known.dimension_keys))
        if missing:
            raise Refusal(
                f"Events of type '{new.event_type}' are counted without the dimension '{missing[0]}'.",
                code="dimension_missing",
                param="usage_calculation.billable_dimensions",
            )
        if known.formula == "unique":
            raise Refusal(f"'{name}' counts distinct values, which no wallet can pay for event by event.")
        return known
    made = Meter(
        environment=environment,
        id=public("mtr"),
        display_name=name,
        event_name=name,
        formula="sum",
        dimension_keys=tuple(sorted(new.dimensions)),
        created=now,
        updated=now,
    )
    await meter.add(tx, made)
    return made
