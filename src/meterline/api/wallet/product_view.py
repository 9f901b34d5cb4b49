"""How products are shown: with their prices inside, and a default version."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from meterline.api.wallet.price_params import render_entitlement
from meterline.api.wallet.route import Call, Json
from meterline.catalog.offer import Offer, OfferVersion
from meterline.store import offer as store
from meterline.store import product as products

_NUMBERS = frozenset({"unit_price", "volume_rate", "min_amount", "max_amount", "quantity"})


def render_prices(version: OfferVersion) -> list[Json]:
    """The prices of a version as the seller wrote them, each with its id."""
    told = {each.id: _numbers(each.told) | {"id": each.id} for each in version.prices}
    return [each | {"pricing_model": each.get("pricing_model") or _model_name(each)} for each in told.values()]


def _numbers(told: Any) -> Any:
    """What is kept as text and shown as numbers."""
    if isinstance(told, Mapping):
        return {
            name: Decimal(value) if name in _NUMBERS and isinstance(value, str) else _numbers(value)
            for name, value in told.items()
        }
    return [_numbers(each) for each in told] if isinstance(told, list | tuple) else told


def _model_name(price: Json) -> str:
    leaves = [leaf for each in price["pricing"] for leaf in _leaves(each["values"])]
    if any("package_size" in leaf for leaf in leaves):
        return "package"
    return "tiered" if any("up_to" in leaf for leaf in leaves) else "flat"


def _leaves(values: Iterable[Json]) -> list[Json]:
    return [leaf for value in values for leaf in (_leaves(value["values"]) if "values" in value else [value])]


def render_version(version: OfferVersion) -> Json:
    """What one version of a product holds."""
    return {
        "version": version.version,
        "status": version.status,
        "prices": render_prices(version),
        "entitlements": [render_entitlement(each) for each in version.entitlements],
        "created_at": version.created.isoformat(),
    }


async def render(call: Call[Any], offer: Offer, version: OfferVersion) -> Json:
    """A product, with one version of it spread over it."""
    named = (await products.find(call.tx, call.environment, [offer.product]))[offer.product]
    return {
        "id": offer.product,
        "name": named.name,
        "code": offer.code,
        "latest_version": offer.latest_version,
        **render_version(version),
        "is_default": version.version == offer.default_version,
    }


async def render_whole(call: Call[Any], offer: Offer) -> Json:
    """A product with its default version, and all its versions, the newest first."""
    versions = await store.versions(call.tx, call.environment, offer.product)
    default = next((each for each in versions if each.version == offer.default_version), None)
    return await render(call, offer, default or versions[-1]) | {
        "default_version": None if default is None else render_version(default),
        "versions": [
            {"version": each.version, "created_at": each.created.isoformat(), "status": each.status}
            for each in reversed(versions)
        ],
    }


async def render_page(call: Call[Any], offers: list[Offer]) -> list[Json]:
    """Products in a list: what they are called, and which version is sold."""
    named = await products.find(call.tx, call.environment, [each.product for each in offers])
    return [
        {
            "id": each.product,
            "code": each.code,
            "name": named[each.product].name,
            "default_version": each.default_version,
            "latest_version": each.latest_version,
        }
        for each in offers
    ]
