"""Stripe's billing API on the wire.

`route` carries every call through the same stations: authenticate, parse, validate, claim the idempotency
key, run the use case in one transaction, render, expand, answer. A resource module declares its parameters,
its rendering and its handlers, and nothing else.
"""
