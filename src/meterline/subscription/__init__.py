"""What a customer bought and when it falls due.

Owns: the subscription and its items, their periods, trials, changes, cancellation and status, and the list of
what is billable at each instant (`billable`). Does not own: prices (catalog), amounts (rating), invoices, usage.

Invariants
- An item's periods tile: the next one starts where the current one ends, computed from the anchor.
- A licensed item is billed in advance and prorates; a metered item is billed in arrears and never prorates.
- The windows of usage billed for one metered item never overlap; what was not billed yet starts at `usage_from`.
- `canceled` and `incomplete_expired` are final.

Instants are UTC. No function here reads a clock: `now` is an argument, and so are fresh ids.
"""
