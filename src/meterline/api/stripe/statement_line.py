"""A line of the statement, as a balance transaction; disputes show theirs whole."""

from meterline.api.stripe.json import Json, unix
from meterline.payment.statement import LineType, StatementLine

_CATEGORY: dict[LineType, str] = {
    "charge": "charge",
    "payment": "charge",
    "refund": "refund",
    "payment_refund": "refund",
    "refund_failure": "refund_failure",
    "payment_failure_refund": "charge_failure",
    "stripe_fee": "fee",
    "payout": "payout",
    "payout_failure": "payout_reversal",
    "payout_cancel": "payout_reversal",
    "other": "other_adjustment",
}


def render(line: StatementLine) -> Json:
    """The balance transaction object."""
    category = _CATEGORY.get(line.type) or ("dispute" if line.amount < 0 else "dispute_reversal")
    return {
        "id": line.id,
        "object": "balance_transaction",
        "amount": line.amount,
        "available_on": unix(line.available_on),
        "balance_type": "payments",
        "created": unix(line.created),
        "currency": line.currency,
        "description": line.description,
        "exchange_rate": None,
        "fee": line.fee,
        "fee_details": _fees(line),
        "net": line.net,
        "reporting_category": category,
        "source": line.source,
        "status": "available",
        "type": "adjustment" if line.type == "other" else line.type,
    }


def _fees(line: StatementLine) -> list[Json]:
    if not line.fee:
        return []
    fee = {"amount": line.fee, "application": None, "currency": line.currency}
    return [fee | {"description": "Processing fees", "type": "stripe_fee"}]
