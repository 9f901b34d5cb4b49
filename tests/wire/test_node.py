"""Stripe's npm SDK drives the billing chain to a paid invoice.

Where there is no Node.js these tests are not collected, and the run's first lines say so (`conftest.py`).
"""

import json
import os
import subprocess
from pathlib import Path

import stripe

from tests.wire import working
from tests.wire.conftest import SECRET

HERE = Path(__file__).parent / "node"


def test_the_npm_sdk_bills_usage(base_url: str, dsn: str, client: stripe.StripeClient) -> None:
    with working.running(dsn):
        done = subprocess.run(
            ["node", "chain.mjs"],
            cwd=HERE,
            env=os.environ | {"METERLINE_URL": base_url, "METERLINE_KEY": SECRET},
            capture_output=True,
            text=True,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {name: told[name] for name in ("used", "due", "listed")} == {"used": [251], "due": 1200, "listed": 1}
    assert told["invoice"] == ["paid", 1200, 251]
    assert client.v1.products.retrieve(told["product"]).metadata.to_dict() == {"made_by": "node"}
