"""The gate of both licence tiers, side by side on the same recordings.

    python -m training.tiers        # trains what the cache lacks -> training/results/gate/tiers.{json,md}

``all`` learns from every licensed recording, ``open`` from none that is non-commercial. Both are judged
on fold 5, and, by their short gates, on those recordings of folds 1-4 whose source neither tier's gate
had heard. Recordings that only one tier may learn from are told apart: the open tier never hears their
sources at all. The bundle of the open tier, encoder and heads with it: ``python -m training.pipeline
--licences open --out DIR``, which takes up what is trained here.
"""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.progress import track

from cough.bundle import Bundle, load_bundle
from cough.gate import CoughGate
from training.assemble import Parts, TrainedGate, calibrated_gate
from training.benchmark import RESULTS, TEST_FOLD, fold_rows, provenance, table, write_result
from training.calibration import calibrate_on_heldout
from training.clips import is_silent
from training.config import TrainingConfig, read_config
from training.corpus import Corpus, Teacher, corpus_path
from training.gate_table import TITLES, gate_table, interval, number
from training.networks import unfold_encoder
from training.parts import usable
from training.pipeline import gate_stage, prepare_waves, shared_inputs
from training.scoring import clip_scores
from training.stages import PROJECT
from training.waves import Waves, read_waves

Tier = Literal["all", "open"]
TIERS: tuple[Tier, ...] = ("all", "open")


@dataclass(frozen=True)
class Judged:
    """One tier's gate and what is judged of it."""

    gate: CoughGate
    trained_on: int
    heldout: dict[int, float]
    """Calibrated clip scores of labelled recordings by gates that never heard the source."""


def main() -> None:
    """Command line; ``--help`` tells."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, default=PROJECT / "training" / "default.toml")
    parser.add_argument("--corpus", type=Path, default=corpus_path())
    parser.add_argument("--cache", type=Path, default=PROJECT / ".cache")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    corpus = Corpus.read(arguments.corpus)
    teacher = Teacher.read(corpus)
    shipped = load_bundle()
    configs = {tier: read_config(arguments.config, [f'licences="{tier}"']) for tier in TIERS}
    waves_folder = prepare_waves(corpus, arguments.cache, configs["all"])
    waves = read_waves(waves_folder)
    tiers = {
        tier: _judged(corpus, teacher, waves, waves_folder, arguments.cache, config, shipped)
        for tier, config in configs.items()
    }
    both = sorted(set.intersection(*(set(judged.heldout) for judged in tiers.values())))
    heldout = np.array([row for row in both if not is_silent(waves.samples(row))])
    fold_5 = fold_rows(corpus, TEST_FOLD)
    result: dict[str, Any] = {
        **provenance(corpus, shipped, seed=configs["all"].seed),
        "title": "The gate of both licence tiers",
        "tiers": {
            tier: {
                "trained_on": judged.trained_on,
                "threshold": judged.gate.spec.threshold,
                "leave_sources_out": gate_table(
                    corpus,
                    teacher,
                    heldout,
                    np.array([judged.heldout[row] for row in heldout.tolist()]),
                    threshold=judged.gate.spec.threshold,
                ),
                "fold_5": gate_table(
                    corpus,
                    teacher,
                    fold_5,
                    np.array(
                        [
                            judged.gate.detect(waves.samples(int(row))).cough_score
                            for row in track(fold_5, description=f"scoring the test fold, {tier}")
                        ]
                    ),
                    threshold=judged.gate.spec.threshold,
                ),
            }
            for tier, judged in tiers.items()
        },
    }
    write_result(arguments.out, "tiers", result, as_markdown(result), command="training.tiers")
    print(as_markdown(result))


def _judged(
    corpus: Corpus,
    teacher: Teacher,
    waves: Waves,
    waves_folder: Path,
    cache: Path,
    config: TrainingConfig,
    shipped: Bundle,
) -> Judged:
    training = usable(corpus, config)
    shared = shared_inputs(corpus, waves, teacher, training, config)
    gate, _ = gate_stage(corpus, (corpus.root,), waves_folder, cache, config, shared)
    held = calibrate_on_heldout(corpus, waves, teacher, gate.heldout, config)
    scores = clip_scores(
        gate.heldout.logits, config.gate.score_frames, slope=held.slope, shift=held.shift
    ).tolist()
    rows = gate.heldout.rows.tolist()
    return Judged(
        CoughGate(_draft(corpus, teacher, waves, training, gate, config, shipped)),
        len(training),
        {
            row: score
            for row, score in zip(rows, scores, strict=True)
            if corpus.recordings[row].is_cough is not None
        },
    )


def _draft(
    corpus: Corpus,
    teacher: Teacher,
    waves: Waves,
    training: np.ndarray,
    gate: TrainedGate,
    config: TrainingConfig,
    shipped: Bundle,
) -> Bundle:
    """The shipped bundle with another gate."""
    encoder = unfold_encoder(shipped.contents[shipped.spec.encoder.file])
    spec, onnx, _ = calibrated_gate(
        Parts(corpus, waves, teacher, training, gate, encoder, (corpus.root,)), config
    )
    files = {**shipped.spec.files, spec.file: hashlib.sha256(onnx).hexdigest()}
    return Bundle(
        shipped.spec.model_copy(update={"gate": spec, "files": files}),
        "",
        {**shipped.contents, spec.file: onnx},
    )


def as_markdown(result: dict[str, Any]) -> str:
    """Both tiers' pooled figures, mn04's beside them."""
    parts = []
    titles = {
        "leave_sources_out": "Short gates, on recordings of folds 1-4 whose source they never heard, silent "
        "clips left out",
        "fold_5": "The gates, on fold 5: the open one never heard the sources of its non-commercial clips",
    }
    tiers = result["tiers"]
    for test, title in titles.items():
        pooled = {tier: tiers[tier][test]["pooled"] for tier in TIERS}
        some = pooled["all"]
        rows = []
        for figure, name in TITLES.items():
            cells = [
                f"{number(row.get(figure))} {interval(row.get(f'{figure}_95'))}".strip()
                for row in (pooled["all"]["ours"], pooled["open"]["ours"], some["mn04"])
            ]
            rows.append([name, *cells])
        parts.append(
            f"{title}: {some['coughs']} coughs, {some['others']} other sounds. Intervals are 95 %, by "
            "groups; mn04 stands where it finds as many coughs as `all` does.\n\n"
            + table(["figure", "`all`", "`open`", "mn04"], rows)
        )
    heads = [
        f"- `{name}`: {tier['trained_on']} recordings to learn from, threshold {tier['threshold']}"
        for name, tier in tiers.items()
    ]
    return "\n".join(heads) + "\n\n" + "\n\n".join(parts)


if __name__ == "__main__":
    main()
