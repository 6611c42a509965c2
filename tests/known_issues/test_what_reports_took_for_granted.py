"""Reports took every clip of fold 5 for one that the bundle never heard, a teacher for there, and a few who
agree for certainty.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cough import errors
from cough.audio import decode
from cough.bundle import Bundle
from cough.evaluation.metrics import auroc, sensitivity
from cough.heard import HEARD, fingerprint, write_heard
from tests.training.test_gate_report import corpus as corpus
from tests.training.test_gate_report import teacher as teacher
from training.benchmark import unlearnt_rows
from training.corpus import Corpus, Teacher
from training.disturbances import disturbances
from training.evidence import Judged, margin_over_levels, rarest_class
from training.gate_report import report
from training.gate_table import bootstrapped
from training.joined import read_teacher


def that_heard(bundle: Bundle, corpus: Corpus, *names: str) -> Bundle:
    """The bundle, had it been trained on these of the corpus' clips."""
    known = write_heard(fingerprint(decode(corpus.root / name).samples) for name in names)
    training = bundle.spec.training.model_copy(update={"heard": HEARD})
    spec = bundle.spec.model_copy(update={"training": training})
    return replace(bundle, spec=spec, contents={**bundle.contents, HEARD: known})


def test_what_the_bundle_learnt_from_is_not_tested_on(
    corpus: Corpus, teacher: Teacher, bundle: Bundle, tmp_path: Path
) -> None:
    """A corpus that a stranger prepared has folds of its own: they are not those of the training."""
    heard = that_heard(bundle, corpus, "0.wav", "4.wav")
    rows, n_left_out = unlearnt_rows(corpus, heard)
    assert (rows.tolist(), n_left_out) == ([1, 2, 3, 5], 2)
    report(corpus, teacher, heard, out=tmp_path / "out", worst=tmp_path / "worst")
    assert json.loads((tmp_path / "out" / "fold_5.json").read_text())["left_out_as_learnt_from"] == 2
    assert "2 clips of the fold are left out" in (tmp_path / "out" / "fold_5.md").read_text()
    with pytest.raises(errors.CorpusTooSmall):
        unlearnt_rows(corpus, that_heard(bundle, corpus, "3.wav", "4.wav", "5.wav"))


def test_a_report_without_a_teacher_has_none(corpus: Corpus, bundle: Bundle, tmp_path: Path) -> None:
    report(corpus, read_teacher(corpus), bundle, out=tmp_path / "out", worst=tmp_path / "worst")
    assert (tmp_path / "out" / "reliability.png").stat().st_size > 1_000
    worst = json.loads((tmp_path / "worst" / "worst.json").read_text())
    assert all("mn04" not in clip and "ours" in clip for clips in worst.values() for clip in clips)


def test_disturbances_without_sounds_to_make_them_of_are_left_out() -> None:
    changes = disturbances(None, [])
    assert not {"cafe_10", "room"} & set(changes)
    cafe = disturbances(np.random.default_rng(0).standard_normal(16_000), [])["cafe_10"]
    long = np.random.default_rng(1).standard_normal(40_000).astype(np.float32)
    assert cafe.apply(long, np.random.default_rng(2)).shape == long.shape


def test_a_few_who_agree_are_not_certain() -> None:
    cough = np.arange(16) < 8
    groups, scores = np.arange(16), np.where(cough, 0.9, 0.1)
    for figure, among in ((auroc, cough), (lambda y, s: sensitivity(y, s, threshold=0.5), cough)):
        low, high = bootstrapped(figure, cough, groups, scores, among=among, resamples=50) or [0.0, 0.0]
        assert 0.5 < low < 0.8
        assert high == 1.0


def test_a_perfect_score_of_ten_people_is_not_shown_to_be_above_levels() -> None:
    labels = np.repeat([0, 1], 5)
    perfect = np.stack([1.0 - labels, labels], axis=1)
    random = np.random.default_rng(4)
    second = np.clip(0.4 * labels + random.random(10), 0, 1)
    data = SimpleNamespace(labels=labels, groups=np.arange(10))
    judged = Judged(data, {}, perfect, np.stack([1 - second, second], axis=1), perfect)  # type: ignore[arg-type]
    low, high = margin_over_levels(judged, perfect)
    assert low < 0 < high


def test_nobody_at_all_is_of_no_class() -> None:
    """As where no pairs could be matched by their levels."""
    assert rarest_class(np.zeros(0, int), np.zeros(0, int)).tolist() == []
    assert rarest_class(np.array([0, 1, 1, 2, 2]), np.array([5, 6, 6, 7, 8])).tolist() == [True] + 4 * [False]
