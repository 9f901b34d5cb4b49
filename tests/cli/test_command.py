"""What the commands say when something is not as it should be."""

from pathlib import Path

import pytest

from tests.cli.running import run


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("METERLINE_PORT", "70000", "METERLINE_PORT: Input should be less than or equal to 65535"),
        ("METERLINE_WORKERS", "none", "METERLINE_WORKERS: Input should be a valid integer"),
        ("METERLINE_API_KEY", "pk_test_abcdefghijklmnop", "METERLINE_API_KEY: a secret key is sk_test_ or sk_live_"),
        ("METERLINE_POSTGRES_BIN", "/nowhere", "not found in /nowhere"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(data_dir: Path, variable: str, value: str, said: str) -> None:
    served = run("serve", "--data-dir", str(data_dir), environment={"METERLINE_PORT": "0", variable: value})
    assert served.returncode == 1
    assert said in served.stderr
    assert "Traceback" not in served.stderr


def test_a_port_in_use_is_named(data_dir: Path) -> None:
    served = run("serve", "--host", "192.0.2.1", "--data-dir", str(data_dir))
    assert served.returncode == 1
    assert "Cannot listen on 192.0.2.1" in served.stderr


def test_migrate_says_what_it_did(data_dir: Path) -> None:
    first, second = (run("migrate", "--data-dir", str(data_dir)) for _ in range(2))
    assert "from nothing to revision" in first.stdout
    assert "already" in second.stdout


def test_doctor_says_what_to_do(data_dir: Path) -> None:
    unreachable = {"DATABASE_URL": "postgresql://nobody:secret@127.0.0.1:1/nothing"}
    examined = run("doctor", "--data-dir", str(data_dir), environment=unreachable)
    assert examined.returncode == 1
    assert "fix: check that the server of DATABASE_URL runs" in examined.stdout
    assert "secret" not in examined.stdout + examined.stderr
    fresh = run("doctor", "--data-dir", str(data_dir))
    assert fresh.returncode == 1
    assert "fix: run `meterline migrate`" in fresh.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--env", "Not A Name"), "lower-case letters"),
        (("--env", "test", "--allow", "prices"), "RESOURCE=read or RESOURCE=write"),
    ],
)
def test_a_key_that_cannot_be_made_is_explained(data_dir: Path, arguments: tuple[str, ...], said: str) -> None:
    made = run("keys", "create", *arguments, "--data-dir", str(data_dir))
    assert made.returncode == 2
    assert said in made.stderr
    assert not data_dir.exists()
