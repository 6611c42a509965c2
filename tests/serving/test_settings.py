"""Settings: where they come from, what is refused, and that all of them are described."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from cough.cli import app
from serving.settings import Settings, show


@pytest.fixture(autouse=True)
def nothing_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and no variable of ours."""
    import os

    for name in os.environ:
        if name.startswith("COUGH_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_who_overrides_whom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().workers == 2
    (tmp_path / "cough-serve.toml").write_text("workers = 3\nport = 1\nrate = '1/minute'\nmax_files = 3\n")
    (tmp_path / ".env").write_text(
        "COUGH_WORKERS=4\nCOUGH_PORT=2\nCOUGH_RATE=2/minute\nOTHER=1\nCOUGH_CORPUS=x\n"
    )
    monkeypatch.setenv("COUGH_WORKERS", "5")
    monkeypatch.setenv("COUGH_PORT", "3")
    settings = Settings(workers=6)
    assert (settings.workers, settings.port, settings.rate, settings.max_files) == (6, 3, "2/minute", 3)
    monkeypatch.setenv("COUGH_CONFIG", str(tmp_path / "other.toml"))
    with pytest.raises(ValueError, match=r"other\.toml"):
        Settings()
    (tmp_path / "other.toml").write_text("max_files = 5")
    assert Settings().max_files == 5


def test_a_misspelt_name_in_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cough-serve.toml").write_text("wokers = 3")
    with pytest.raises(ValueError, match="wokers"):
        Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("workers", "0"),
        ("port", "70000"),
        ("rate", "often"),
        ("deadline_s", "0"),
        ("deadline_s", "inf"),
        ("max_bytes", "-1"),
        ("redis_url", "http://x"),
        ("log_level", "loud"),
    ],
)
def test_nonsense_is_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"COUGH_{name.upper()}", value)
    with pytest.raises(ValidationError):
        Settings()
    done = CliRunner().invoke(app, ["serve", "--show-config"])
    assert done.exit_code == 2
    assert f"COUGH_{name.upper()}" in done.output


def test_what_is_shown_can_be_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUGH_REDIS_URL", "redis://:hidden@db/0")
    done = CliRunner().invoke(app, ["serve", "--show-config", "--workers", "7", "--host", "::1"])
    assert done.exit_code == 0
    assert "hidden" not in done.output
    shown = tomllib.loads(done.stdout)
    assert (shown["workers"], shown["host"]) == (7, "::1")
    monkeypatch.delenv("COUGH_REDIS_URL")
    (tmp_path / "cough-serve.toml").write_text(show(Settings(workers=7, host="::1")))
    assert Settings() == Settings(workers=7, host="::1")


def test_every_setting_is_described() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description and field.description.endswith("."), name


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("x", False),
    ],
)
def test_what_counts_as_loopback(host: str, loopback: bool) -> None:
    assert Settings(host=host).on_loopback is loopback
