"""The verbs, one file each: gather what a decision needs, let the core decide, record what it said.

A use case is given an open transaction and the time; it commits nothing, reads no clock and calls nobody over a
network while the transaction is open. The doors (`api/`, `worker/`) open, commit and answer.
"""
