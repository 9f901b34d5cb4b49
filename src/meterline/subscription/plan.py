"""What falls due for a subscription, and when: everything that happens to it later without anybody asking."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from meterline.subscription.model import Subscription
from meterline.subscription.status import PAYMENT_WINDOW

TRIAL_NOTICE = timedelta(days=3)

Kind = Literal["renewal", "cancellation", "trial_notice", "first_payment_expiry", "collection_resumption"]
KINDS: tuple[Kind, ...] = (
    "renewal",
    "cancellation",
    "trial_notice",
    "first_payment_expiry",
    "collection_resumption",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One thing that falls due at an instant."""

    kind: Kind
    at: datetime


def planned(subscription: Subscription, *, now: datetime) -> tuple[Planned, ...]:
    """All that is planned for the subscription as it is now.

    A planned end that comes with or before the next boundary takes the renewal's place: the last usage is
    billed by the ending. What is paused or waits for its first payment is not renewed.
    """
    if subscription.ended:
        return ()
    plans: list[Planned] = []
    end = subscription.cancel_at
    if subscription.status == "incomplete":
        plans.append(Planned(kind="first_payment_expiry", at=subscription.created + PAYMENT_WINDOW))
    if subscription.status != "paused" and (end is None or end > subscription.next_boundary):
        plans.append(Planned(kind="renewal", at=subscription.next_boundary))
    if end is not None:
        plans.append(Planned(kind="cancellation", at=end))
    if subscription.status == "trialing" and subscription.trial_end is not None:
        notice = subscription.trial_end - TRIAL_NOTICE
        if notice > now:
            plans.append(Planned(kind="trial_notice", at=notice))
    pause = subscription.pause_collection
    if pause is not None and pause.resumes_at is not None:
        plans.append(Planned(kind="collection_resumption", at=pause.resumes_at))
    return tuple(plans)
