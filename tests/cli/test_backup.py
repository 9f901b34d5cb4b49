"""A backup taken while serving comes back whole, and never over something that is there."""

from pathlib import Path

from tests.cli.running import meterline, run


def test_a_backup_taken_while_serving_is_restored_elsewhere(data_dir: Path) -> None:
    file = data_dir.with_name("backup.dump")
    elsewhere = data_dir.with_name("elsewhere")
    with meterline(data_dir) as served, served.client() as client:
        assert client.post("/v1/products", data={"name": "kept"}).status_code == 200
        assert run("backup", str(file), "--data-dir", str(data_dir)).returncode == 0
        again = run("backup", str(file), "--data-dir", str(data_dir))
        assert again.returncode == 2
        assert "exists already" in again.stderr
        over = run("restore", str(file), "--data-dir", str(data_dir))
        assert over.returncode == 1
        assert "nothing is overwritten" in over.stderr
    restored = run("restore", str(file), "--data-dir", str(elsewhere))
    assert restored.returncode == 0, restored.stderr
    with meterline(elsewhere) as served, served.client() as client:
        assert [each["name"] for each in client.get("/v1/products").json()["data"]] == ["kept"]
        assert served.logged("key_kept") == []
