"""Stripe's npm SDK drives the billing chain."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import stripe

from tests.wire.conftest import SECRET

HERE = Path(__file__).parent / "node"

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not (HERE / "node_modules" / "stripe").is_dir(),
    reason="Node.js is not installed, or `make setup` has not fetched the npm SDK",
)


def test_the_npm_sdk_bills_usage(base_url: str, client: stripe.StripeClient) -> None:
    done = subprocess.run(
        ["node", "chain.mjs"],
        cwd=HERE,
        env={"METERLINE_URL": base_url, "METERLINE_KEY": SECRET, "PATH": "/usr/bin:/bin:/usr/local/bin"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {name: told[name] for name in ("used", "due", "listed")} == {"used": [251], "due": 1200, "listed": 1}
    assert client.v1.products.retrieve(told["product"]).metadata.to_dict() == {"made_by": "node"}
