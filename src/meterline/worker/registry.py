"""Every kind of due work there is."""

from meterline.worker import invoice, subscription
from meterline.worker.handler import Handlers

HANDLERS = Handlers(in_transaction={**subscription.HANDLERS, **invoice.HANDLERS}, in_stages={})
"""What a worker is started with."""
