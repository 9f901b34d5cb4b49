"""The resources of the wallet dialect."""

from meterline.api.wallet import (
    account,
    asset,
    budget,
    collection,
    customer,
    event,
    gate,
    portal_session,
    product,
    simulation,
    stats,
    subscription,
    token,
    top_up,
    vendor,
    wallet,
)

RESOURCES = [
    account.routes,
    asset.routes,
    product.routes,
    simulation.routes,
    stats.routes,
    customer.routes,
    subscription.routes,
    top_up.routes,
    wallet.routes,
    event.routes,
    gate.routes,
    budget.routes,
    collection.routes,
    portal_session.routes,
    vendor.routes,
    token.routes,
]
