"""The stories that the project tells newcomers, run as tests: the demo's month and the hour of real requests."""

from io import StringIO
from pathlib import Path

import pytest
import stripe
from examples import azure_llm_trace
from rich.console import Console

from meterline.demo.story import tell
from tests.wire import working

TRACE = Path(__file__).parents[3] / "shared" / "data"
"""Where the trace lies beside a checkout. Without it the story is of generated requests, and says so."""

REAL = {
    "conv": (19_366, 26_450_535, 1_058_024),
    "code": (8_819, 18_305_870, 732_236),
}
"""Requests, tokens and cents of the two files."""


def test_the_demo_bills_its_month(dsn: str, client: stripe.StripeClient) -> None:
    told = Console(file=StringIO(), width=120)
    with working.running(dsn):
        invoice = tell(client, told)

    assert (invoice.status, invoice.total, invoice.amount_paid) == ("paid", 30_878, 30_878)
    assert [line.amount for line in invoice.lines.data] == [0, 18_000, 6_878, 6_000]


def test_an_hour_of_requests_is_billed_to_the_cent(
    dsn: str, client: stripe.StripeClient, capsys: pytest.CaptureFixture[str]
) -> None:
    with working.running(dsn):
        bills = azure_llm_trace.run(client, TRACE)

    said = capsys.readouterr().out
    real = (TRACE / "azure_llm_conv.csv").exists()
    assert said.count("0 of 100 replays counted") == 2
    assert said.count("generated requests of the same shape") == (0 if real else 2)
    assert [bill.service for bill in bills] == ["conv", "code"]
    assert all(bill.right for bill in bills)
    if real:
        assert {bill.service: (bill.requests, bill.tokens, bill.invoiced) for bill in bills} == REAL
