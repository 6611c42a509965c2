"""What a bundle's gate and encoder reach on the test fold: the figures that its ``metrics`` keep."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cough.audio import SAMPLE_RATE_HZ, Waveform
from cough.bundle import Bundle, load_bundle
from cough.encoder import Encoder
from cough.gate import CoughGate
from cough.messages import RE_RECORD
from cough.quality import assess, judge
from training.benchmark import learnt_from, score_clips
from training.corpus import Corpus, Teacher
from training.gate_table import gate_table
from training.joined import read_corpora, read_teacher
from training.probe import IN_BUNDLE, probes
from training.stages import run_stage, stage_folder
from training.waves import Waves, read_waves

FIGURES = "figures.json"


@dataclass(frozen=True)
class FiguresJob:
    """The figures of one bundle's gate and encoder, to be made once; small enough to hand to a process."""

    bundle: Path
    corpus_roots: tuple[Path, ...]
    waves_folder: Path
    test_fold: int
    cache: Path
    inputs: dict[str, Any]
    """Everything that decides the outcome."""

    @property
    def folder(self) -> Path:
        """Where its ``FIGURES`` is kept."""
        return stage_folder(self.cache, "figures", self.inputs)

    def run(self) -> Path:
        """Measure, unless its folder is there already."""
        return run_stage(self.cache, "figures", self.inputs, self._measure)

    def _measure(self, folder: Path) -> None:
        corpus, waves = read_corpora(self.corpus_roots), read_waves(self.waves_folder)
        bundle, teacher = load_bundle(self.bundle), read_teacher(corpus)
        figures = measure(corpus, waves, teacher, bundle, test_fold=self.test_fold)
        (folder / FIGURES).write_text(json.dumps(figures))


def measure(
    corpus: Corpus, waves: Waves, teacher: Teacher, bundle: Bundle, *, test_fold: int
) -> dict[str, Any]:
    """Figures by part of ``BundleSpec.metrics``; ready for JSON."""
    gate = CoughGate(bundle)
    fold = corpus.where(lambda r: r.fold == test_fold and r.is_clip)
    learnt = fold[learnt_from(corpus, bundle, fold, test_fold=test_fold)]
    return {
        "gate": {"fold_5": _gate_figures(corpus, teacher, gate, np.setdiff1d(fold, learnt))},
        "quality": _quality_figures(corpus, waves, gate, test_fold),
        "encoder": {
            "probes_fold_5": probes(
                corpus, waves, teacher, Encoder(bundle), test_fold=test_fold, tasks=IN_BUNDLE, left_out=learnt
            )
        },
    }


def _gate_figures(corpus: Corpus, teacher: Teacher, gate: CoughGate, fold: np.ndarray) -> dict[str, Any]:
    """Clip-level figures of the exported gate on the test fold, the teacher's beside them.

    Parameters
    ----------
    fold : rows of its clips that the bundle did not learn from
    """
    rows = np.array([row for row in fold if corpus.recordings[row].is_cough is not None], dtype=np.int64)
    if len({corpus.recordings[r].is_cough for r in rows}) < 2:
        return {"note": "The test fold does not hold coughs and other sounds both that are new to the gate."}
    # Decoded as the service does: training has 16-bit samples, and a score at the threshold may cross it.
    scores = score_clips(corpus, gate, rows).scores
    table = gate_table(corpus, teacher, rows, scores, threshold=gate.spec.threshold)
    return {
        **table["pooled"],
        "by_source": table["by_source"],
        "note": "The test fold shares its sources with training; recordings of other corpora score lower.",
    }


def _quality_figures(corpus: Corpus, waves: Waves, gate: CoughGate, test_fold: int) -> dict[str, Any]:
    """How many cough clips of the test fold each re-record reason touches, at its defaults."""
    rows = corpus.where(lambda r: r.fold == test_fold and r.is_cough is True and r.is_clip)
    counts = dict.fromkeys(RE_RECORD, 0)
    for row in rows:
        waveform = Waveform.from_samples(waves.samples(int(row)), rate_hz=SAMPLE_RATE_HZ)
        for reason in judge(assess(waveform, gate.detect(waveform.samples).events)):
            counts[reason.code] += 1
    return {
        "test_set": f"fold {test_fold}, cough clips",
        "cough_clips": len(rows),
        "touched_by": counts,
    }
