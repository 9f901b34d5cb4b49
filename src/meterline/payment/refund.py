"""Money given back: never more than was taken."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from meterline.money import display
from meterline.payment.payment import Attempt
from meterline.refusal import Refusal
from meterline.wallet.taken import Taken

RefundReason = Literal["duplicate", "fraudulent", "requested_by_customer"]
RefundStatus = Literal["pending", "succeeded", "failed", "canceled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """A refund of a charge. `amount` is in minor units. While it is pending, no answer is known.

    `taken` is the value that left a wallet with it, where the charge paid for a top-up.
    """

    environment: str
    customer_id: UUID
    id: str
    customer: str | None
    charge: str
    payment: str
    payment_method: str
    processor: str
    amount: int
    currency: str
    created: datetime
    status: RefundStatus
    reason: RefundReason | None = None
    failure_reason: str | None = None
    taken: Taken | None = None
    balance_transaction: str | None = None
    failure_balance_transaction: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


def refundable(charge: Attempt, *, amount: int | None, param: str = "amount") -> int:
    """How much a refund of the charge gives back: `amount`, or all that is left. Refuses what was not taken.

    `param` is where the caller said the amount.
    """
    if charge.outcome != "succeeded" or not charge.captured:
        raise Refusal(f"Charge {charge.id} has not been captured and so cannot be refunded.")
    if charge.disputed:
        raise Refusal(f"The charge {charge.id} has been charged back; cannot issue a refund.", code="charge_disputed")
    if charge.refundable == 0:
        raise Refusal(f"Charge {charge.id} has already been refunded.", code="charge_already_refunded")
    wanted = charge.refundable if amount is None else amount
    if wanted <= 0:
        raise Refusal("Invalid positive integer", code="parameter_invalid_integer", param=param)
    if wanted > charge.refundable:
        kind = "unrefunded amount on charge" if charge.amount_refunded else "charge amount"
        raise Refusal(
            f"Refund amount ({display(wanted, charge.currency)}) is greater than {kind}"
            f" ({display(charge.refundable, charge.currency)})",
            param=param,
        )
    return wanted
