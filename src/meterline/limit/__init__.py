"""Bounds on spending: budgets per window for a customer, and for every node of the customer's tree of spenders.

A budget is checked when money is about to be spent, together with all others that apply: all levels are reserved
or none, and a refusal names the level. What was reserved becomes spent when the call's cost is known.

Not owned here: what the wallet can pay (wallet), what things cost (rating).
"""
