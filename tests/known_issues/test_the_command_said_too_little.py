"""``cough screen`` gave an answer without its notice; an error was no JSON with ``info`` and ``events``;
a picture's name was looked at after the work; what ``--symptom`` takes was told in pydantic's words.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cough
from cough.cli import app
from cough.messages import NOTICE
from tests.conftest import EXAMPLES

GOOD = str(EXAMPLES / "synthetic_cough.m4a")


def test_an_answer_in_words_carries_the_notice() -> None:
    assert CliRunner().invoke(app, ["screen", GOOD]).stdout.splitlines()[-1] == NOTICE


@pytest.mark.parametrize("command", [["screen", "--json"], ["info", "--json"], ["events", "--json"]])
def test_an_error_is_json_for_whoever_asked_for_it(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_text("no sound")
    result = CliRunner().invoke(app, [*command, str(tmp_path / "x.wav")])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["code"] == "not_audio"
    assert "not_audio" in result.stderr


@pytest.mark.parametrize("target", ["p.xyz", "nowhere/p.png"])
def test_a_picture_that_cannot_be_written_is_refused_first(target: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["screen", GOOD, "--plot", str(tmp_path / target)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("said", "told"),
    [("shoe=42", "sore_throat"), ("fever=maybe", "yes or no"), ("age=200", "0 to 120"), ("sex=x", "female")],
)
def test_what_a_person_may_say_is_told(said: str, told: str) -> None:
    result = CliRunner(env={"COLUMNS": "300"}).invoke(app, ["screen", GOOD, "--symptom", said])
    assert result.exit_code == 2
    assert told in result.stderr


def test_the_version() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout == f"cough {cough.__version__}\n"
