"""What the Dockerfile and the compose file say, where it can be checked without Docker."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import httpx
import pytest

from serving.keys import add
from serving.settings import Settings
from tests.serving.test_start import COMMAND, screen

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
FINAL = DOCKERFILE.rpartition("\nFROM ")[2]


def variables() -> dict[str, str]:
    """What ``ENV`` sets in the final image for the service."""
    return dict(re.findall(r"(COUGH_\w+)=(\S+)", FINAL))


def test_the_containers_command_is_the_one_that_is_tested(tmp_path: Path) -> None:
    """With its variables, from an empty folder; only the port and the keys are this test's own."""
    command = json.loads(re.findall(r"^CMD (\[.*\])$", FINAL, re.M)[-1])
    assert command == ["cough", "serve"] == [Path(COMMAND[0]).name, *COMMAND[1:]]
    key = add(tmp_path / "keys", "app")
    settings = {**variables(), "COUGH_PORT": "0", "COUGH_KEYS": str(tmp_path / "keys")}
    assert settings["COUGH_HOST"] == "0.0.0.0"
    with subprocess.Popen(
        COMMAND, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env={**os.environ, **settings}
    ) as process:
        try:
            assert process.stderr is not None
            found = None
            while not found:
                found = re.search(r"http://0\.0\.0\.0:(\d+)", process.stderr.readline())
            url = f"http://127.0.0.1:{found[1]}"
            assert screen(url) == 401
            assert httpx.get(f"{url}/readyz").status_code == 200
            models = httpx.get(f"{url}/v1/models", headers={"Authorization": f"Bearer {key}"})
            assert models.status_code == 200
        finally:
            process.terminate()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["keys"]


def test_the_image_is_not_root_and_every_requirement_has_its_hash() -> None:
    assert re.search(r"^USER (?!0|root)\S+$", FINAL, re.M)
    assert "HEALTHCHECK" in FINAL and "/readyz" in FINAL
    assert DOCKERFILE.count("--require-hashes") == 2
    for name in ("requirements.lock", "requirements-build.lock"):
        text = (ROOT / name).read_text()
        requirements = [block for block in re.split(r"^(?=\w)", text, flags=re.M) if block.strip()]
        assert requirements
        for block in requirements:
            assert re.match(r"[\w.-]+==\S+ \\\n\s+--hash=sha256:[0-9a-f]{64}", block), block[:80]
        assert "://" not in text and "file:" not in text


def test_the_lock_holds_what_serving_needs() -> None:
    locked = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.M))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["serve"]]
    assert {re.split(r"[<>=]", requirement)[0] for requirement in wanted} <= locked


def test_every_variable_is_a_setting() -> None:
    compose = (ROOT / "compose.yaml").read_text()
    for text in (DOCKERFILE, compose):
        for name in re.findall(r"COUGH_(\w+)\s*[:=]", text):
            assert name.lower() in Settings.model_fields, name


def test_there_is_time_to_finish() -> None:
    """Docker kills after the grace period."""
    yaml = pytest.importorskip("yaml")
    service = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["cough"]
    defaults = Settings(_env_file=None)
    assert int(service["stop_grace_period"].rstrip("s")) > defaults.upload_s + defaults.deadline_s
    assert service["read_only"] is True
