"""Another model kept the promises of the one it replaced, and a bundle could state what cannot be."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from cough import errors
from cough.audio import Waveform
from cough.bundle import DEFAULT_BUNDLE, Bundle, load_bundle
from cough.screener import Screener
from tests.cough.test_bundle import edit, replace_file
from tests.training.test_condition import CONFIG, made
from training.diagnosis import train_condition


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped bundle."""
    return Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle"))


def test_a_condition_abstains_once_a_model_was_replaced(folder: Path, bout: np.ndarray) -> None:
    sound = Waveform.from_samples(bout, rate_hz=16_000)
    (before,) = Screener(folder).screen(sound).conditions
    assert "models_changed" not in before.abstained_because
    gate = onnx.load(folder / "gate.onnx")
    gate.doc_string = "The same gate, but nobody can know that."
    replace_file(folder, "gate.onnx", gate.SerializeToString())
    screener = Screener(folder)
    (after,) = screener.screen(sound).conditions
    assert "models_changed" in after.abstained_because
    assert after.probabilities == before.probabilities
    (person,) = screener.screen_person([sound, sound]).conditions
    assert "models_changed" in person.abstained_because
    # Who calibrates anew says so.
    files = json.loads((folder / "bundle.json").read_text())["files"]
    stated = {"gate.onnx": files["gate.onnx"]}
    edit(folder, lambda table: table["conditions"][0]["mediator"]["calibrated_with"].update(stated))
    (stated_again,) = Screener(folder).screen(sound).conditions
    assert stated_again == before


@pytest.mark.parametrize(
    "change",
    [
        lambda condition: condition["evidence"].update(sensitivity=97.8),
        lambda condition: condition["evidence"].update(auroc=71.9),
        lambda condition: condition["evidence"].update(n_positive=10**6),
        lambda condition: condition["evidence"]["margin_95"].reverse(),
        lambda condition: condition["symptoms"]["evidence"].update(sensitivity=69),
        lambda condition: condition["symptoms"].update(
            weights={"fevr": 1.0}, averages={**condition["symptoms"]["averages"], "fevr": 0.5}
        ),
        lambda condition: condition.update(name=""),
    ],
    ids=["percent", "auroc", "counts", "interval", "symptoms", "typo", "name"],
)
def test_figures_that_cannot_be_are_refused(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    edit(folder, lambda table: change(table["conditions"][0]))
    with pytest.raises(errors.BundleIncompatible):
        load_bundle(folder)


def test_hashes_in_capitals_are_the_same(folder: Path) -> None:
    def capitals(table: dict[str, Any]) -> None:
        table["files"] = {name: sha.upper() for name, sha in table["files"].items()}

    edit(folder, capitals)
    assert load_bundle(folder).spec.files == load_bundle().spec.files


def test_a_class_of_a_single_fold_is_refused(bundle: Bundle) -> None:
    """With three classes it trained, and gave one of them what belonged to another."""
    data = made(signal=1.0, level_signal=0.0, bundle=bundle)
    learnt = data.folds[~np.isin(data.folds, (CONFIG.test_fold, "4"))]
    rare = (data.folds == min(learnt)) | (data.folds == CONFIG.test_fold) | (data.folds == "4")
    labels = np.where(rare, data.labels, 0)
    with pytest.raises(errors.ManifestInvalid, match=r"in two of the folds .* it is in 1 alone"):
        train_condition(CONFIG, dataclasses.replace(data, labels=labels), bundle)
