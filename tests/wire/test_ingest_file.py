"""`meterline ingest` against a running server: formats, columns, resuming, rejects."""

import csv
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
import stripe
from pyarrow import parquet

from meterline.cli.table import digest
from tests.wire.conftest import SECRET

ROWS = [{"who": "", "n": n, "at": datetime.now(UTC).isoformat()} for n in range(1, 31)]
COLUMNS = ["--event-name", "tokens", "--timestamp", "at", "--column", "stripe_customer_id=who", "--column", "value=n"]


@pytest.fixture(scope="module")
def meter(client: stripe.StripeClient) -> stripe.billing.Meter:
    return client.v1.billing.meters.create(
        {"display_name": "Tokens", "event_name": "tokens", "default_aggregation": {"formula": "sum"}}
    )


def ingest(base_url: str, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "meterline.cli", "ingest", "--url", base_url, "--api-key", SECRET, *arguments]
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run(command, input=stdin, capture_output=True, text=True, env=environment, check=False)


def used(client: stripe.StripeClient, meter: stripe.billing.Meter, customer: str) -> float | None:
    now = int(datetime.now(UTC).timestamp()) // 60 * 60
    bounds: Any = {"customer": customer, "start_time": now - 7200, "end_time": now + 7200}
    return client.v1.billing.meters.event_summaries.list(meter.id, bounds).data[0].aggregated_value


def write(path: Path, customer: str) -> Path:
    rows = [row | {"who": customer} for row in ROWS]
    match path.suffix:
        case ".csv":
            with path.open("w", newline="") as opened:
                table = csv.DictWriter(opened, fieldnames=list(rows[0]))
                table.writeheader()
                table.writerows(rows)
        case ".ndjson":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        case ".parquet":
            parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".ndjson", ".parquet"])
def test_a_file_is_counted_once_however_often_it_is_sent(
    client: stripe.StripeClient, meter: stripe.billing.Meter, base_url: str, tmp_path: Path, suffix: str
) -> None:
    customer = client.v1.customers.create({"name": suffix}).id
    file = write(tmp_path / f"usage{suffix}", customer)
    first = ingest(base_url, str(file), *COLUMNS, "--batch", "7")
    assert first.returncode == 0, first.stderr
    assert "30 rows: 30 accepted." in first.stderr
    assert "30 duplicate" in ingest(base_url, str(file), *COLUMNS).stderr
    assert used(client, meter, customer) == sum(range(1, 31))
    assert [each.name for each in tmp_path.iterdir()] == [file.name]


def test_it_goes_on_where_it_was(
    client: stripe.StripeClient, meter: stripe.billing.Meter, base_url: str, tmp_path: Path
) -> None:
    customer = client.v1.customers.create({"name": "resumed"}).id
    file = write(tmp_path / "usage.csv", customer)
    state = tmp_path / "usage.csv.progress"
    state.write_text(json.dumps({"source": digest(file), "rows": 20}))
    assert "30 rows: 10 accepted." in ingest(base_url, str(file), *COLUMNS).stderr
    assert not state.exists()
    state.write_text(json.dumps({"source": "another file's", "rows": 25}))
    assert "20 accepted, 10 duplicate" in ingest(base_url, str(file), *COLUMNS).stderr
    assert used(client, meter, customer) == sum(range(1, 31))


def test_rows_that_are_not_counted_are_kept_with_the_reason(
    meter: stripe.billing.Meter, base_url: str, tmp_path: Path
) -> None:
    file = write(tmp_path / "usage.csv", "cus_nobody")
    done = ingest(base_url, str(file), *COLUMNS)
    assert done.returncode == 1
    rejects = [json.loads(line) for line in (tmp_path / "usage.csv.rejects.ndjson").read_text().splitlines()]
    assert len(rejects) == 30
    assert rejects[0]["code"] == "meter_event_customer_not_found" and rejects[0]["event"]["payload"]["value"] == "1"


def test_rows_that_cannot_be_read_are_rejects_and_the_others_go_on(
    client: stripe.StripeClient, meter: stripe.billing.Meter, base_url: str, tmp_path: Path
) -> None:
    customer = client.v1.customers.create({"name": "broken"}).id
    lines = [
        json.dumps({"event_name": "tokens", "payload": {"stripe_customer_id": customer, "value": n}}) for n in (1, 2)
    ]
    file = tmp_path / "usage.ndjson"
    file.write_text("\n".join([lines[0], "{broken", "7", lines[1]]))
    table = tmp_path / "usage.csv"
    table.write_text(f"\ufeffwho,n,at\n{customer},3,{ROWS[0]['at']}\n{customer},4,{ROWS[0]['at']},more\n")

    done, sent = ingest(base_url, str(file)), ingest(base_url, str(table), *COLUMNS)

    assert "4 rows: 2 accepted, 2 rejected." in done.stderr, done.stderr
    assert "2 rows: 1 accepted, 1 rejected." in sent.stderr, sent.stderr
    rejects = [json.loads(line) for line in (tmp_path / "usage.ndjson.rejects.ndjson").read_text().splitlines()]
    assert [(each["row"], each["code"], each["line"]) for each in rejects] == [
        (1, "unreadable", "{broken"),
        (2, "unreadable", "7"),
    ]
    assert used(client, meter, customer) == 6


def test_rejects_are_those_of_the_last_time(meter: stripe.billing.Meter, base_url: str, tmp_path: Path) -> None:
    file, rejects = write(tmp_path / "usage.csv", "cus_nobody"), tmp_path / "usage.csv.rejects.ndjson"
    for _ in range(2):
        ingest(base_url, str(file), *COLUMNS)
        assert len(rejects.read_text().splitlines()) == 30
    kept = len("".join(rejects.read_text().splitlines(keepends=True)[:20]))
    (tmp_path / "usage.csv.progress").write_text(json.dumps({"source": digest(file), "rows": 20, "rejected": kept}))

    done = ingest(base_url, str(file), *COLUMNS)

    assert "30 rows: 10 parked. 20 of them were sent before." in done.stderr, done.stderr
    assert [json.loads(line)["row"] for line in rejects.read_text().splitlines()] == list(range(30))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--event-name", "tokens", "--column", "value=m"], "there is no column m; there are who, n, at."),
        (["--event-name", "tokens", "--timestamp", "when"], "there is no column when"),
        (["--column", "value=n"], "say which events these are"),
        (["--event-name", "tokens", "--format", "parquet"], "it is not Parquet"),
    ],
)
def test_what_does_not_fit_the_file_is_said_before_anything_is_sent(
    base_url: str, tmp_path: Path, options: list[str], told: str
) -> None:
    file = write(tmp_path / "usage.csv", "cus_nobody")

    done = ingest(base_url, str(file), *options)

    assert (done.returncode, told in " ".join(done.stderr.split())) == (1, True), done.stderr
    assert "Traceback" not in ingest(base_url, str(tmp_path / "none.csv"), *options).stderr


def test_standard_input_is_read_as_it_comes(
    client: stripe.StripeClient, meter: stripe.billing.Meter, base_url: str, tmp_path: Path, raw: httpx.Client
) -> None:
    customer = client.v1.customers.create({"name": "piped"}).id
    lines = "".join(
        json.dumps({"event_name": "tokens", "payload": {"stripe_customer_id": customer, "value": n}}) + "\n"
        for n in (1, 2)
    )
    done = ingest(base_url, "-", "--rejects", str(tmp_path / "rejects"), stdin=lines)
    assert "2 rows: 2 accepted." in done.stderr, done.stderr
    assert used(client, meter, customer) == 3
