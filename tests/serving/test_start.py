"""Starting ``cough serve`` for real."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from cough import errors
from serving.app import create_app
from tests.conftest import EXAMPLES
from tests.serving.conftest import quiet


def test_cough_serve_answers_and_stops_on_request() -> None:
    program = [sys.executable, "-c", "from cough.cli import main; main()", "serve", "--port", "0"]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            address = None
            for line in process.stderr:
                if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                    address = found.group()
                    break
            assert address
            data = (EXAMPLES / "synthetic_noise.ogg").read_bytes()
            response = httpx.post(f"{address}/v1/screenings", files={"file": data}, timeout=30)
            assert response.json()["outcome"] == "rerecord"
        finally:
            process.send_signal(signal.SIGINT)
            process.stderr.read()
            process.wait(20)


def test_a_bad_bundle_fails_at_start(tmp_path: Path) -> None:
    with pytest.raises(errors.BundleMissing):
        create_app(quiet(bundle=tmp_path))


def test_serving_imports_nothing_heavy() -> None:
    program = (
        "import sys; from serving.app import create_app; create_app()\n"
        "heavy = {'torch', 'torchaudio', 'librosa', 'sklearn', 'scipy', 'matplotlib', 'onnx'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
