"""What the invoice calls accept.

Parameters of features that are not offered are accepted in their neutral form and refused otherwise.
"""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from meterline.api.stripe.customer_params import CustomFieldParams
from meterline.api.stripe.discount_params import Discounts, asked_discounts
from meterline.api.stripe.neutral import AutomaticTaxParams, NoAccount, NoSource, NoTaxId, Off
from meterline.api.stripe.params import (
    Bool,
    Currency,
    DecimalText,
    Hash,
    Instant,
    InstantFilter,
    Int,
    List,
    ListParams,
    Metadata,
    Natural,
    Params,
    Text,
    Unset,
)
from meterline.customer import CustomField
from meterline.invoice.item import MOST
from meterline.invoice.model import Rendering
from meterline.money import check_currency
from meterline.period import Period
from meterline.refusal import Refusal
from meterline.usecase.create_invoice_item import AskedAmount, AskedItem, PriceData

Amount = Annotated[Int, Field(ge=-MOST, le=MOST)]
UnitAmount = Annotated[DecimalText, Field(ge=-MOST, le=MOST)]
Quantity = Annotated[Natural, Field(le=MOST)]
QuantityDecimal = Annotated[DecimalText, Field(ge=0, le=MOST)]
Description = Annotated[Text, Field(max_length=1500)]
Days = Annotated[Natural, Field(le=3650)]
CollectionMethod = Literal["charge_automatically", "send_invoice"]
TaxBehavior = Literal["exclusive", "inclusive", "unspecified"]
Number = Annotated[Text, Field(max_length=26)]
Descriptor = Annotated[Text, Field(max_length=22)]


class IssuerParams(Hash):
    account: NoAccount = None
    type: Literal["self"]


class PaymentSettingsParams(Hash):
    default_mandate: Off = None
    payment_method_options: Off = None
    payment_method_types: Unset[List[Literal["card"]]] = None


class PdfParams(Hash):
    page_size: Literal["a4", "auto", "letter"] | None = None


class RenderingParams(Hash):
    amount_tax_display: Unset[Literal["exclude_tax", "include_inclusive_tax"]] = None
    pdf: PdfParams | None = None
    template: Off = None
    template_version: Off = None

    def rendering(self) -> Rendering:
        """How the invoice is to be drawn."""
        size = None if self.pdf is None else self.pdf.page_size
        return Rendering(amount_tax_display=self.amount_tax_display, page_size=size)


class InvoiceFields(Params):
    """What create and update have in common."""

    account_tax_ids: NoTaxId = None
    application_fee_amount: Off = None
    auto_advance: Bool | None = None
    automatic_tax: AutomaticTaxParams | None = None
    automatically_finalizes_at: Instant | None = None
    collection_method: CollectionMethod | None = None
    custom_fields: Unset[Annotated[List[CustomFieldParams], Field(max_length=4)]] = None
    days_until_due: Days | None = None
    default_payment_method: Unset[Text] = None
    default_source: NoSource = None
    default_tax_rates: List[Text] | None = None
    description: Unset[Description] = None
    discounts: Discounts = []
    due_date: Instant | None = None
    effective_at: Unset[Instant] = None
    footer: Unset[Text] = None
    issuer: IssuerParams | None = None
    metadata: Metadata = {}
    number: Unset[Number] = None
    on_behalf_of: NoAccount = None
    payment_settings: PaymentSettingsParams | None = None
    rendering: RenderingParams | None = None
    shipping_cost: Off = None
    shipping_details: Off = None
    statement_descriptor: Unset[Descriptor] = None
    transfer_data: Off = None

    def own_fields(self) -> tuple[CustomField, ...] | None:
        """The custom fields asked for; None for none."""
        fields = self.custom_fields or []
        return tuple(CustomField(name=each.name, value=each.value) for each in fields) or None

    def method_types(self) -> tuple[str, ...] | None:
        """The kinds of payment method allowed; None for the default."""
        types = self.payment_settings and self.payment_settings.payment_method_types
        return tuple(types) if types else None


class InvoiceCreate(InvoiceFields):
    currency: Currency | None = None
    customer: Text | None = None
    customer_account: NoAccount = None
    from_invoice: Off = None
    pending_invoice_items_behavior: Literal["exclude", "include"] = "exclude"
    subscription: Text | None = None


class InvoiceUpdate(InvoiceFields):
    """As `InvoiceFields`."""


class InvoiceList(ListParams):
    collection_method: CollectionMethod | None = None
    created: InstantFilter | None = None
    customer: Text | None = None
    customer_account: NoAccount = None
    due_date: InstantFilter | None = None
    status: Literal["draft", "open", "void", "paid", "uncollectible"] | None = None
    subscription: Text | None = None


class Finalize(Params):
    auto_advance: Bool | None = None


class Pay(Params):
    forgive: Bool = False
    mandate: Off = None
    off_session: Bool = True
    paid_out_of_band: Bool = False
    payment_method: Text | None = None
    source: NoSource = None


class PeriodParams(Hash):
    end: Instant
    start: Instant

    def period(self, at: str) -> Period:
        """The period; refuses one that ends before it starts."""
        if self.end < self.start:
            raise Refusal(f"`{at}[end]` must not be before `{at}[start]`.", param=f"{at}[end]")
        return Period(start=self.start, end=self.end)


class OneTimePriceData(Hash):
    currency: Currency
    product: Text
    tax_behavior: TaxBehavior = "unspecified"
    unit_amount: Amount | None = None
    unit_amount_decimal: UnitAmount | None = None

    def data(self, at: str) -> PriceData:
        """The made-up price; exactly one of its two amounts is said."""
        if (self.unit_amount is None) == (self.unit_amount_decimal is None):
            raise Refusal(
                "Prices require an `unit_amount` or `unit_amount_decimal` parameter to be set.",
                param=f"{at}[unit_amount]",
            )
        unit = self.unit_amount_decimal if self.unit_amount is None else Decimal(self.unit_amount)
        assert unit is not None
        return PriceData(currency=self.currency, product=self.product, unit_amount=unit, tax_behavior=self.tax_behavior)


class PricingParams(Hash):
    price: Text | None = None


class AmountFields(Hash):
    """How much a line or an item is, what for, and when."""

    amount: Amount | None = None
    description: Unset[Description] = None
    discountable: Bool | None = None
    discounts: Discounts = []
    metadata: Metadata = {}
    period: PeriodParams | None = None
    price_data: OneTimePriceData | None = None
    pricing: PricingParams | None = None
    quantity: Quantity | None = None
    quantity_decimal: QuantityDecimal | None = None
    tax_rates: List[Text] | None = None

    def asked(
        self, metadata: dict[str, str], *, at: str = "", currency: str | None = None, unit: Decimal | None = None
    ) -> AskedItem:
        """The item asked for. `at` is the hash that these stand in (`lines[0]`), `unit` a unit amount."""
        return asked_item(self, metadata, at=at, currency=currency, unit=unit)


def asked_item(
    said: "AmountFields | ItemFields | LineUpdate",
    metadata: dict[str, str],
    *,
    at: str = "",
    currency: str | None = None,
    unit: Decimal | None = None,
) -> AskedItem:
    """The item that these parameters ask for; `metadata` is it as it shall be."""
    if said.quantity is not None and said.quantity_decimal is not None:
        raise Refusal(
            "You may only specify one of these parameters: quantity, quantity_decimal.",
            param=within(at, "quantity_decimal"),
        )
    quantity = said.quantity_decimal if said.quantity is None else Decimal(said.quantity)
    return AskedItem(
        amount=AskedAmount(
            param=at,
            amount=said.amount,
            price=None if said.pricing is None else said.pricing.price,
            price_data=None if said.price_data is None else said.price_data.data(within(at, "price_data")),
            unit_amount=unit,
            quantity=quantity,
        ),
        currency=currency and check_currency(currency, param=within(at, "currency")),
        description=said.description,
        discountable=said.discountable,
        discounts=asked_discounts(said.discounts, at=within(at, "discounts")) if said.sent("discounts") else None,
        period=None if said.period is None else said.period.period(within(at, "period")),
        tax_rates=said.tax_rates,
        tax_behavior=(isinstance(said, ItemFields) and said.tax_behavior) or "unspecified",
        metadata=metadata,
    )


def within(at: str, name: str) -> str:
    """`name` as a member of the hash `at`, or at the top."""
    return f"{at}[{name}]" if at else name


class ItemFields(Params):
    """What creating and updating an invoice item have in common."""

    amount: Amount | None = None
    description: Unset[Description] = None
    discountable: Bool | None = None
    discounts: Discounts = []
    metadata: Metadata = {}
    period: PeriodParams | None = None
    price_data: OneTimePriceData | None = None
    pricing: PricingParams | None = None
    quantity: Quantity | None = None
    quantity_decimal: QuantityDecimal | None = None
    tax_behavior: TaxBehavior | None = None
    tax_code: Off = None
    tax_rates: List[Text] | None = None
    unit_amount_decimal: UnitAmount | None = None


class ItemCreate(ItemFields):
    currency: Currency | None = None
    customer: Text | None = None
    customer_account: NoAccount = None
    invoice: Text | None = None
    subscription: Text | None = None


class ItemUpdate(ItemFields):
    invoicing_rules: Off = None


class ItemList(ListParams):
    created: InstantFilter | None = None
    customer: Text | None = None
    customer_account: NoAccount = None
    invoice: Text | None = None
    pending: Bool | None = None


class NewLine(AmountFields):
    invoice_item: Text | None = None
    tax_amounts: Off = None


class ChangedLine(AmountFields):
    id: Text
    tax_amounts: Off = None


class RemovedLine(Hash):
    behavior: Literal["delete", "unassign"]
    id: Text


class LineUpdate(Params):
    amount: Amount | None = None
    description: Unset[Description] = None
    discountable: Bool | None = None
    discounts: Discounts = []
    metadata: Metadata = {}
    period: PeriodParams | None = None
    price_data: OneTimePriceData | None = None
    pricing: PricingParams | None = None
    quantity: Quantity | None = None
    quantity_decimal: QuantityDecimal | None = None
    tax_amounts: Off = None
    tax_rates: List[Text] | None = None


class AddLines(Params):
    invoice_metadata: Metadata = {}
    lines: Annotated[List[NewLine], Field(min_length=1, max_length=250)]


class UpdateLines(Params):
    invoice_metadata: Metadata = {}
    lines: Annotated[List[ChangedLine], Field(min_length=1, max_length=250)]


class RemoveLines(Params):
    invoice_metadata: Metadata = {}
    lines: Annotated[List[RemovedLine], Field(min_length=1, max_length=250)]
