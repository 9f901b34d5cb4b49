"""`/products`: what wallets are sold, with prices inside and versions."""

from typing import Annotated, Any

from pydantic import Field

from meterline.api.wallet.listing import paged
from meterline.api.wallet.params import Code, ListQuery, Params, Text
from meterline.api.wallet.plain_product import find, render_list
from meterline.api.wallet.price_model import new_prices
from meterline.api.wallet.price_params import EntitlementParams, PriceParams
from meterline.api.wallet.product_view import render, render_page, render_whole
from meterline.api.wallet.route import Call, Json, Routes
from meterline.catalog.offer import Offer, OfferVersion
from meterline.refusal import Missing, Refusal
from meterline.store import customer as customers
from meterline.store import external_id
from meterline.store import offer as store
from meterline.store import plain_product as plain_products
from meterline.usecase.publish_offer import (
    add_version,
    archive_version,
    change_version,
    create_offer,
    delete_offer,
    edit_draft,
)

routes = Routes("products")

DEFAULT = "default"
_LARGEST_VERSION = 2**31 - 1

Prices = Annotated[list[PriceParams], Field(min_length=1, max_length=100)]
Entitlements = Annotated[list[EntitlementParams], Field(max_length=50)]


class ProductCreate(Params):
    name: Text
    code: Code
    description: str | None = None
    prices: Prices
    entitlements: Entitlements | None = None
    publish: bool | None = None


class VersionCreate(Params):
    prices: Prices
    entitlements: Entitlements | None = None
    publish: bool | None = None
    make_default: bool | None = None


class PricePatch(Params):
    """A price of the version at hand, by name, with what changes about it."""

    id: Text | None = None
    name: Text
    pricing: list[dict[str, Any]] | None = None
    pricing_model: str | None = None
    tiering: dict[str, Any] | None = None
    usage_calculation: dict[str, Any] | None = None
    billing_model: dict[str, Any] | None = None
    collection: dict[str, Any] | None = None
    type: str | None = None


class VersionPatch(Params):
    prices: Annotated[list[PricePatch], Field(min_length=1, max_length=100)] | None = None
    entitlements: Entitlements | None = None
    publish: bool | None = None
    make_default: bool | None = None


class ProductList(ListQuery):
    code: Code | None = None


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
        entitlements=[each.entitlement() for each in asked.entitlements or ()],
        publish=bool(asked.publish),
        now=call.now,
    )
    return await render(call, offer, version)


@routes.get("/products", ProductList)
async def listed(call: Call[ProductList]) -> Json:
    """Products, oldest first: those with versions of their own, then those of the other door."""
    asked = call.params
    found, count = await store.listed(
        call.tx, call.environment, offset=asked.offset, limit=asked.limit, code=asked.code
    )
    plain, others = await plain_products.listed(
        call.tx,
        call.environment,
        offset=max(asked.offset - count, 0),
        limit=asked.limit - len(found),
        id=asked.code,
    )
    return paged(asked, [*await render_page(call, found), *render_list(plain)], count + others)


async def _known(call: Call[Any]) -> Offer:
    return await store.find(call.tx, call.environment, call.path["key"], archived=True)


@routes.get("/products/{key}", Params)
async def retrieve(call: Call[Params]) -> Json:
    """A product by id or code, with its default version, and a list of all versions."""
    plain = await find(call, call.path["key"])
    return plain or await render_whole(call, await _known(call))


@routes.delete("/products/{key}", Params)
async def delete(call: Call[Params]) -> None:
    """Take a product off sale: archived if it was ever subscribed to, and kept by its subscribers; else gone."""
    await delete_offer(call.tx, environment=call.environment, key=call.path["key"], now=call.now)


@routes.post("/products/{key}", VersionCreate, status=201)
async def create_version(call: Call[VersionCreate]) -> Json:
    """Make the next version of a product."""
    asked = call.params
    offer, version = await add_version(
        call.tx,
        environment=call.environment,
        key=call.path["key"],
        prices=new_prices(asked.prices),
        entitlements=[each.entitlement() for each in asked.entitlements or ()],
        publish=bool(asked.publish),
        make_default=bool(asked.make_default),
        now=call.now,
    )
    return await render(call, offer, version)


@routes.get("/products/{key}/subscribers", ListQuery)
async def subscribers(call: Call[ListQuery]) -> Json:
    """Who is subscribed to a product, and to which version."""
    offer = await _known(call)
    asked = call.params
    found, count = await store.subscribers(
        call.tx, call.environment, offer.product, offset=asked.offset, limit=asked.limit
    )
    named = await customers.find_all(call.tx, [each.customer_id for each in found])
    known_as = await external_id.known_as(call.tx, call.environment, list(named))
    items = []
    for each in found:
        customer = named[each.customer_id]
        version = next(of.version for of in each.products if of.product == offer.product)
        items.append(
            {
                "customer_id": customer.id,
                "customer_name": customer.name,
                "external_id": known_as.get(each.customer_id),
                "email": customer.email,
                "subscription_id": each.id,
                "subscription_status": each.status_at(call.now),
                "started_at": each.starts_at.isoformat(),
                "renews_at": None if each.renews_at is None else each.renews_at.isoformat(),
                "product_rate_plan_id": f"{offer.product}/{version}",
                "version": version,
            }
        )
    return paged(asked, items, count)


async def number_of(call: Call[Any], offer: Offer) -> int:
    """The version that the path names; `default` is the one new subscribers get."""
    named = call.path["version"]
    if named == DEFAULT:
        if offer.default_version is None:
            raise Missing("default version of product", offer.code, subject=True)
        return offer.default_version
    if not (named.isascii() and named.isdigit()) or int(named[:20]) > _LARGEST_VERSION:
        raise Missing("product version", named, subject=True)
    return int(named)


@routes.get("/products/{key}/{version}", Params)
async def retrieve_version(call: Call[Params]) -> Json:
    """One version of a product."""
    offer = await _known(call)
    number = await number_of(call, offer)
    return await render(call, offer, await store.version(call.tx, call.environment, offer.product, number))


@routes.patch("/products/{key}/{version}", VersionPatch, quiet=True)
async def patch_version(call: Call[VersionPatch]) -> Json:
    """Publish a version, make it the default, or change what is in it.

    A draft is changed in place. Of a version that was published, a next one is made with these prices changed, is
    published and becomes the default; whoever is subscribed stays with what they have until they are migrated.
    """
    offer = await store.find(call.tx, call.environment, call.path["key"])
    number = await number_of(call, offer)
    asked = call.params
    before = await store.version(call.tx, call.environment, offer.product, number)
    if (asked.prices is None and asked.entitlements is None) or before.status == "draft":
        return await _changed(call, offer, before)
    entitlements = before.entitlements
    if asked.entitlements is not None:
        entitlements = tuple(each.entitlement() for each in asked.entitlements)
    changed, version = await add_version(
        call.tx,
        environment=call.environment,
        key=offer.product,
        prices=new_prices(_patched(before, asked.prices or [])),
        entitlements=entitlements,
        publish=True,
        make_default=True,
        now=call.now,
    )
    return await render(call, changed, version)


async def _changed(call: Call[VersionPatch], offer: Offer, before: OfferVersion) -> Json:
    asked = call.params
    if asked.prices is not None or asked.entitlements is not None:
        await edit_draft(
            call.tx,
            environment=call.environment,
            key=offer.product,
            number=before.version,
            prices=None if asked.prices is None else new_prices(_patched(before, asked.prices)),
            entitlements=None if asked.entitlements is None else [each.entitlement() for each in asked.entitlements],
            now=call.now,
        )
    changed, version = await change_version(
        call.tx,
        environment=call.environment,
        key=offer.product,
        number=before.version,
        publish=bool(asked.publish),
        make_default=bool(asked.make_default),
        now=call.now,
    )
    return await render(call, changed, version)


def _patched(before: OfferVersion, patches: list[PricePatch]) -> list[PriceParams]:
    """The prices of a version with what is said about some of them; a new name in a draft is a new price."""
    told: dict[object, dict[str, Any]] = {each.told["name"]: dict(each.told) for each in before.prices}
    for patch in patches:
        if patch.name not in told and before.status != "draft":
            raise Refusal(
                f"Version {before.version} has no price named '{patch.name}'.", code="price_missing", param="prices"
            )
        told[patch.name] = told.get(patch.name, {}) | patch.model_dump(exclude_none=True)
    return [PriceParams.model_validate(each) for each in told.values()]


@routes.delete("/products/{key}/{version}", Params)
async def archive_one(call: Call[Params]) -> None:
    """Take a version off sale; its subscribers keep it."""
    offer = await store.find(call.tx, call.environment, call.path["key"])
    await archive_version(call.tx, environment=call.environment, key=offer.product, number=await number_of(call, offer))
