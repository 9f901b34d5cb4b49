"""What the payment method calls accept. Cards are taken; other kinds of method are refused by name."""

from typing import Annotated, Literal

from pydantic import Field

from meterline.api.stripe.neutral import NoAccount, Off
from meterline.api.stripe.params import Hash, Int, ListParams, Metadata, Params, Text, Unset
from meterline.refusal import Refusal

AllowRedisplay = Literal["always", "limited", "unspecified"]
Kind = Annotated[Text, Field(max_length=40)]
Detail = Annotated[Text, Field(max_length=500)]


class AddressParams(Hash):
    city: Unset[Detail] = None
    country: Unset[Detail] = None
    line1: Unset[Detail] = None
    line2: Unset[Detail] = None
    postal_code: Unset[Detail] = None
    state: Unset[Detail] = None


class BillingDetailsParams(Hash):
    address: Unset[AddressParams] = None
    email: Unset[Detail] = None
    name: Unset[Detail] = None
    phone: Unset[Detail] = None
    tax_id: Unset[Detail] = None


class NetworksParams(Hash):
    preferred: Unset[Literal["cartes_bancaires", "mastercard", "visa"]] = None


class CardParams(Hash):
    cvc: Annotated[Text, Field(max_length=4)] | None = None
    exp_month: Int | None = None
    exp_year: Int | None = None
    networks: NetworksParams | None = None
    number: Annotated[Text, Field(max_length=30)] | None = None
    token: Text | None = None


class CardUpdate(Hash):
    exp_month: Annotated[Int, Field(ge=1, le=12)] | None = None
    exp_year: Annotated[Int, Field(ge=2000, le=2100)] | None = None
    networks: NetworksParams | None = None


class OtherKinds(Params):
    """The kinds of payment method that Stripe has and this server does not take."""

    acss_debit: Off = None
    affirm: Off = None
    afterpay_clearpay: Off = None
    alipay: Off = None
    alma: Off = None
    amazon_pay: Off = None
    au_becs_debit: Off = None
    bacs_debit: Off = None
    bancontact: Off = None
    billie: Off = None
    bizum: Off = None
    blik: Off = None
    boleto: Off = None
    cashapp: Off = None
    crypto: Off = None
    custom: Off = None
    customer_balance: Off = None
    eps: Off = None
    fpx: Off = None
    giropay: Off = None
    grabpay: Off = None
    ideal: Off = None
    interac_present: Off = None
    kakao_pay: Off = None
    klarna: Off = None
    konbini: Off = None
    kr_card: Off = None
    link: Off = None
    mb_way: Off = None
    mobilepay: Off = None
    multibanco: Off = None
    naver_pay: Off = None
    nz_bank_account: Off = None
    oxxo: Off = None
    p24: Off = None
    pay_by_bank: Off = None
    payco: Off = None
    paynow: Off = None
    paypal: Off = None
    paypay: Off = None
    payto: Off = None
    pix: Off = None
    promptpay: Off = None
    revolut_pay: Off = None
    samsung_pay: Off = None
    satispay: Off = None
    scalapay: Off = None
    sepa_debit: Off = None
    sequra: Off = None
    sofort: Off = None
    sunbit: Off = None
    swish: Off = None
    twint: Off = None
    upi: Off = None
    us_bank_account: Off = None
    wechat_pay: Off = None
    zip: Off = None


class CardGiven(OtherKinds):
    """A card as a client gives it."""

    allow_redisplay: AllowRedisplay | None = None
    billing_details: BillingDetailsParams | None = None
    card: CardParams | None = None
    metadata: Metadata = {}


class MethodCreate(CardGiven):
    customer: NoAccount = None
    payment_method: NoAccount = None
    radar_options: Off = None
    type: Kind | None = None

    def require_card(self) -> None:
        """Refuses any kind of method but a card."""
        if self.type not in (None, "card"):
            raise Refusal(
                f'The payment method type "{self.type}" is invalid. This server takes payments by card.',
                param="type",
            )


class MethodUpdate(Params):
    allow_redisplay: AllowRedisplay | None = None
    billing_details: BillingDetailsParams | None = None
    card: CardUpdate | None = None
    metadata: Metadata = {}
    us_bank_account: Off = None


class Attach(Params):
    customer: Text | None = None
    customer_account: NoAccount = None


class Detach(Params):
    """Nothing but `expand`."""


class CustomerMethodList(ListParams):
    allow_redisplay: AllowRedisplay | None = None
    type: Kind | None = None


class MethodList(CustomerMethodList):
    customer: Text | None = None
    customer_account: NoAccount = None
