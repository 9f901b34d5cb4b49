"""The resources of the wallet dialect."""

from meterline.api.wallet import customer, event, product, wallet

RESOURCES = [product.routes, customer.routes, wallet.routes, event.routes]
