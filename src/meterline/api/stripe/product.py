"""`/v1/products`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.expand import expandable, fetcher
from meterline.api.stripe.json import Json, unix
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import (
    Bool,
    List,
    ListParams,
    Metadata,
    Params,
    RetrieveParams,
    Text,
    Unset,
    merge_metadata,
)
from meterline.api.stripe.route import Routes
from meterline.catalog.product import Product
from meterline.refusal import Missing
from meterline.store import notice, row
from meterline.store import product as store
from meterline.store.identifier import public

routes = Routes("products")

expandable("product", "default_price", kind="price")


class ProductCreate(Params):
    name: Text
    id: Text | None = None
    active: Bool = True
    description: Text | None = None
    images: Annotated[List[Text], Field(max_length=8)] = []
    metadata: Metadata = {}
    statement_descriptor: Annotated[Text, Field(max_length=22)] | None = None
    unit_label: Annotated[Text, Field(max_length=12)] | None = None


class ProductUpdate(Params):
    name: Text | None = None
    active: Bool | None = None
    description: Unset[Text] = None
    metadata: Metadata = {}


class ProductList(ListParams):
    active: Bool | None = None
    ids: List[Text] | None = None


def render(product: Product) -> Json:
    """The product object."""
    return {
        "id": product.id,
        "object": "product",
        "active": product.active,
        "created": unix(product.created),
        "default_price": product.default_price,
        "description": product.description,
        "images": list(product.images),
        "livemode": product.environment == "live",
        "marketing_features": product.extra.get("marketing_features", []),
        "metadata": dict(product.metadata),
        "name": product.name,
        "package_dimensions": product.extra.get("package_dimensions"),
        "shippable": product.extra.get("shippable"),
        "statement_descriptor": product.statement_descriptor,
        "tax_code": product.tax_code,
        "type": product.extra.get("type", "service"),
        "unit_label": product.unit_label,
        "updated": unix(product.updated),
        "url": product.extra.get("url"),
    }


@fetcher("product")
async def fetch(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Json]:
    return {id: render(found) for id, found in (await store.find(tx, environment, ids)).items()}


@routes.post("/v1/products", ProductCreate)
async def create(call: Call[ProductCreate]) -> Json:
    asked = call.params
    product = Product(
        environment=call.environment,
        id=asked.id or public("prod"),
        name=asked.name,
        active=asked.active,
        description=asked.description,
        images=tuple(asked.images),
        metadata=merge_metadata({}, asked.metadata),
        statement_descriptor=asked.statement_descriptor,
        unit_label=asked.unit_label,
        created=call.now,
        updated=call.now,
    )
    await store.add(call.tx, product)
    await notice.add(
        call.tx,
        environment=call.environment,
        customer_id=None,
        type="product.created",
        subject=product,
        now=call.now,
    )
    return render(product)


@routes.get("/v1/products/{id}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    found = await store.find(call.tx, call.environment, [call.path["id"]])
    if not found:
        raise Missing("product", call.path["id"], param="id", subject=True)
    return render(found[call.path["id"]])


@routes.post("/v1/products/{id}", ProductUpdate)
async def change(call: Call[ProductUpdate]) -> Json:
    before = await store.lock(call.tx, call.environment, call.path["id"])
    asked = call.params
    after = replace(
        before,
        name=asked.name or before.name,
        active=before.active if asked.active is None else asked.active,
        description=asked.description if asked.sent("description") else before.description,
        metadata=merge_metadata(dict(before.metadata), asked.metadata),
    )
    if after != before:
        after = replace(after, updated=call.now)
        await store.save(call.tx, after)
        await notice.add(
            call.tx,
            environment=call.environment,
            customer_id=None,
            type="product.updated",
            subject=after,
            previous=before,
            now=call.now,
        )
    return render(after)


@routes.get("/v1/products", ProductList)
async def listed(call: Call[ProductList]) -> Json:
    found = await store.listed(
        call.tx, call.environment, cursor(call.params), active=call.params.active, ids=call.params.ids
    )
    data = [render(row.load(Product, each)) for each in found.rows]
    return list_of(data, url=call.url, has_more=found.has_more)
