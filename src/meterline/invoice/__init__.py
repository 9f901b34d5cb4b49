"""What a customer is asked to pay: lines, drafts, totals, the customer's balance, numbers and states.

Owns: invoices and their lines, pending invoice items, the order of calculation, the state machine with its
refusals, the text of a line, and how a customer balance is used. Does not own: what is billable
(subscription), what a quantity costs (rating), how money moves (payment).

Invariants
- A line is rounded to minor units once, when it is made; every total is a sum of such integers.
- `amount_due = amount_paid + amount_remaining` (plus what was paid beyond it, `amount_overpaid`).
- Only a draft's lines change. `paid` and `void` are final; a finalized invoice keeps its number for ever.
- What a finalized invoice took from or put on the customer balance is `ending_balance - starting_balance`.
- A preview and the invoice made at the same instant come out of the same functions with equal lines and totals.

Amounts are integers in minor units of the invoice's currency; unit prices are Decimals in minor units.
Instants are UTC: `created` is when the invoice was made, `period_start`/`period_end` bound what pending items
it took, a line's `period` is the service it is for, `effective_at` is the date of issue printed on it.
"""
