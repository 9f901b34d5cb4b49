"""The header that signs a delivery, as its dialect has it: proof that it is ours and recent."""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple


class Signature(NamedTuple):
    """What the header is called, and the signatures in it."""

    header: str
    scheme: str


STRIPE = Signature("stripe-signature", "v1")
CREDYT = Signature("credyt-signature", "v0")


def signed(body: bytes, *, secrets: Sequence[str], now: datetime, scheme: str = STRIPE.scheme) -> str:
    """The header for a body: the time (whole seconds) and one signature of time and body for each secret."""
    seconds = int(now.timestamp())
    said = b"%d." % seconds + body
    proofs = [hmac.new(secret.encode(), said, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={seconds}", *(f"{scheme}={proof}" for proof in proofs)])
