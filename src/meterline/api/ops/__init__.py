"""What Stripe's API has no words for: deliveries repaired by hand, the live stream, alerts of our own.

The dialect (forms, errors, lists, idempotency) is the Stripe one, under `/ops`.
"""
