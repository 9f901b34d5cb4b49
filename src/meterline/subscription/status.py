"""The status machine: what payments, trials and endings make of a subscription."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal, assert_never

from meterline.subscription.model import Paused, Status, Subscription

PAYMENT_WINDOW = timedelta(hours=23)
"""How long an `incomplete` subscription waits for its first payment."""

Standing = Literal["draft", "open", "failed", "overdue", "paid", "uncollectible", "void"]
"""How the newest invoice stands: `failed` is open after a failed attempt, `overdue` open past its due date."""


def after_invoice(subscription: Subscription, *, standing: Standing, now: datetime) -> Subscription:
    """The subscription after its newest invoice that is not void came to stand so.

    `void` means that every invoice was voided. What was never paid for stays `incomplete`; a paused or
    ended subscription is left alone: paying an old invoice does not bring it back.
    """
    if subscription.ended or subscription.status == "paused":
        return subscription
    match standing:
        case "paid" | "uncollectible":
            return replace(subscription, status=running(subscription, now=now))
        case "failed" | "overdue":
            return replace(subscription, status=_unpaid(subscription.status))
        case "void":
            status = subscription.status
            settled = status if status == "incomplete" else running(subscription, now=now)
            return replace(subscription, status=settled)
        case "draft" | "open":
            return subscription
        case _:
            assert_never(standing)


def running(subscription: Subscription, *, now: datetime) -> Status:
    """The status of a subscription that owes nothing: on trial or active."""
    on_trial = subscription.trial_end is not None and subscription.trial_end > now
    return "trialing" if on_trial else "active"


def _unpaid(status: Status) -> Status:
    return status if status in ("incomplete", "unpaid") else "past_due"


def expire_incomplete(subscription: Subscription, *, now: datetime) -> Subscription:
    """The first payment did not come in time: the end. Its invoice is to be voided."""
    assert subscription.status == "incomplete"
    return replace(subscription, status="incomplete_expired", ended_at=now)


def end_trial_without_payment(subscription: Subscription, *, payable: bool, now: datetime) -> Subscription | None:
    """What becomes of a subscription whose trial ends with nothing to pay with; None: it goes on.

    Paused: no periods and no invoices until it is resumed.
    """
    outcome = subscription.trial_settings.missing_payment_method
    if payable or outcome == "create_invoice" or subscription.collection_method == "send_invoice":
        return None
    if outcome == "pause":
        paused = Paused(transitioned_at=now, type="trial_end_without_payment_method")
        return replace(subscription, status="paused", paused=paused)
    return replace(subscription, status="canceled", canceled_at=now, ended_at=now)


def give_up_collection(
    subscription: Subscription, *, outcome: Literal["canceled", "unpaid", "past_due"], now: datetime
) -> Subscription:
    """Every retry failed: the subscription ends, or stays without being collected, or waits."""
    if subscription.ended:
        return subscription
    if outcome == "canceled":
        cancellation = replace(subscription.cancellation, reason="payment_failed")
        return replace(subscription, status="canceled", canceled_at=now, ended_at=now, cancellation=cancellation)
    return replace(subscription, status=outcome)
