"""The chart of accounts. Each customer's books hold these, once per asset."""

from typing import Literal, TypeAlias, get_args

import msgspec

Kind: TypeAlias = Literal[
    "paid",
    "promotional",
    "held",
    "debt",
    "lent",
    "receivable",
    "customer_balance",
    "credit_paid",
    "credit_promotional",
    "revenue",
    "deferred",
    "refunds",
    "promo_expense",
    "breakage",
    "rounding",
    "tax",
    "bad_debt",
    "dispute",
    "fees",
    "clearing",
    "exchange",
]
"""What an account is for.

Owed to the customer: `paid` and `promotional` wallet value that is free to spend, `held` wallet value that a hold
has set aside, `customer_balance` (negative: the customer owes it on the next invoice), `credit_paid` and
`credit_promotional` billing credits that invoices will use.
Owed by the customer: `debt` of the wallet, `lent` (what open holds have borrowed from the overdraft; it is debt once
captured), `receivable` of invoices.
The house: `revenue`, `deferred` (billed, not yet earned), `refunds` (money given back that no credit note
explains), `promo_expense`, `breakage` (prepaid value that lapsed), `rounding`, `tax`, `bad_debt`, `dispute`
(money that banks took back), `fees` (what processors keep), `clearing` (with a processor, until it pays out),
`exchange` (between assets).
"""

KINDS: tuple[Kind, ...] = get_args(Kind)

DEBIT_NORMAL: frozenset[Kind] = frozenset(
    {"debt", "lent", "receivable", "refunds", "promo_expense", "bad_debt", "dispute", "fees", "clearing"}
)
"""Accounts whose usual balance is a debit: what the house has or has spent."""

WALLET: tuple[Kind, ...] = ("paid", "promotional", "held", "debt", "lent")
"""The accounts that make up a wallet."""


class Account(msgspec.Struct, frozen=True, order=True, gc=False):
    """One account of a customer's books. `detail` tells accounts of one kind apart: the processor of `clearing`,
    the other asset of `exchange`."""

    kind: Kind
    asset: str
    detail: str = ""

    def __post_init__(self) -> None:
        assert self.asset, "an account is kept in an asset"

    @property
    def name(self) -> str:
        """`clearing:stripe`, or the kind alone."""
        return f"{self.kind}:{self.detail}" if self.detail else self.kind


def named(name: str, asset: str) -> Account:
    """The account with that `name`. Raises ValueError for a kind that is not in the chart."""
    kind, _, detail = name.partition(":")
    for known in KINDS:
        if kind == known:
            return Account(known, asset, detail)
    raise ValueError(f"{kind!r} is not in the chart of accounts")
