"""The resources of the wallet dialect."""

from meterline.api.wallet import (
    asset,
    budget,
    collection,
    customer,
    event,
    gate,
    margin,
    product,
    token,
    top_up,
    wallet,
)

RESOURCES = [
    asset.routes,
    product.routes,
    customer.routes,
    top_up.routes,
    wallet.routes,
    event.routes,
    gate.routes,
    budget.routes,
    collection.routes,
    margin.routes,
    token.routes,
]
