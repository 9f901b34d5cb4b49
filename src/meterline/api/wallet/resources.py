"""The resources of the wallet dialect."""

from meterline.api.wallet import customer, event, gate, product, wallet

RESOURCES = [product.routes, customer.routes, wallet.routes, event.routes, gate.routes]
