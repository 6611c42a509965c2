"""What is written down about public corpora, and ``cough data list`` and ``info``."""

from __future__ import annotations

import importlib
import json
import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from cough import errors
from cough.evaluation.choices import Beside, LabelColumn, Where
from cough.manifest import Manifest
from tests.cough.test_cli import run
from tests.training.corpora.layouts import LAYOUTS
from training.corpora import dataset
from training.corpora.form import prepare
from training.stages import PROJECT

NAMES = (
    "aicv115m", "coda_tb", "coswara", "coughvid", "covid19_cough", "covid19_sounds", "dicova1", "dicova2",
    "esc50", "flusense", "fsd50k", "uk_covid19", "virufy",
)  # fmt: skip


def test_every_corpus_is_described() -> None:
    known = dataset.datasets()
    assert tuple(known) == NAMES
    for facts in known.values():
        assert facts.traps and facts.checked and facts.subjects and facts.labels
        for file in facts.files:
            assert file.url.startswith("https://")


def test_names_are_forgiving_and_unknown_ones_say_what_there_is() -> None:
    assert dataset.dataset("ESC-50".replace("-", "")).name == "esc50"
    assert dataset.dataset("covid19-cough").name == "covid19_cough"
    with pytest.raises(errors.CorpusUnknown, match="esc50"):
        dataset.dataset("nothing")
    with pytest.raises(errors.CorpusUnknown, match="v1, v2, v3"):
        dataset.dataset("coughvid").choose(("v4",))
    assert [file.part for file in dataset.dataset("coughvid").choose()] == ["v3"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: text.replace("name: esc50", "name: esc51"), "calls itself"),
        (lambda text: text.replace("md5: null", "md5: abc"), "md5"),
        (lambda text: text.replace("    no_checksum:", "    x_no_checksum:"), "x_no_checksum"),
        (lambda text: text + "more: 1\n", "more"),
        (lambda text: "a: [", "esc50"),
        (lambda text: text.replace("access: open", "access: agreement"), "ask"),
    ],
)
def test_a_file_that_is_not_right_says_where(tmp_path: Path, change: object, why: str) -> None:
    path = tmp_path / "esc50" / dataset.FILE
    path.parent.mkdir()
    text = (dataset.FOLDER / "esc50" / dataset.FILE).read_text()
    path.write_text(text)
    assert dataset.read(path) == dataset.dataset("esc50")
    path.write_text(change(text))  # type: ignore[operator]
    with pytest.raises(errors.DatasetInvalid, match=why):
        dataset.read(path)


def test_list_and_info() -> None:
    done = run("data", "list", "--json")
    assert done.returncode == 0
    assert tuple(json.loads(line)["name"] for line in done.stdout.splitlines()) == NAMES
    words = run("data", "list").stdout
    assert all(name in words for name in NAMES)
    done = run("data", "info", "coughvid")
    assert "7c6cdf184748a2600538c331ba0ba718" in done.stdout
    assert json.loads(run("data", "info", "coughvid", "--json").stdout)["size"]["recordings"] == 34434
    done = run("data", "info", "nothing")
    assert (done.returncode, done.stdout) == (2, "")
    assert "corpus_unknown" in done.stderr
    help_text = run("data", "--help").stdout
    assert all(command in help_text for command in ("validate", "list", "info"))


def test_words_that_are_no_class_come_with_the_option_that_counts_them() -> None:
    told = {name: facts.evaluate for name, facts in dataset.datasets().items() if facts.evaluate}
    assert set(told) == {"coswara", "coughvid", "covid19_cough"}
    for name, options in told.items():
        assert f"evaluate  {options}" in run("data", "info", name).stdout.splitlines()
    for name in ("coswara", "coughvid"):
        option, text = shlex.split(told[name])
        label = LabelColumn.parse(text)
        assert (option, label.condition, label.column) == ("--label", "covid19", "covid_status")
        words = {word for kind in label.classes for word in kind.split("|")}
        assert {"negative", "positive"} < words
        assert words <= set(importlib.import_module(f"training.corpora.{name}").STATUS.values())


def test_what_follows_the_label_comes_with_the_option_that_sets_it_beside_the_sound(tmp_path: Path) -> None:
    options = shlex.split(dataset.dataset("covid19_cough").evaluate or "")
    assert options[::2] == ["--where", "--beside"]
    prepare("covid19_cough", LAYOUTS["covid19_cough"][1](tmp_path / "raw"), tmp_path / "out")
    columns = Manifest.open(tmp_path / "out").header()
    assert Where.parse(options[1], columns).word == "call-center"
    assert set(Beside.parse(options[3]).columns) <= set(columns)


def test_without_the_training_package_it_says_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "cough").symlink_to(PROJECT / "cough")
    paths = os.pathsep.join([str(tmp_path), sysconfig.get_path("purelib")])
    done = subprocess.run(
        [sys.executable, "-S", "-c", "from cough.cli import main; main()", "data", "list"],
        env={**os.environ, "PYTHONPATH": paths},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "missing_extra" in done.stderr
    assert "corpora" in done.stderr
