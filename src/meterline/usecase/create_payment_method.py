"""Hand a card over to a processor and keep what may be kept of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.gateway.processor import CardDetails, Processor, Registered
from meterline.payment.method import BillingDetails, PaymentMethod
from meterline.payment.payment import Refused
from meterline.refusal import Declined, Missing, Refusal
from meterline.store import payment_method
from meterline.store.identifier import public
from meterline.usecase.collect_payment import PROCESSORS

LIVE = "live"
"""The environment where money is real."""


async def create_payment_method(
    tx: AsyncConnection,
    *,
    environment: str,
    details: CardDetails,
    now: datetime,
    billing_details: BillingDetails | None = None,
    allow_redisplay: Literal["always", "limited", "unspecified"] = "unspecified",
    metadata: Mapping[str, str] | None = None,
) -> PaymentMethod:
    """A new card, attached to nobody. Raises Declined for a card that cannot be one, Missing for a token."""
    processor = processor_of(environment)
    if processor.networked:
        raise Refusal(
            "Cards are not handed over here in live mode. Collect them with Stripe's own form, and attach the payment"
            " method by its id at Stripe (`pm_…`)."
        )
    if details.token is None:
        _check_expiry(details, now)
    answer = processor.register(details)
    if isinstance(answer, Refused):
        if answer.code == "resource_missing":
            raise Missing("token", details.token or "", param="card[token]")
        raise Declined(answer.message, code=answer.code, decline_code=answer.decline_code, param=_param(answer.code))
    return await keep(
        tx,
        environment=environment,
        processor=processor,
        registered=answer,
        now=now,
        billing_details=billing_details,
        allow_redisplay=allow_redisplay,
        metadata=metadata,
    )


async def keep(
    tx: AsyncConnection,
    *,
    environment: str,
    processor: Processor,
    registered: Registered,
    now: datetime,
    id: str | None = None,
    billing_details: BillingDetails | None = None,
    allow_redisplay: Literal["always", "limited", "unspecified"] = "unspecified",
    metadata: Mapping[str, str] | None = None,
) -> PaymentMethod:
    """Store a card that a processor has registered, under `id` where it has one already."""
    method = PaymentMethod(
        environment=environment,
        customer_id=payment_method.NOBODY,
        id=id or public("pm"),
        customer=None,
        created=now,
        type="card",
        card=registered.card,
        processor=processor.name,
        reference=registered.reference,
        billing_details=billing_details or BillingDetails(),
        allow_redisplay=allow_redisplay,
        metadata=dict(metadata or {}),
    )
    await payment_method.add(tx, method)
    return method


def processor_of(environment: str) -> Processor:
    """Who takes the cards of an environment. Refuses live where no processor is configured."""
    if environment == LIVE:
        if "stripe" in PROCESSORS:
            return PROCESSORS["stripe"]
        raise Refusal(
            "No payment processor is configured for live mode, so cards cannot be taken. Use a test key, or collect"
            " invoices outside and mark them as paid out of band."
        )
    return PROCESSORS["test"]


def _check_expiry(details: CardDetails, now: datetime) -> None:
    month, year = details.exp_month, details.exp_year
    if month is None or not 1 <= month <= 12:
        raise Declined("Your card's expiration month is invalid.", code="invalid_expiry_month", param="exp_month")
    whole = None if year is None else year + 2000 if year < 100 else year
    if whole is None or not (now.year, now.month) <= (whole, month) < (now.year + 50, 0):
        raise Declined("Your card's expiration year is invalid.", code="invalid_expiry_year", param="exp_year")
    if details.cvc is not None and not (details.cvc.isascii() and details.cvc.isdigit() and len(details.cvc) in (3, 4)):
        raise Declined("Your card's security code is invalid.", code="invalid_cvc", param="cvc")


def _param(code: str) -> str | None:
    return {"incorrect_number": "number", "incorrect_cvc": "cvc"}.get(code)
