"""The customer balance: money the customer owes (positive) or is owed (negative), carried between invoices."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from meterline.money import minimum_payment

BalanceReason = Literal[
    "adjustment",
    "applied_to_invoice",
    "credit_note",
    "initial",
    "invoice_overpaid",
    "invoice_too_large",
    "invoice_too_small",
    "migration",
    "unapplied_from_invoice",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceTransaction:
    """One change of a customer's balance: `ending_balance` is the balance after it. Minor units.

    A negative `amount` gives the customer credit, a positive one uses it up. `invoice` is the invoice that
    applied it, if one did.
    """

    environment: str
    customer_id: UUID
    id: str
    customer: str
    amount: int
    currency: str
    ending_balance: int
    type: BalanceReason
    created: datetime
    description: str | None = None
    invoice: str | None = None
    credit_note: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """How a total meets the customer balance: what is asked for now, and what stays on the balance.

    `amount_due + ending_balance == total + starting_balance`.
    """

    starting_balance: int
    ending_balance: int
    amount_due: int

    @property
    def applied(self) -> int:
        """The change of the balance: positive when credit was used, negative when credit was given."""
        return self.ending_balance - self.starting_balance


def settle(*, total: int, balance: int, currency: str) -> Settlement:
    """Put the balance and the total together: all of it is due, unless it is too little to collect or negative.

    Such an amount moves to the balance and rides with the next invoice.
    """
    owed = total + balance
    due = owed if owed >= minimum_payment(currency) else 0
    return Settlement(starting_balance=balance, ending_balance=owed - due, amount_due=due)
