"""The journal in beancount's language, so that books made here can be checked by a program we did not write.

Beancount counts debits as positive. Transactions carry the day they were booked on; after the last of them, every
account is asserted to stand where our maintained balances say.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from meterline.ledger.account import Account, Kind
from meterline.ledger.audit import Row
from meterline.money import subtract

_ROOT: Mapping[Kind, str] = {
    "paid": "Liabilities:Wallet:Paid",
    "promotional": "Liabilities:Wallet:Promotional",
    "held": "Liabilities:Wallet:Held",
    "debt": "Assets:Wallet:Debt",
    "lent": "Assets:Wallet:Lent",
    "receivable": "Assets:Receivable",
    "customer_balance": "Liabilities:Customer-Balance",
    "credit_paid": "Liabilities:Credit:Paid",
    "credit_promotional": "Liabilities:Credit:Promotional",
    "revenue": "Income:Revenue",
    "deferred": "Liabilities:Deferred",
    "refunds": "Income:Refunds",
    "promo_expense": "Expenses:Promotion",
    "breakage": "Income:Breakage",
    "rounding": "Income:Rounding",
    "tax": "Liabilities:Tax",
    "bad_debt": "Expenses:Bad-Debt",
    "dispute": "Assets:Disputes",
    "fees": "Expenses:Processor-Fees",
    "clearing": "Assets:Clearing",
    "exchange": "Equity:Exchange",
}

FIRST_DAY = date(1970, 1, 1)


def account_name(account: Account, customer: str) -> str:
    """`Liabilities:Wallet:Paid:cus-…`, in the letters that beancount allows."""
    detail = f":{_component(account.detail)}" if account.detail else ""
    return f"{_ROOT[account.kind]}{detail}:{_component(customer)}"


def _component(text: str) -> str:
    """A part of an account's name: letters, digits and dashes, the first one upper case or a digit."""
    allowed = "".join(each if each.isascii() and each.isalnum() else "-" for each in text).lstrip("-")
    return (allowed[:1].upper() + allowed[1:]) or "X"


def header() -> Iterator[str]:
    """What the file begins with."""
    yield 'option "title" "Meterline"'
    # Twelve decimals are booked; beancount would otherwise forgive half of the last one that it saw.
    yield 'option "inferred_tolerance_default" "*:0"'


def opened(accounts: Iterable[Account], customer: str) -> Iterator[str]:
    """The directives that open a customer's accounts."""
    for name in sorted({account_name(account, customer) for account in accounts}):
        yield f"{FIRST_DAY.isoformat()} open {name}"


def told(rows: Iterable[Row], customer: str) -> Iterator[str]:
    """The rows of a customer's journal, in order, as transactions."""
    number: int | None = None
    for row in rows:
        if row.number != number:
            number = row.number
            yield ""
            yield f"{day(row.booked_at).isoformat()} * {_text(row.cause.kind)} {_text(row.cause.id)}"
            yield f"  business-at: {_text(row.business_at.astimezone(UTC).isoformat())}"
            yield f"  number: {row.number}"
        transfer = row.transfer
        asset, amount = transfer.debit.asset, _amount(transfer.amount)
        yield f"  {account_name(transfer.debit, customer)}  {amount} {asset}"
        yield f"  {account_name(transfer.credit, customer)}  -{amount} {asset}"


def asserted(balances: Mapping[Account, Decimal], customer: str, *, after: date) -> Iterator[str]:
    """That every account stands where the maintained balances say at the end of the day `after`."""
    sums: dict[tuple[str, str], Decimal] = {}
    for account, amount in balances.items():
        key = (account_name(account, customer), account.asset)
        sums[key] = subtract(sums.get(key, Decimal(0)), amount)
    morning = (after + timedelta(days=1)).isoformat()
    for (name, asset), amount in sorted(sums.items()):
        yield f"{morning} balance {name}  {_amount(amount)} {asset}"


def day(instant: datetime) -> date:
    """The UTC day of an instant."""
    return instant.astimezone(UTC).date()


def _amount(amount: Decimal) -> str:
    text = format(amount, "f").rstrip("0").rstrip(".") if "." in format(amount, "f") else format(amount, "f")
    return "0" if text in ("", "-0") else text


def _text(words: str) -> str:
    escaped = words.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
