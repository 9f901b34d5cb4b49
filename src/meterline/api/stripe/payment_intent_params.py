"""What the calls on payment intents accept."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from meterline.api.stripe.customer_params import Email, ShippingParams
from meterline.api.stripe.json import Json
from meterline.api.stripe.neutral import Off
from meterline.api.stripe.params import (
    Bool,
    Currency,
    Hash,
    InstantFilter,
    List,
    ListParams,
    Metadata,
    Natural,
    Params,
    Text,
    Unset,
)
from meterline.api.stripe.payment_method_params import CardGiven
from meterline.api.stripe.version import accepted_before, before
from meterline.invoice.item import MOST

Amount = Annotated[Natural, Field(le=MOST)]
CaptureMethodParam = Literal["automatic", "automatic_async", "manual"]
Future = Literal["off_session", "on_session"]
OnlyCard = List[Literal["card"]]
Description = Annotated[Text, Field(max_length=1000)]


def _descriptor(value: str) -> str:
    if set(value) & set("<>\\'\"*"):
        raise PydanticCustomError("descriptor", "The statement descriptor may not contain <, >, \\, ', \", or *.")
    if not any(letter.isalpha() for letter in value):
        raise PydanticCustomError("descriptor", "The statement descriptor must contain at least one letter.")
    return value


def _not_card(value: list[str]) -> list[str]:
    if "card" in value:
        raise PydanticCustomError("types", "This server takes payments by card, which cannot be excluded.")
    return value


def _off_session(value: object) -> object:
    return "true" if value in ("one_off", "recurring") else value


Descriptor = Annotated[Text, Field(max_length=22), AfterValidator(_descriptor)]
OtherTypes = Annotated[List[Text], AfterValidator(_not_card)]
"""Kinds of method that are not to be used; none of them is taken anyway."""
OffSession = Annotated[Bool, BeforeValidator(_off_session)]
"""Whether the customer is away. Stripe's words for how often they are charged so count as yes."""


class AutomaticMethods(Hash):
    allow_redirects: Literal["always", "never"] = "always"
    enabled: Bool


class MethodData(CardGiven):
    """A card given with an intent, in place of a method that was made before."""

    radar_options: Off = None
    type: Literal["card"]


class MethodChoice(Params):
    """With what an intent may be paid or set up: cards."""

    allowed_payment_method_types: OnlyCard = ["card"]
    excluded_payment_method_types: Unset[OtherTypes] = None
    payment_method_data: MethodData | None = None


@accepted_before("2026-09-30", MethodChoice)
def types_by_their_old_name(raw: dict[str, Any]) -> None:
    """`payment_method_types`, as it was called before endive."""
    if "payment_method_types" in raw:
        raw["allowed_payment_method_types"] = raw.pop("payment_method_types")


@before("2026-09-30", "payment_intent")
@before("2026-09-30", "setup_intent")
def types_once(intent: Json) -> None:
    """Before endive there was `payment_method_types` alone."""
    intent.pop("allowed_payment_method_types", None)


class IntentCreate(MethodChoice):
    amount: Amount | None = None
    automatic_payment_methods: AutomaticMethods | None = None
    capture_method: CaptureMethodParam = "automatic_async"
    confirm: Bool = False
    confirmation_method: Literal["automatic"] = "automatic"
    currency: Currency | None = None
    customer: Text | None = None
    description: Description | None = None
    error_on_requires_action: Bool = False
    metadata: Metadata = {}
    off_session: OffSession = False
    payment_method: Text | None = None
    receipt_email: Email | None = None
    return_url: Text | None = None
    setup_future_usage: Future | None = None
    shipping: ShippingParams | None = None
    statement_descriptor: Descriptor | None = None
    statement_descriptor_suffix: Descriptor | None = None
    use_stripe_sdk: Bool = False


class IntentUpdate(MethodChoice):
    amount: Amount | None = None
    capture_method: CaptureMethodParam | None = None
    currency: Currency | None = None
    customer: Text | None = None
    description: Unset[Description] = None
    metadata: Metadata = {}
    payment_method: Unset[Text] = None
    receipt_email: Unset[Email] = None
    setup_future_usage: Unset[Future] = None
    shipping: Unset[ShippingParams] = None
    statement_descriptor: Unset[Descriptor] = None
    statement_descriptor_suffix: Unset[Descriptor] = None


class IntentConfirm(MethodChoice):
    capture_method: CaptureMethodParam | None = None
    error_on_requires_action: Bool = False
    off_session: OffSession = False
    payment_method: Text | None = None
    receipt_email: Unset[Email] = None
    return_url: Text | None = None
    setup_future_usage: Unset[Future] = None
    shipping: Unset[ShippingParams] = None
    use_stripe_sdk: Bool = False


class IntentCapture(Params):
    amount_to_capture: Annotated[Natural, Field(gt=0)] | None = None
    final_capture: Bool = True
    metadata: Metadata = {}


class IntentCancel(Params):
    cancellation_reason: Literal["abandoned", "duplicate", "fraudulent", "requested_by_customer"] | None = None


class IntentList(ListParams):
    created: InstantFilter | None = None
    customer: Text | None = None
