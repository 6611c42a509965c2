"""The same rows on a Ray cluster: from folders and object stores, and when a node dies."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.conftest import EXAMPLES

MISSING = [name for name in ("ray", "moto", "s3fs") if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
ENVIRONMENT = {
    **os.environ,
    "RAY_worker_niceness": "0",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}
COUGH = [sys.executable, "-c", "from cough.cli import main; main()"]
CLUSTER = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
other = cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
print(cluster.address, flush=True)
for line in sys.stdin:
    if line.strip() == "kill":
        cluster.remove_node(other, allow_graceful=False)
        print("killed", flush=True)
cluster.shutdown()
"""


def batch(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COUGH, "batch", *arguments],
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def cluster() -> Iterator[subprocess.Popen[str]]:
    """Two nodes of one CPU on this machine; its first line was the address, kept in ``args``."""
    with subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.args = process.stdout.readline().strip()
        yield process
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(timeout=60)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example recordings, one broken file, and one that is not there."""
    root = tmp_path_factory.mktemp("corpus")
    names = sorted(path.name for path in EXAMPLES.glob("synthetic_*"))
    for name in names:
        shutil.copy(EXAMPLES / name, root)
    (root / "broken.wav").write_bytes(b"RIFF")
    rows = ["recording_id,path", *(f"{name},{name}" for name in [*names, "broken.wav", "gone.wav"])]
    (root / "recordings.csv").write_text("\n".join(rows) + "\n")
    return root


def address(cluster: subprocess.Popen[str]) -> str:
    return str(cluster.args)


def test_the_same_rows_as_from_local_processes(
    cluster: subprocess.Popen[str], corpus: Path, tmp_path: Path
) -> None:
    done = batch(
        str(corpus), "-o", str(tmp_path / "ray"), "--engine", "ray", "--address", address(cluster), "--json"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["recordings"] == len(list(EXAMPLES.glob("synthetic_*"))) + 2
    local = batch(str(corpus), "-o", str(tmp_path / "local"), "--workers", "1")
    assert local.returncode == 0, local.stderr
    for name in ("predictions.parquet", "events.parquet"):
        assert pq.read_table(tmp_path / "ray" / name).equals(pq.read_table(tmp_path / "local" / name))
    errors = pq.read_table(tmp_path / "ray" / "predictions.parquet").column("error_code").to_pylist()
    assert {"not_audio", "file_missing"} <= set(errors)


def test_a_corpus_in_an_object_store(cluster: subprocess.Popen[str], corpus: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _until_up(port)
        _put(f"{url}/bucket", b"")
        for path in corpus.iterdir():
            _put(f"{url}/bucket/cohort/{path.name}", path.read_bytes())
        out = tmp_path / "out"
        done = batch(
            "s3://bucket/cohort", "-o", str(out), "--engine", "ray", "--address", address(cluster),
            AWS_ENDPOINT_URL=url,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        table = pq.read_table(out / "predictions.parquet")
        assert table.num_rows == len(list(EXAMPLES.glob("synthetic_*"))) + 2
        assert table.column("error_code").to_pylist().count(None) == table.num_rows - 2
        assert json.loads((out / "run.json").read_text())["manifest"] == "s3://bucket/cohort"
        local = batch("s3://bucket/cohort", "-o", str(tmp_path / "local"), AWS_ENDPOINT_URL=url)
        assert local.returncode == 0, local.stderr
        assert pq.read_table(tmp_path / "local" / "predictions.parquet").equals(table)
        nothing = batch("s3://bucket/nowhere", "-o", str(tmp_path / "none"), AWS_ENDPOINT_URL=url)
        assert nothing.returncode != 0
        assert "manifest_missing" in nothing.stderr
    finally:
        server.kill()
        server.wait()


def test_a_node_that_dies_costs_no_row_and_doubles_none(
    cluster: subprocess.Popen[str], corpus: Path, tmp_path: Path
) -> None:
    """Last in the module: the cluster has one node afterwards."""
    n = 640
    good = sorted(EXAMPLES.glob("synthetic_*"))
    rows = ["recording_id,path", *(f"r{i},{good[i % len(good)]}" for i in range(n))]
    manifest = tmp_path / "recordings.csv"
    manifest.write_text("\n".join(rows) + "\n")
    out = tmp_path / "out"
    with subprocess.Popen(
        [*COUGH, "batch", str(manifest), "-o", str(out), "--engine", "ray", "--address", address(cluster)],
        env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as run:  # fmt: skip
        began = time.monotonic()
        while not list((out / "shards").glob("*.parquet")) and time.monotonic() - began < 200:
            assert run.poll() is None, run.stderr and run.stderr.read()
            time.sleep(0.1)
        unfinished = not (out / "predictions.parquet").exists()
        assert cluster.stdin is not None
        assert cluster.stdout is not None
        cluster.stdin.write("kill\n")
        cluster.stdin.flush()
        assert cluster.stdout.readline().strip() == "killed"
        _, complaint = run.communicate(timeout=280)
    assert unfinished
    assert run.returncode == 0, complaint
    table = pq.read_table(out / "predictions.parquet")
    assert table.column("recording_id").to_pylist() == [f"r{i}" for i in range(n)]
    assert table.column("error_code").null_count == n


def test_no_cluster_there_is_said(corpus: Path, tmp_path: Path) -> None:
    done = batch(str(corpus), "-o", str(tmp_path / "out"), "--engine", "ray", "--address", "127.0.0.1:1")
    assert done.returncode == 1
    assert "workers_failed" in done.stderr


def test_only_ray_has_an_address(corpus: Path, tmp_path: Path) -> None:
    assert batch(str(corpus), "-o", str(tmp_path / "out"), "--address", "auto").returncode == 2


def _until_up(port: int) -> None:
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("the store does not come up")


def _put(url: str, content: bytes) -> None:
    # Any type but that of a form, and any signature, satisfy the store.
    headers = {"Content-Type": "application/octet-stream", "Authorization": "AWS test:test"}
    request = urllib.request.Request(url, data=content, method="PUT", headers=headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 200
