"""The `Stripe-Signature` header: proof that a delivery is ours and recent."""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime


def signed(body: bytes, *, secrets: Sequence[str], now: datetime) -> str:
    """The header for a body: the time (whole seconds) and one `v1` signature for each secret."""
    seconds = int(now.timestamp())
    said = b"%d." % seconds + body
    proofs = [hmac.new(secret.encode(), said, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={seconds}", *(f"v1={proof}" for proof in proofs)])
