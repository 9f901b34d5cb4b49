"""`/products`: what wallets are sold, with prices inside and versions."""

from typing import Annotated, Any

from pydantic import Field

from meterline.api.wallet.params import Code, Instant, ListQuery, Params, Text
from meterline.api.wallet.price_params import EntitlementParams, PriceParams, new_prices
from meterline.api.wallet.route import Call, Json, Routes
from meterline.catalog.offer import Offer, OfferVersion
from meterline.refusal import Missing, Refusal
from meterline.store import customer as customers
from meterline.store import offer as store
from meterline.store import product as products
from meterline.usecase.publish_offer import add_version, archive_version, change_version, create_offer
from meterline.usecase.simulate_usage import Event, simulate, total

routes = Routes("products")

DEFAULT = "default"


class ProductCreate(Params):
    name: Text
    code: Code
    description: str | None = None
    prices: Annotated[list[PriceParams], Field(min_length=1, max_length=100)]
    entitlements: Annotated[list[EntitlementParams], Field(max_length=50)] = []
    publish: bool = False


class VersionCreate(Params):
    prices: Annotated[list[PriceParams], Field(min_length=1, max_length=100)]
    entitlements: Annotated[list[EntitlementParams], Field(max_length=50)] = []
    publish: bool = False
    make_default: bool = False


class PricePatch(Params):
    """A price of the version at hand, by name, with what changes about it."""

    name: Text
    pricing: list[dict[str, Any]] | None = None
    pricing_model: str | None = None
    tiering: dict[str, Any] | None = None
    usage_calculation: dict[str, Any] | None = None
    billing_model: dict[str, Any] | None = None
    type: str | None = None


class VersionPatch(Params):
    prices: Annotated[list[PricePatch], Field(min_length=1, max_length=100)] | None = None
    publish: bool = False
    make_default: bool = False


class ProductList(ListQuery):
    code: Code | None = None


def render_version(version: OfferVersion) -> Json:
    """One version of a product."""
    told = {each.told.get("name"): dict(each.told) | {"id": each.id} for each in version.prices}
    return {
        "version": version.version,
        "status": version.status,
        "prices": list(told.values()),
        "entitlements": [
            {
                "name": each.name,
                "asset": each.asset,
                "amount": each.amount,
                "purpose": each.purpose,
                "priority": each.priority,
            }
            for each in version.entitlements
        ],
        "created_at": version.created.isoformat(),
    }


async def render(call: Call[Any], offer: Offer, version: OfferVersion) -> Json:
    """A product, with one version of it spread over it as in the original."""
    named = (await products.find(call.tx, call.environment, [offer.product]))[offer.product]
    return {
        "id": offer.product,
        "name": named.name,
        "code": offer.code,
        "default_version": offer.default_version,
        "latest_version": offer.latest_version,
        **render_version(version),
    }


@routes.post("/products", ProductCreate, status=201)
async def create(call: Call[ProductCreate]) -> Json:
    """Make a product with its prices as version 1; `publish` opens it to subscribers."""
    asked = call.params
    offer, version = await create_offer(
        call.tx,
        environment=call.environment,
        name=asked.name,
        code=asked.code,
        prices=new_prices(asked.prices),
        entitlements=[each.entitlement() for each in asked.entitlements],
        publish=asked.publish,
        now=call.now,
    )
    return await render(call, offer, version)


@routes.get("/products", ProductList)
async def listed(call: Call[ProductList]) -> Json:
    """Products, oldest first."""
    asked = call.params
    found, count = await store.listed(
        call.tx, call.environment, offset=asked.offset, limit=asked.limit, code=asked.code
    )
    items = [await render(call, each, await _shown(call, each)) for each in found]
    return {"offset": asked.offset, "limit": asked.limit, "total_count": count, "items": items}


@routes.get("/products/{key}", Params)
async def retrieve(call: Call[Params]) -> Json:
    """A product by id or code, with its default version, and a list of all versions."""
    offer = await store.find(call.tx, call.environment, call.path["key"])
    versions = await store.versions(call.tx, call.environment, offer.product)
    return await render(call, offer, await _shown(call, offer)) | {
        "versions": [{"version": each.version, "status": each.status} for each in versions]
    }


async def _shown(call: Call[Any], offer: Offer) -> OfferVersion:
    number = offer.default_version or offer.latest_version
    return await store.version(call.tx, call.environment, offer.product, number)


@routes.delete("/products/{key}", Params)
async def archive(call: Call[Params]) -> None:
    """Take a product off sale; its subscribers keep it."""
    await store.archive(call.tx, await store.find(call.tx, call.environment, call.path["key"], lock=True))


@routes.post("/products/{key}", VersionCreate, status=201)
async def create_version(call: Call[VersionCreate]) -> Json:
    """Make the next version of a product."""
    asked = call.params
    offer, version = await add_version(
        call.tx,
        environment=call.environment,
        key=call.path["key"],
        prices=new_prices(asked.prices),
        entitlements=[each.entitlement() for each in asked.entitlements],
        publish=asked.publish,
        make_default=asked.make_default,
        now=call.now,
    )
    return await render(call, offer, version)


@routes.get("/products/{key}/subscribers", ListQuery)
async def subscribers(call: Call[ListQuery]) -> Json:
    """Who is subscribed to a product, and to which version."""
    offer = await store.find(call.tx, call.environment, call.path["key"])
    asked = call.params
    found, count = await store.subscribers(
        call.tx, call.environment, offer.product, offset=asked.offset, limit=asked.limit
    )
    named = await customers.find_all(call.tx, [each.customer_id for each in found])
    items = [
        {
            "customer_id": named[each.customer_id].id,
            "subscription_id": each.id,
            "status": each.status,
            "version": next(of.version for of in each.products if of.product == offer.product),
        }
        for each in found
    ]
    return {"offset": asked.offset, "limit": asked.limit, "total_count": count, "items": items}


async def number_of(call: Call[Any], offer: Offer) -> int:
    """The version that the path names; `default` is the one new subscribers get."""
    named = call.path["version"]
    if named == DEFAULT:
        if offer.default_version is None:
            raise Missing("default version of product", offer.code, subject=True)
        return offer.default_version
    if not named.isdigit():
        raise Missing("product version", named, subject=True)
    return int(named)


@routes.get("/products/{key}/{version}", Params)
async def retrieve_version(call: Call[Params]) -> Json:
    """One version of a product."""
    offer = await store.find(call.tx, call.environment, call.path["key"])
    number = await number_of(call, offer)
    return await render(call, offer, await store.version(call.tx, call.environment, offer.product, number))


@routes.patch("/products/{key}/{version}", VersionPatch)
async def patch_version(call: Call[VersionPatch]) -> Json:
    """Publish a version, make it the default; or, with `prices`, publish a next version with these prices changed.

    The next version becomes the default; whoever is subscribed stays with what they have until they are migrated.
    """
    offer = await store.find(call.tx, call.environment, call.path["key"])
    number = await number_of(call, offer)
    asked = call.params
    if asked.prices is None:
        changed, version = await change_version(
            call.tx,
            environment=call.environment,
            key=offer.product,
            number=number,
            publish=asked.publish,
            make_default=asked.make_default,
        )
        return await render(call, changed, version)
    before = await store.version(call.tx, call.environment, offer.product, number)
    changed, version = await add_version(
        call.tx,
        environment=call.environment,
        key=offer.product,
        prices=new_prices(_patched(before, asked.prices)),
        entitlements=before.entitlements,
        publish=True,
        make_default=True,
        now=call.now,
    )
    return await render(call, changed, version)


class SimulatedEvent(Params):
    event_type: Text
    occurred_at: Instant | None = None
    id: str | None = None
    subject: str | None = None
    description: str | None = None
    data: dict[str, Any] = {}


class Simulate(Params):
    events: Annotated[list[SimulatedEvent], Field(min_length=1, max_length=1000)]


@routes.post("/products/{key}/{version}/simulate-usage", Simulate)
async def simulate_usage(call: Call[Simulate]) -> Json:
    """What events would cost a new subscriber of a version, drafts included; nothing is written."""
    offer = await store.find(call.tx, call.environment, call.path["key"])
    version = await store.version(call.tx, call.environment, offer.product, await number_of(call, offer))
    events = [
        Event(event_type=each.event_type, occurred_at=each.occurred_at or call.now, data=each.data)
        for each in call.params.events
    ]
    simulation = await simulate(call.tx, version, events)
    return {
        "fees": [
            {
                "event": fee.position,
                "price_id": fee.price.id,
                "price_name": fee.price.name,
                "asset": fee.price.asset,
                "quantity_before": fee.before,
                "quantity_after": fee.after,
                "amount": fee.amount,
            }
            for fee in simulation.fees
        ],
        "total": total(simulation),
        "warnings": list(simulation.warnings),
    }


def _patched(before: OfferVersion, patches: list[PricePatch]) -> list[PriceParams]:
    told: dict[object, dict[str, Any]] = {each.told["name"]: dict(each.told) for each in before.prices}
    for patch in patches:
        if patch.name not in told:
            raise Refusal(
                f"Version {before.version} has no price named '{patch.name}'.", code="price_missing", param="prices"
            )
        told[patch.name] |= patch.model_dump(exclude_none=True)
    return [PriceParams.model_validate(each) for each in told.values()]


@routes.delete("/products/{key}/{version}", Params)
async def archive_one(call: Call[Params]) -> None:
    """Take a version off sale; its subscribers keep it."""
    offer = await store.find(call.tx, call.environment, call.path["key"])
    await archive_version(call.tx, environment=call.environment, key=offer.product, number=await number_of(call, offer))
