"""Prepaid value of one customer: grants, the order they are used in, holds, expiry, recharging.

A wallet has one pocket per asset (`USD`, a custom unit). A pocket is the customer's grants in that asset and the
debt that usage left when no grant could cover it. A grant knows what remains of it and how much of that is held;
what is free and not expired, less debt, is *available*, and only that is spent.

Everything here is a function from a pocket and a request to a new pocket and the transfers to book; nothing here
reads a clock or makes an id. Amounts are Decimals in major units, at most twelve decimals; instants are UTC.

Invariants: `0 <= held <= remaining <= granted`; slices sum to what was asked; the order of use is total; a grant
lapses once; what a hold has set aside does not lapse before the hold ends; available never falls below minus the
overdraft limit, except through usage that the wallet was told to record whatever it costs.
"""
