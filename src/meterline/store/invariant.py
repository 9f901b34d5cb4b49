"""What must hold of the stored data at any time, each as one statement that finds where it does not.

A statement takes the environment ($1), now by the wall clock ($2), the currencies without ($3) and with three ($4)
decimals, and returns the violating rows; no row means that the invariant holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.money import CURRENCIES, minor_digits
from meterline.store.database import driver

SHOWN = 20
"""How many violating rows are shown of each invariant."""

_UNITS = "(CASE WHEN currency = ANY($3::text[]) THEN 1 WHEN currency = ANY($4::text[]) THEN 1000 ELSE 100 END)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """`holds` says in a sentence what is true as long as `statement` finds nothing."""

    name: str
    holds: str
    statement: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """How often an invariant is violated, and the first rows."""

    invariant: Invariant
    violations: int
    rows: Sequence[Mapping[str, Any]]


def _against_account(kind: str, objects: str) -> str:
    """Where an account of `kind` does not stand at what `objects` (customer_id, asset, amount) add up to."""
    return f"""
    SELECT coalesce(kept.customer_id, told.customer_id) AS customer_id, coalesce(kept.asset, told.asset) AS asset,
           coalesce(kept.posted, 0) AS in_the_books, coalesce(told.amount, 0) AS by_the_objects
      FROM (SELECT customer_id, asset, posted FROM ledger_account WHERE environment = $1 AND kind = '{kind}') AS kept
      FULL JOIN ({objects}) AS told ON told.customer_id = kept.customer_id AND told.asset = kept.asset
     WHERE coalesce(kept.posted, 0) <> coalesce(told.amount, 0)"""


_RECEIVABLE = f"""
    SELECT customer_id, upper(currency) AS asset, -sum(amount_remaining::numeric / {_UNITS}) AS amount
      FROM invoice WHERE environment = $1 AND status = 'open' GROUP BY 1, 2"""
_BALANCE = f"""
    SELECT customer_id, upper(currency) AS asset, -balance::numeric / {_UNITS} AS amount
      FROM customer WHERE environment = $1 AND currency IS NOT NULL"""


def _credits(category: str) -> str:
    return f"""
    SELECT customer_id, upper(currency) AS asset, sum(remaining::numeric / {_UNITS}) AS amount
      FROM credit_grant WHERE environment = $1 AND category = '{category}' GROUP BY 1, 2"""


_AT_PROCESSORS = f"""
    SELECT customer_id, 'clearing:' || processor AS kind, upper(currency) AS asset, sum(amount / {_UNITS}) AS amount
      FROM (SELECT customer_id, processor, currency, (amount - fee - paid_out)::numeric AS amount FROM statement_line
             WHERE environment = $1 AND type NOT IN ('payout', 'payout_failure', 'payout_cancel', 'other')
             UNION ALL
            SELECT customer_id, processor, currency, amount_captured FROM payment_attempt
             WHERE environment = $1 AND captured AND balance_transaction IS NULL
             UNION ALL
            SELECT customer_id, processor, currency, -amount FROM refund
             WHERE environment = $1 AND status = 'succeeded' AND balance_transaction IS NULL
             UNION ALL
            SELECT customer_id, processor, currency, amount FROM refund
             WHERE environment = $1 AND status = 'failed' AND balance_transaction IS NOT NULL
               AND failure_balance_transaction IS NULL
             UNION ALL
            SELECT customer_id, processor, currency,
                   CASE WHEN status IN ('needs_response', 'under_review', 'lost') THEN -amount ELSE 0 END
                   - coalesce((SELECT sum(line.amount) FROM statement_line AS line
                                WHERE line.customer_id = dispute.customer_id AND line.source = dispute.id), 0)
              FROM dispute WHERE environment = $1) AS moved
     GROUP BY 1, 2, 3"""
"""What is at the processors: what their statements say, and what they have not stated yet."""


INVARIANTS: tuple[Invariant, ...] = (
    Invariant(
        name="books_balanced",
        holds="The accounts of each customer's books add up to zero in each asset.",
        statement="""
    SELECT customer_id, asset, sum(posted) AS off_by FROM ledger_account WHERE environment = $1
     GROUP BY 1, 2 HAVING sum(posted) <> 0""",
    ),
    Invariant(
        name="balances_are_folds",
        holds="Every balance is the sum of its account's transfers.",
        statement="""
    SELECT coalesce(kept.customer_id, folded.customer_id) AS customer_id, coalesce(kept.kind, folded.kind) AS account,
           coalesce(kept.asset, folded.asset) AS asset, coalesce(kept.posted, 0) AS stands_at,
           coalesce(folded.amount, 0) AS sums_to
      FROM (SELECT customer_id, kind, asset, posted FROM ledger_account WHERE environment = $1) AS kept
      FULL JOIN (SELECT customer_id, side.kind, asset, sum(side.sign * amount) AS amount FROM ledger_transfer
                   CROSS JOIN LATERAL (VALUES (debit, -1), (credit, 1)) AS side (kind, sign)
                  WHERE environment = $1 GROUP BY 1, 2, 3) AS folded
        ON (folded.customer_id, folded.kind, folded.asset) = (kept.customer_id, kept.kind, kept.asset)
     WHERE coalesce(kept.posted, 0) <> coalesce(folded.amount, 0)""",
    ),
    Invariant(
        name="receivable_is_open_invoices",
        holds="What the books say a customer owes is what remains of their open invoices.",
        statement=_against_account("receivable", _RECEIVABLE),
    ),
    Invariant(
        name="customer_balances_booked",
        holds="Customer balances stand in the books as they stand on the customers.",
        statement=_against_account("customer_balance", _BALANCE),
    ),
    Invariant(
        name="paid_credits_booked",
        holds="Bought billing credits stand in the books as they stand on the grants.",
        statement=_against_account("credit_paid", _credits("paid")),
    ),
    Invariant(
        name="promotional_credits_booked",
        holds="Billing credits given away stand in the books as they stand on the grants.",
        statement=_against_account("credit_promotional", _credits("promotional")),
    ),
    Invariant(
        name="credit_grants_are_folds",
        holds="What remains of a billing credit grant is the sum of its transactions.",
        statement="""
    SELECT grants.customer_id, grants.id AS credit_grant, grants.remaining, coalesce(folded.amount, 0) AS sums_to
      FROM credit_grant AS grants
      LEFT JOIN (SELECT customer_id, "grant" AS id,
                        sum(CASE WHEN movement IN ('credits_granted', 'credits_application_invoice_voided')
                                 THEN amount ELSE -amount END) AS amount
                   FROM credit_transaction WHERE environment = $1 GROUP BY 1, 2) AS folded USING (customer_id, id)
     WHERE grants.environment = $1 AND grants.remaining <> coalesce(folded.amount, 0)""",
    ),
    Invariant(
        name="wallets_booked",
        holds="What remains of wallet grants stands in the books, account by account.",
        statement="""
    SELECT coalesce(kept.customer_id, told.customer_id) AS customer_id, coalesce(kept.kind, told.funding) AS account,
           coalesce(kept.asset, told.asset) AS asset, coalesce(kept.posted, 0) AS in_the_books,
           coalesce(told.amount, 0) AS by_the_grants
      FROM (SELECT customer_id, kind, asset, posted FROM ledger_account
             WHERE environment = $1 AND kind IN ('paid', 'promotional')) AS kept
      FULL JOIN (SELECT customer_id, funding, asset, sum(remaining) AS amount FROM wallet_grant
                  WHERE environment = $1 GROUP BY 1, 2, 3) AS told
        ON (told.customer_id, told.funding, told.asset) = (kept.customer_id, kept.kind, kept.asset)
     WHERE coalesce(kept.posted, 0) <> coalesce(told.amount, 0)""",
    ),
    Invariant(
        name="spending_by_day_booked",
        holds="What wallets spent by day sums up to what left them for revenue in the books.",
        statement="""
    SELECT coalesce(kept.customer_id, moved.customer_id) AS customer_id, coalesce(kept.asset, moved.asset) AS asset,
           coalesce(kept.amount, 0) AS by_the_days, coalesce(moved.amount, 0) AS in_the_books
      FROM (SELECT customer_id, asset, sum(amount) AS amount FROM wallet_spending
             WHERE environment = $1 GROUP BY 1, 2) AS kept
      FULL JOIN (SELECT customer_id, asset, sum(CASE credit WHEN 'revenue' THEN amount ELSE -amount END) AS amount
                   FROM ledger_transfer
                  WHERE environment = $1
                    AND ((credit = 'revenue' AND debit IN ('paid', 'promotional', 'held', 'debt', 'lent'))
                      OR (debit = 'revenue' AND credit IN ('paid', 'promotional', 'held', 'debt', 'lent')))
                  GROUP BY 1, 2) AS moved USING (customer_id, asset)
     WHERE coalesce(kept.amount, 0) <> coalesce(moved.amount, 0)""",
    ),
    Invariant(
        name="clearing_explained",
        holds="All money that payments took, and that refunds gave back, is in the books once, to the minor unit.",
        statement=f"""
    SELECT coalesce(told.customer_id, booked.customer_id) AS customer_id, coalesce(told.id, booked.id) AS id,
           coalesce(told.amount, 0) AS by_the_objects, coalesce(booked.amount, 0) AS in_the_books
      FROM (SELECT customer_id, id, amount_received::numeric / {_UNITS} AS amount FROM payment
             WHERE environment = $1 AND amount_received > 0
             UNION ALL
            SELECT customer_id, id, -amount::numeric / {_UNITS} FROM refund
             WHERE environment = $1 AND status = 'succeeded') AS told
      FULL JOIN (SELECT customer_id, cause_id AS id,
                        sum(CASE WHEN debit LIKE 'clearing:%' THEN amount WHEN credit LIKE 'clearing:%' THEN -amount
                                 ELSE 0 END) AS amount
                   FROM ledger_transfer
                  WHERE environment = $1 AND cause IN ('payment', 'refund', 'refund.failed') GROUP BY 1, 2) AS booked
        USING (customer_id, id)
     WHERE coalesce(told.amount, 0) <> coalesce(booked.amount, 0)""",
    ),
    Invariant(
        name="clearing_is_the_statement",
        holds="What the books say is at a processor is what its statement, and what is not stated yet, come to.",
        statement=f"""
    SELECT coalesce(kept.customer_id, told.customer_id) AS customer_id, coalesce(kept.kind, told.kind) AS account,
           coalesce(kept.asset, told.asset) AS asset, coalesce(kept.amount, 0) AS in_the_books,
           coalesce(told.amount, 0) AS by_the_statement
      FROM (SELECT customer_id, kind, asset, -posted AS amount FROM ledger_account
             WHERE environment = $1 AND kind LIKE 'clearing:%' AND kind NOT IN ('clearing:outside', 'clearing:bank')
           ) AS kept
      FULL JOIN ({_AT_PROCESSORS}) AS told
        ON (told.customer_id, told.kind, told.asset) = (kept.customer_id, kept.kind, kept.asset)
     WHERE coalesce(kept.amount, 0) <> coalesce(told.amount, 0)""",
    ),
    Invariant(
        name="movements_stated",
        holds="What a processor over a network took or gave back is on its statement within a week.",
        statement="""
    SELECT customer_id, id, processor, amount_captured AS amount, created FROM payment_attempt
     WHERE environment = $1 AND processor <> 'test' AND captured AND balance_transaction IS NULL
       AND created < $2 - interval '7 days'
     UNION ALL
    SELECT customer_id, id, processor, -amount, created FROM refund
     WHERE environment = $1 AND processor <> 'test' AND status = 'succeeded' AND balance_transaction IS NULL
       AND created < $2 - interval '7 days'""",
    ),
    Invariant(
        name="payouts_explained",
        holds="Every payout that arrived is made of lines of the statement, to the minor unit, within a day.",
        statement="""
    SELECT id AS payout, processor, amount, explained, currency, arrival_date FROM payout
     WHERE environment = $1 AND status = 'paid' AND amount <> explained AND arrival_date < $2 - interval '1 day'""",
    ),
    Invariant(
        name="refunds_bounded",
        holds="No charge gave back more than it took.",
        statement="""
    SELECT customer_id, id AS charge, amount_captured, amount_refunded FROM payment_attempt
     WHERE environment = $1 AND (amount_refunded > amount_captured OR amount_captured > amount)""",
    ),
    Invariant(
        name="credit_notes_counted",
        holds="Invoices say what their credit notes add up to, and none is credited beyond its total.",
        statement="""
    SELECT invoice.customer_id, invoice.id AS invoice, invoice.total, coalesce(notes.pre_payment, 0) AS pre_payment,
           coalesce(notes.post_payment, 0) AS post_payment, invoice.amounts
      FROM invoice
      LEFT JOIN (SELECT customer_id, invoice AS id, sum(pre_payment) AS pre_payment,
                        sum(post_payment) AS post_payment
                   FROM credit_note WHERE environment = $1 AND status = 'issued' GROUP BY 1, 2) AS notes
        ON (notes.customer_id, notes.id) = (invoice.customer_id, invoice.id)
     WHERE invoice.environment = $1
       AND (coalesce(notes.pre_payment, 0) <> (amounts ->> 'pre_payment_credit_notes')::bigint
         OR coalesce(notes.post_payment, 0) <> (amounts ->> 'post_payment_credit_notes')::bigint
         OR coalesce(notes.pre_payment + notes.post_payment, 0) > greatest(invoice.total, 0))""",
    ),
    Invariant(
        name="credit_notes_booked",
        holds="What each credit note gave back is in the books once, and void ones not at all.",
        statement=f"""
    SELECT coalesce(told.customer_id, booked.customer_id) AS customer_id, coalesce(told.id, booked.id) AS credit_note,
           coalesce(told.amount, 0) AS by_the_notes, coalesce(booked.amount, 0) AS in_the_books
      FROM (SELECT customer_id, id,
                   (CASE WHEN status = 'issued' THEN total ELSE 0 END)::numeric / {_UNITS} AS amount
              FROM credit_note WHERE environment = $1) AS told
      FULL JOIN (SELECT customer_id, cause_id AS id,
                        sum(CASE WHEN cause = 'credit_note' THEN amount ELSE -amount END) AS amount
                   FROM ledger_transfer
                  WHERE environment = $1 AND cause IN ('credit_note', 'credit_note.void') GROUP BY 1, 2) AS booked
        USING (customer_id, id)
     WHERE coalesce(told.amount, 0) <> coalesce(booked.amount, 0)""",
    ),
    Invariant(
        name="usage_billed_once",
        holds="The windows of usage that invoices bill for an item and a price do not overlap.",
        statement="""
    SELECT customer_id, subscription_item, invoice, usage_start, usage_end, follows, follows_until
      FROM (SELECT customer_id, subscription_item, invoice, usage_start, usage_end,
                   lag(invoice) OVER of_item AS follows, lag(usage_end) OVER of_item AS follows_until
              FROM (SELECT DISTINCT line.customer_id, line.subscription_item, line.price, line.invoice,
                           line.usage_start, line.usage_end
                      FROM invoice_line AS line
                      JOIN invoice ON invoice.customer_id = line.customer_id AND invoice.id = line.invoice
                     WHERE line.environment = $1 AND line.usage_start IS NOT NULL AND NOT line.late
                       AND invoice.status <> 'void') AS windows
            WINDOW of_item AS (PARTITION BY customer_id, subscription_item, price
                               ORDER BY usage_start, usage_end)) AS ordered
     WHERE follows_until > usage_start""",
    ),
    Invariant(
        name="periods_closed",
        holds="No period of a living subscription off test clocks is over by more than an hour and not billed.",
        statement="""
    SELECT item.customer_id, item.subscription, item.id AS subscription_item, item.period_end
      FROM subscription_item AS item
      JOIN subscription ON subscription.customer_id = item.customer_id AND subscription.id = item.subscription
     WHERE item.environment = $1 AND NOT item.deleted AND subscription.test_clock IS NULL
       AND subscription.status IN ('active', 'trialing', 'past_due') AND item.period_end < $2 - interval '1 hour'""",
    ),
    Invariant(
        name="drafts_finalized",
        holds="No draft off test clocks is overdue for its finalization by more than an hour.",
        statement="""
    SELECT customer_id, id AS invoice, automatically_finalizes_at FROM invoice
     WHERE environment = $1 AND status = 'draft' AND test_clock IS NULL
       AND automatically_finalizes_at < $2 - interval '1 hour'""",
    ),
    Invariant(
        name="answers_known",
        holds="No processor owes an answer for more than an hour.",
        statement="""
    SELECT customer_id, id AS charge, payment, processor, created FROM payment_attempt
     WHERE environment = $1 AND outcome IS NULL AND created < $2 - interval '1 hour'""",
    ),
    Invariant(
        name="due_work_moving",
        holds="No due work was given up, and none off test clocks waits for more than an hour.",
        statement="""
    SELECT customer_id, kind, subject, due_at, attempts, failed_at, last_error FROM due
     WHERE environment = $1 AND (failed_at IS NOT NULL OR (clock IS NULL AND due_at < $2 - interval '1 hour'))""",
    ),
    Invariant(
        name="outbox_moving",
        holds="No notice waits for its publication for more than five minutes.",
        statement="""
    SELECT customer_id, id AS event, type, recorded_at FROM notice
     WHERE environment = $1 AND position IS NULL AND recorded_at < $2 - interval '5 minutes'""",
    ),
)

_WITHOUT = sorted(code for code in CURRENCIES if minor_digits(code) == 0)
_WITH_THREE = sorted(code for code in CURRENCIES if minor_digits(code) == 3)
_PATIENCE = timedelta(seconds=60)


async def check(tx: AsyncConnection, environment: str, invariant: Invariant, *, now: datetime) -> Finding:
    """Whether an invariant holds in an environment. `now` is the wall clock, UTC."""
    # All four parameters are named, so that every statement has them.
    statement = (
        "WITH given AS (SELECT $1::text, $2::timestamptz, $3::text[], $4::text[])"
        f" SELECT count(*) OVER () AS violations, found.* FROM ({invariant.statement}) AS found LIMIT {SHOWN}"
    )
    rows = await (await driver(tx)).fetch(
        statement, environment, now, _WITHOUT, _WITH_THREE, timeout=_PATIENCE.total_seconds()
    )
    shown = [{name: value for name, value in row.items() if name != "violations"} for row in rows]
    return Finding(invariant=invariant, violations=rows[0]["violations"] if rows else 0, rows=shown)
