"""What is sent to a webhook endpoint: in its own dialect."""

from meterline.api.stripe import event
from meterline.api.wallet import notice_view
from meterline.notice.endpoint import WebhookEndpoint
from meterline.store.notice import Notice


def payload(told: Notice, endpoint: WebhookEndpoint, waiting: int) -> bytes:
    """The body for an endpoint; `waiting` is how many endpoints do not have the notice yet."""
    if endpoint.payload == "wallet":
        return notice_view.body(told, live=endpoint.livemode)
    return event.payload(told, endpoint, waiting)
