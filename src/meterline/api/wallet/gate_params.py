"""What calls at the gate are made of: in full, and quickly for what most of them are."""

from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from pydantic import Field, model_validator

from meterline.api.wallet.params import Asset, Id, NotNegative, Params, Positive, Text
from meterline.usecase.hold_funds import DEFAULT_TTL
from meterline.wallet.hold import LONGEST

Ttl = Annotated[int, Field(ge=1, le=int(LONGEST.total_seconds()))]


class About(Params):
    """Who, and what the call is: an amount of an asset, or usage of an event type."""

    customer_id: Id | None = None
    customer_external_id: Id | None = None
    asset: Asset | None = None
    amount: Positive | None = None
    event_type: Text | None = None
    volume_field: Text | None = None
    quantity: Positive = Decimal(1)
    dimensions: dict[str, str] = {}
    marks: Annotated[list[Text], Field(max_length=20)] = []
    subject: Text | None = None

    @model_validator(mode="after")
    def _either(self) -> "About":
        if (self.event_type is None) == (self.amount is None):
            raise ValueError("either event_type, or asset and amount, are required")
        if self.amount is not None and self.asset is None:
            raise ValueError("asset is required with amount")
        return self


class Authorize(About):
    id: Id
    ttl_s: Ttl = int(DEFAULT_TTL.total_seconds())
    policy: Literal["reject", "take_available", "overdraft"] = "reject"
    retryable: bool = False


class OfHold(Params):
    customer_id: Id | None = None
    customer_external_id: Id | None = None
    id: Id


class Capture(OfHold):
    capture_id: Id | None = None
    amount: NotNegative | None = None
    event_type: Text | None = None
    volume_field: Text | None = None
    quantity: NotNegative | None = None
    dimensions: dict[str, str] = {}
    final: bool = True

    @model_validator(mode="after")
    def _complete(self) -> "Capture":
        if (self.amount is None) == (self.quantity is None):
            raise ValueError("either amount or quantity is required")
        if self.quantity is not None and self.event_type is None:
            raise ValueError("event_type is required with quantity")
        if not self.final and self.capture_id is None:
            raise ValueError("capture_id is required unless the capture is final")
        return self


class Extend(OfHold):
    extension_id: Id
    amount: NotNegative = Decimal(0)
    ttl_s: Ttl | None = None


_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
_Ttl = Annotated[int, msgspec.Meta(ge=1, le=int(LONGEST.total_seconds()))]


class QuickOfHold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """`OfHold` as it is mostly written. The quick shapes take less than the others do, and the same of it."""

    customer_id: _Id
    id: _Id

    @property
    def customer_external_id(self) -> None:
        """The customer is named by its id."""


class QuickAuthorize(QuickOfHold, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """An authorization of an amount."""

    asset: Annotated[str, msgspec.Meta(pattern=r"^[A-Z][A-Z0-9_.-]{1,20}[A-Z0-9]\Z")]
    amount: msgspec.Raw
    marks: Annotated[list[_Text], msgspec.Meta(max_length=20)] = []
    subject: _Text | None = None
    ttl_s: _Ttl = int(DEFAULT_TTL.total_seconds())
    policy: Literal["reject", "take_available", "overdraft"] = "reject"
    retryable: bool = False


class QuickCapture(QuickOfHold, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A capture of an amount."""

    amount: msgspec.Raw
    capture_id: _Id | None = None
    final: bool = True


class QuickExtend(QuickOfHold, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """An extension by an amount."""

    extension_id: _Id
    amount: msgspec.Raw
    ttl_s: _Ttl | None = None
