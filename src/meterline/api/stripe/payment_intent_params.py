"""What the calls on payment intents accept."""

from typing import Annotated, Literal

from pydantic import Field

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
from meterline.invoice.item import MOST

Amount = Annotated[Natural, Field(le=MOST)]
CaptureMethodParam = Literal["automatic", "automatic_async", "manual"]
Future = Literal["off_session", "on_session"]
OnlyCard = List[Literal["card"]]
Description = Annotated[Text, Field(max_length=1000)]
Descriptor = Annotated[Text, Field(max_length=22)]


class AutomaticMethods(Hash):
    allow_redirects: Literal["always", "never"] = "always"
    enabled: Bool


class IntentCreate(Params):
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
    off_session: Bool = False
    payment_method: Text | None = None
    payment_method_types: OnlyCard = ["card"]
    receipt_email: Text | None = None
    return_url: Text | None = None
    setup_future_usage: Future | None = None
    statement_descriptor: Descriptor | None = None
    use_stripe_sdk: Bool = False


class IntentUpdate(Params):
    amount: Amount | None = None
    capture_method: CaptureMethodParam | None = None
    currency: Currency | None = None
    customer: Text | None = None
    description: Unset[Description] = None
    metadata: Metadata = {}
    payment_method: Unset[Text] = None
    payment_method_types: OnlyCard = ["card"]
    receipt_email: Unset[Text] = None
    setup_future_usage: Unset[Future] = None
    statement_descriptor: Unset[Descriptor] = None


class IntentConfirm(Params):
    capture_method: CaptureMethodParam | None = None
    error_on_requires_action: Bool = False
    off_session: Bool = False
    payment_method: Text | None = None
    payment_method_types: OnlyCard = ["card"]
    receipt_email: Unset[Text] = None
    return_url: Text | None = None
    setup_future_usage: Unset[Future] = None
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
