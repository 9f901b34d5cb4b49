"""`meterline serve` as its operator meets it: started, stopped mid-request, killed, started again."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx
import pytest

from meterline.store.embedded import Server
from tests.cli.running import SECRET, Meterline, alive, meterline, run, until


@contextmanager
def products_locked(data_dir: Path) -> Iterator[None]:
    """Nobody can write a product while the block runs, so that a request which does is in flight."""
    held, over = threading.Event(), threading.Event()

    async def hold() -> None:
        connection = await asyncpg.connect(Server(data_dir).dsn())
        async with connection.transaction():
            await connection.execute("lock table product in exclusive mode")
            held.set()
            await asyncio.to_thread(over.wait)
        await connection.close()

    thread = threading.Thread(target=asyncio.run, args=(hold(),))
    thread.start()
    held.wait()
    try:
        yield
    finally:
        over.set()
        thread.join()


def waiting_writers(data_dir: Path) -> int:
    async def count() -> int:
        connection = await asyncpg.connect(Server(data_dir).dsn())
        try:
            return int(await connection.fetchval("select count(*) from pg_locks where not granted"))
        finally:
            await connection.close()

    return asyncio.run(count())


def product(client: httpx.Client, name: str) -> httpx.Response:
    return client.post("/v1/products", data={"name": name})


def names(client: httpx.Client) -> set[str]:
    return {each["name"] for each in client.get("/v1/products", params={"limit": 100}).json()["data"]}


def test_it_serves_stops_cleanly_and_comes_back_with_everything(data_dir: Path) -> None:
    with meterline(data_dir) as served:
        with served.client() as client:
            assert client.get("/healthz").json() == {"status": "ok"}
            assert client.get("/readyz").status_code == 200
            assert product(client, "kept").status_code == 200
            assert 'route="/v1/products",status="200"' in client.get("/metrics").text
        assert served.stop() == 0
        assert not (data_dir / "postgres" / "postmaster.pid").exists()
        assert "shut down" in (data_dir / "postgres.log").read_text().splitlines()[-1]
        served.start()
        with served.client() as client:
            assert names(client) == {"kept"}
        assert len(served.logged("key_kept")) == 1
    assert SECRET not in data_dir.with_suffix(".log").read_text()


def test_a_request_in_flight_is_answered_before_it_stops(data_dir: Path) -> None:
    with meterline(data_dir) as served:
        answers: list[httpx.Response] = []

        def write() -> None:
            with served.client() as client:
                answers.append(product(client, "in flight"))

        writer = threading.Thread(target=write)
        with products_locked(data_dir):
            writer.start()
            until(lambda: waiting_writers(data_dir) == 1)
            served.signal(signal.SIGTERM)
            until(lambda: bool(served.logged("stopping")))
            with pytest.raises(httpx.TransportError), served.client() as late:
                until(lambda: late.get("/healthz") is None)
            assert answers == []
        writer.join()
        assert served.wait() == 0
        assert [answer.status_code for answer in answers] == [200]
        served.start()
        with served.client() as client:
            assert names(client) == {"in flight"}


def test_after_a_kill_nothing_answered_is_lost_and_nobody_stays_behind(data_dir: Path) -> None:
    with meterline(data_dir, "--workers", "2") as served:
        with served.client() as client:
            for number in range(5):
                assert product(client, f"number {number}").status_code == 200
        processes = served.pids("web") + served.pids("worker")
        assert len(processes) == 3
        served.signal(signal.SIGKILL)
        served.wait()
        until(lambda: not any(alive(pid) for pid in processes))
        served.start()
        assert served.logged("database_adopted")
        with served.client() as client:
            assert names(client) == {f"number {number}" for number in range(5)}


def test_what_dies_is_started_again(data_dir: Path) -> None:
    with meterline(data_dir, "--workers", "2") as served:
        first = served.pids("web")
        assert len(first) == 2
        os.kill(first[0], signal.SIGKILL)
        os.kill(served.pids("worker")[0], signal.SIGKILL)
        until(lambda: len(served.logged("process_started")) == 5)
        assert len(served.pids("web")) == 2
        assert len(served.pids("worker")) == 1
        postmaster = int((data_dir / "postgres" / "postmaster.pid").read_text().split("\n")[0])
        os.kill(postmaster, signal.SIGKILL)
        until(lambda: len(served.logged("database_ready")) == 2)
        until(lambda: _ready(served))
        with served.client() as client:
            until(lambda: product(client, "after").status_code == 200)


def _ready(served: Meterline) -> bool:
    with served.client() as client:
        return client.get("/readyz").status_code == 200


def test_ready_means_that_the_schema_is_current(data_dir: Path) -> None:
    with meterline(data_dir) as served, served.client() as client:
        assert client.get("/readyz").status_code == 200
        asyncio.run(_execute(data_dir, "update alembic_version set version_num = 'before'"))
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["failing"] == "migrations"
        assert client.get("/healthz").status_code == 200


async def _execute(data_dir: Path, statement: str) -> None:
    connection = await asyncpg.connect(Server(data_dir).dsn())
    await connection.execute(statement)
    await connection.close()


def test_keys_and_doctor_work_beside_a_running_server(data_dir: Path) -> None:
    with meterline(data_dir) as served, served.client() as client:
        made = run("keys", "create", "--env", "test", "--name", "second", "--data-dir", str(data_dir))
        secret = made.stdout.strip()
        assert secret.startswith("sk_test_")
        bearer = {"authorization": f"Bearer {secret}"}
        assert client.get("/v1/products", headers=bearer).status_code == 200
        listed = run("keys", "list", "--env", "test", "--data-dir", str(data_dir)).stdout
        assert "second" in listed
        assert secret not in listed
        id = next(line.split()[0] for line in listed.splitlines() if "second" in line)
        assert run("keys", "revoke", id, "--data-dir", str(data_dir)).returncode == 0
        until(lambda: client.get("/v1/products", headers=bearer).status_code == 401)
        assert run("keys", "revoke", id, "--data-dir", str(data_dir)).returncode == 1
        examined = run("doctor", "--data-dir", str(data_dir))
        assert examined.returncode == 0, examined.stdout
        assert "revision 0001" in examined.stdout


def test_a_second_server_on_the_same_data_is_told_so(data_dir: Path) -> None:
    with meterline(data_dir):
        second = run("serve", "--port", "0", "--data-dir", str(data_dir))
        assert second.returncode == 1
        assert "is in use by process" in second.stderr


def test_it_serves_a_database_that_is_there_already(postgres_dsn: str, empty: str, data_dir: Path) -> None:
    environment = {"DATABASE_URL": empty, "METERLINE_API_KEY": SECRET.replace("test", "live", 1)}
    data_dir.parent.chmod(0o755)
    with meterline(data_dir, environment=environment) as served:
        bearer = {"authorization": f"Bearer {environment['METERLINE_API_KEY']}"}
        made = httpx.post(f"{served.url}/v1/products", data={"name": "elsewhere"}, headers=bearer, timeout=60)
        assert made.json()["livemode"] is True
        assert not data_dir.exists()
