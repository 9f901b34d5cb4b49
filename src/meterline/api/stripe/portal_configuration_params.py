"""The parameters of portal configurations."""

from typing import Annotated, Literal

from pydantic import Field

from meterline.api.stripe.neutral import Off
from meterline.api.stripe.params import Bool, Hash, Int, List, ListParams, Metadata, Params, Text, Unset
from meterline.customer.portal import CancellationFeedback, CustomerField

_MOST_PRODUCTS = 10

Headline = Annotated[Text, Field(max_length=60)]


class BusinessProfileParams(Hash):
    headline: Unset[Headline] = None
    privacy_policy_url: Unset[Text] = None
    terms_of_service_url: Unset[Text] = None


class DetailsParams(Hash):
    allowed_updates: List[CustomerField] = []
    enabled: Bool = False


class SwitchParams(Hash):
    """A feature that is on or off."""

    enabled: Bool = False


class CardsParams(SwitchParams):
    payment_method_configuration: Off = None


class ReasonParams(Hash):
    enabled: Bool = False
    feedback_options: Off = None
    options: List[CancellationFeedback] = []


class CancelParams(Hash):
    cancellation_reason: ReasonParams | None = None
    enabled: Bool = False
    mode: Literal["at_period_end", "immediately"] = "at_period_end"
    proration_behavior: Literal["create_prorations", "none"] = "none"


class QuantityParams(Hash):
    enabled: Bool
    maximum: Annotated[Int, Field(ge=1, le=999_999)] | None = None
    minimum: Annotated[Int, Field(ge=0, le=999_999)] = 0


class ProductParams(Hash):
    adjustable_quantity: QuantityParams | None = None
    prices: Annotated[List[Text], Field(min_length=1, max_length=100)]
    product: Text


class ScheduleParams(Hash):
    conditions: Off = None


class UpdateParams(Hash):
    billing_cycle_anchor: Literal["now", "unchanged"] | None = None
    default_allowed_updates: List[Literal["price", "quantity"]] = []
    enabled: Bool = False
    products: Annotated[List[ProductParams], Field(max_length=_MOST_PRODUCTS)] = []
    proration_behavior: Literal["always_invoice", "create_prorations", "none"] = "none"
    schedule_at_period_end: ScheduleParams | None = None
    trial_update_behavior: Literal["continue_trial", "end_trial"] = "end_trial"


class PauseParams(Hash):
    duration: Off = None
    enabled: Off = None


class FeaturesParams(Hash):
    customer_update: DetailsParams | None = None
    invoice_history: SwitchParams | None = None
    payment_method_update: CardsParams | None = None
    subscription_cancel: CancelParams | None = None
    subscription_pause: PauseParams | None = None
    subscription_update: UpdateParams | None = None


class LoginPageParams(Hash):
    enabled: Bool


class ConfigurationFields(Params):
    """What can be said when a configuration is created and when it is changed."""

    business_profile: BusinessProfileParams | None = None
    default_return_url: Unset[Text] = None
    login_page: LoginPageParams | None = None
    metadata: Metadata = {}
    name: Unset[Text] = None


class ConfigurationCreate(ConfigurationFields):
    features: FeaturesParams


class ConfigurationUpdate(ConfigurationFields):
    active: Bool | None = None
    features: FeaturesParams | None = None


class ConfigurationList(ListParams):
    active: Bool | None = None
    is_default: Bool | None = None
