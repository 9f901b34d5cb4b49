"""Every kind of due work there is."""

from meterline.worker import alert, checkout, credit, invoice, payment, subscription, usage, wallet
from meterline.worker.handler import Handlers

HANDLERS = Handlers(
    in_transaction={
        **subscription.HANDLERS,
        **invoice.HANDLERS,
        **credit.HANDLERS,
        **checkout.HANDLERS,
        **wallet.HANDLERS,
        **usage.HANDLERS,
        **alert.HANDLERS,
    },
    in_stages={**payment.STAGED, **usage.STAGED},
    in_chunks=frozenset({*subscription.CHUNKED, *invoice.HANDLERS}),
)
"""What a worker is started with."""
