"""Getting paid: payment methods, payments and their attempts, and when to try again.

Owns: what a payment method is, the payment of an invoice (which carries Stripe's PaymentIntent id), each attempt
with its outcome, which method an invoice is paid with, and the calendar of retries. Does not own: what is due
(invoice), talking to a processor (gateway).

Invariants
- A payment succeeds at most once; `amount` is fixed when it is asked for.
- Every time a processor was asked there is an attempt, and an attempt's outcome never changes.
- An attempt's id is the processor's idempotency key: asking again cannot take money twice.

Amounts are integers in minor units. Instants are UTC; `created` is when the thing was made.
"""
