"""What the credit note calls accept."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from meterline.api.stripe.neutral import NoAccount, Off
from meterline.api.stripe.params import (
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
    merge_metadata,
)
from meterline.invoice.creditable import AskedLine
from meterline.invoice.item import MOST
from meterline.invoice.model import MAX_LINES
from meterline.refusal import Refusal
from meterline.usecase.create_credit_note import AskedNote, AskedRefund

Amount = Annotated[Natural, Field(le=MOST)]
UnitAmount = Annotated[DecimalText, Field(ge=0, le=MOST)]


class LineParams(Hash):
    amount: Amount | None = None
    description: Text | None = None
    invoice_line_item: Text | None = None
    metadata: Metadata = {}
    quantity: Annotated[Int, Field(ge=1, le=MOST)] | None = None
    tax_amounts: Off = None
    tax_rates: Unset[List[Text]] = None
    type: Literal["custom_line_item", "invoice_line_item"]
    unit_amount: Amount | None = None
    unit_amount_decimal: UnitAmount | None = None

    def asked(self, at: str) -> AskedLine:
        """The line as it was asked for at `lines[0]`. Refuses members that its type has no use for."""
        if self.type == "invoice_line_item":
            self._require_none(at, "description", "tax_rates", "unit_amount", "unit_amount_decimal")
            self._require_one(at, "amount", "quantity")
            if self.invoice_line_item is None:
                param = f"{at}[invoice_line_item]"
                raise Refusal(f"Missing required param: {param}.", code="parameter_missing", param=param)
        else:
            self._require_none(at, "amount", "invoice_line_item")
            self._require_one(at, "unit_amount", "unit_amount_decimal")
        unit = self.unit_amount_decimal if self.unit_amount is None else Decimal(self.unit_amount)
        return AskedLine(
            param=at,
            invoice_line=self.invoice_line_item,
            amount=self.amount,
            quantity=self.quantity,
            unit_amount=unit,
            description=self.description,
            tax_rates=tuple(self.tax_rates or ()),
            metadata=merge_metadata({}, self.metadata),
        )

    def _require_none(self, at: str, *names: str) -> None:
        """Refuses what belongs to a line of the other type."""
        for name in names:
            if self.sent(name):
                raise Refusal(f"You cannot specify `{name}` for a line of type `{self.type}`.", param=f"{at}[{name}]")

    def _require_one(self, at: str, first: str, second: str) -> None:
        if self.sent(first) and self.sent(second):
            raise Refusal(f"You may only specify one of these parameters: {first}, {second}.", param=f"{at}[{second}]")


class RefundParams(Hash):
    amount_refunded: Amount | None = None
    payment_record_refund: Off = None
    refund: Text | None = None
    type: Literal["refund"] = "refund"


class CreditNoteCreate(Params):
    amount: Amount | None = None
    credit_amount: Amount = 0
    effective_at: Instant | None = None
    email_type: Literal["credit_note", "none"] = "credit_note"
    invoice: Text
    lines: Annotated[List[LineParams], Field(max_length=MAX_LINES)] = []
    memo: Text | None = None
    metadata: Metadata = {}
    out_of_band_amount: Amount = 0
    reason: Literal["duplicate", "fraudulent", "order_change", "product_unsatisfactory"] | None = None
    refund_amount: Amount = 0
    refunds: Annotated[List[RefundParams], Field(max_length=20)] = []
    shipping_cost: Off = None

    def asked(self) -> AskedNote:
        """The note as it was asked for."""
        return AskedNote(
            amount=self.amount,
            lines=[each.asked(f"lines[{place}]") for place, each in enumerate(self.lines)],
            refund_amount=self.refund_amount,
            credit_amount=self.credit_amount,
            out_of_band_amount=self.out_of_band_amount,
            refunds=[_refund(each, f"refunds[{place}]") for place, each in enumerate(self.refunds)],
            reason=self.reason,
            memo=self.memo,
            effective_at=self.effective_at,
            metadata=merge_metadata({}, self.metadata),
        )


def _refund(asked: RefundParams, at: str) -> AskedRefund:
    if asked.refund is None:
        raise Refusal(f"Missing required param: {at}[refund].", code="parameter_missing", param=f"{at}[refund]")
    return AskedRefund(param=f"{at}[refund]", refund=asked.refund, amount=asked.amount_refunded)


class CreditNotePreviewLines(CreditNoteCreate, ListParams):
    """What a note is asked for with, and a page of its lines."""


class CreditNoteUpdate(Params):
    memo: Unset[Text] = None
    metadata: Metadata = {}


class CreditNoteList(ListParams):
    created: InstantFilter | None = None
    customer: Text | None = None
    customer_account: NoAccount = None
    invoice: Text | None = None
