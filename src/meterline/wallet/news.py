"""What there is to tell of a wallet, besides its balance: purchases, automatic ones, what ended by itself."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, TypeAlias

Topic: TypeAlias = Literal[
    "topup.created",
    "topup.succeeded",
    "topup.failed",
    "autotopup.attempted",
    "autotopup.blocked",
    "autotopup.failed",
    "grant.expiring",
    "grant.expired",
    "hold.expired",
]

SubscriptionTopic: TypeAlias = Literal[
    "subscription.scheduled",
    "subscription.activated",
    "subscription.action_required",
    "subscription.deactivated",
]

UNREMARKABLE = frozenset({"disabled", "above_threshold", "in_flight"})
"""Reasons not to recharge that nobody has to hear of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletNews:
    """One thing that happened to what `id` names: a top-up, a grant, a hold, or (for automatic ones) the asset.

    `amount` is of `asset`; `price` in minor units of `currency`, null where nothing is paid. `reason` says why
    something was blocked or failed, `again_at` when it is looked at again, `expires_at` when a grant ends. Instants are
    the customer's, UTC.
    """

    environment: str
    id: str
    customer: str
    topic: Topic
    asset: str
    amount: Decimal | None = None
    price: int | None = None
    currency: str | None = None
    reason: str | None = None
    again_at: datetime | None = None
    expires_at: datetime | None = None
    created: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionNews:
    """What became of a wallet's subscription. `products` are (id, code, version); instants are the customer's, UTC."""

    environment: str
    id: str
    customer: str
    status: str
    products: tuple[tuple[str, str, int], ...]
    started_at: datetime
    renews_at: datetime | None
    created: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionNews:
    """Value that was moved by hand under the caller's `id`. `amount` is negative for what was taken.

    `type` is what it was: an adjustment, a fee, a grant, a refund. Instants are the customer's, UTC.
    """

    environment: str
    id: str
    customer: str
    type: str
    asset: str
    amount: Decimal
    available: Decimal
    description: str | None
    created: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionPublished:
    """A version of a product that can be subscribed to from now on; `id` is the product's."""

    environment: str
    id: str
    code: str
    version: int
    is_default: bool
    created: datetime
