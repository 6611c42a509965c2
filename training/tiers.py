"""The gate of both licence tiers, side by side on the same recordings.

    python -m training.tiers        # trains what the cache lacks -> training/results/gate/tiers.{json,md}

``all`` learns from every licensed recording, ``open`` from none that is non-commercial. The gate of the
shipped bundle stands for its tier, if the short gates give its calibration and threshold again; any other is
trained. Both are judged on fold 5, with and without its non-commercial clips, and, by their short gates, on
those open recordings of folds 1-4 whose source neither tier's gate had heard. The bundle of the open tier,
encoder and heads with it: ``python -m training.pipeline --licences open --out DIR``, which takes up what is
trained here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cough.bundle import Bundle, load_bundle
from cough.gate import CoughGate
from training.assemble import calibrated_gate
from training.audible import audible_parts
from training.benchmark import RESULTS, TEST_FOLD, fold_rows, provenance, score_clips, table, write_result
from training.calibration import Calibration, calibrate_on_heldout
from training.clips import is_silent
from training.config import TrainingConfig
from training.corpus import Corpus, Teacher
from training.decoded import prepare_waves
from training.gate_table import TITLES, gate_table, interval, number
from training.joined import read_teacher
from training.options import chosen_config, corpus_parser
from training.parts import usable
from training.pipeline import gate_stage, shared_inputs, unheard_stage
from training.scoring import clip_scores
from training.waves import Waves, read_waves

Tier = Literal["all", "open"]
TIERS: tuple[Tier, ...] = ("all", "open")
TESTS = {
    "leave_sources_out": "Short gates, on open recordings of folds 1-4 whose source they never heard, silent "
    "clips left out",
    "fold_5": "The gates, on fold 5; of its non-commercial clips the open gate heard no other by the same "
    "source but ESC-10's",
    "fold_5_open": "The gates, on the open clips of fold 5",
}


@dataclass(frozen=True)
class TierGate:
    """One tier's gate and what its short gates made of recordings whose source they never heard."""

    gate: CoughGate
    sha256: str
    trained_on: int
    heldout: dict[int, float]
    """Calibrated clip scores of labelled recordings, by row."""


def main() -> None:
    """Command line; ``--help`` tells."""
    parser = corpus_parser(__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    corpus = Corpus.read(arguments.corpus)
    teacher = read_teacher(corpus)
    shipped = load_bundle()
    configs = {tier: chosen_config(parser, arguments.config, [f'licences="{tier}"']) for tier in TIERS}
    waves_folder = prepare_waves(corpus, arguments.cache, configs["all"])
    waves = read_waves(waves_folder)
    gates = {
        tier: _tier_gate(corpus, teacher, waves, waves_folder, arguments.cache, config, shipped)
        for tier, config in configs.items()
    }
    result: dict[str, Any] = {
        **provenance(corpus, shipped, seed=configs["all"].seed),
        "title": "The gate of both licence tiers",
        "tiers": {
            tier: {
                "gate_sha256": gate.sha256,
                "shipped": gate.sha256 == shipped.spec.files[shipped.spec.gate.file],
                "trained_on": gate.trained_on,
                "threshold": gate.gate.spec.threshold,
            }
            for tier, gate in gates.items()
        },
        "tests": _tests(corpus, teacher, waves, gates),
    }
    write_result(arguments.out, "tiers", result, as_markdown(result), command="training.tiers")
    print(as_markdown(result))


def _tier_gate(
    corpus: Corpus,
    teacher: Teacher,
    waves: Waves,
    waves_folder: Path,
    cache: Path,
    config: TrainingConfig,
    shipped: Bundle,
) -> TierGate:
    training = usable(corpus, config)
    inputs = (corpus, (corpus.root,), waves_folder, cache, config)
    shared = shared_inputs(corpus, waves, teacher, training, config)
    heldout = audible_parts(unheard_stage(*inputs, shared), waves)
    held = calibrate_on_heldout(corpus, waves, teacher, heldout, config)
    if _is_calibrated_by(held, shipped, config):
        bundle = shipped
    else:
        trained, *_ = gate_stage(*inputs, shared)
        spec, onnx, _ = calibrated_gate(trained.network, held, waves, training, config)
        files = {**shipped.spec.files, spec.file: hashlib.sha256(onnx).hexdigest()}
        bundle = Bundle(
            shipped.spec.model_copy(update={"gate": spec, "files": files}),
            "",
            {**shipped.contents, spec.file: onnx},
        )
    scores = clip_scores(heldout.logits, config.gate.score_frames, slope=held.slope, shift=held.shift)
    return TierGate(
        CoughGate(bundle),
        bundle.spec.files[bundle.spec.gate.file],
        len(training),
        {
            row: score
            for row, score in zip(heldout.rows.tolist(), scores.tolist(), strict=True)
            if corpus.recordings[row].is_cough is not None
        },
    )


def _is_calibrated_by(held: Calibration, shipped: Bundle, config: TrainingConfig) -> bool:
    """Whether the shipped gate is of this tier, and these scores are what its calibration came from."""
    gate = shipped.spec.gate
    return shipped.spec.training.config.get("licences") == config.licences and (
        gate.threshold_chosen,
        gate.calibration,
    ) == (held.threshold_chosen, held.calibration)


def _tests(
    corpus: Corpus, teacher: Teacher, waves: Waves, gates: Mapping[Tier, TierGate]
) -> dict[str, dict[str, Any]]:
    """``gate_table`` of each test and tier."""
    both = sorted(set.intersection(*(set(gate.heldout) for gate in gates.values())))
    heldout = [row for row in both if not is_silent(waves.samples(row))]
    fold_5 = fold_rows(corpus, TEST_FOLD).tolist()
    tests: dict[str, dict[str, Any]] = {name: {} for name in TESTS}
    for tier, gate in gates.items():
        scored = score_clips(corpus, gate.gate, np.array(fold_5)).scores
        heard = dict(zip(fold_5, scored.tolist(), strict=True))
        open_rows = [row for row in fold_5 if corpus.recordings[row].licence_class == "open"]
        for name, rows, scores in (
            ("leave_sources_out", heldout, gate.heldout),
            ("fold_5", fold_5, heard),
            ("fold_5_open", open_rows, heard),
        ):
            tests[name][tier] = gate_table(
                corpus,
                teacher,
                np.array(rows),
                np.array([scores[row] for row in rows]),
                threshold=gate.gate.spec.threshold,
            )
    return tests


def as_markdown(result: dict[str, Any]) -> str:
    """Both tiers' pooled figures, mn04's beside them."""
    parts = [
        "\n".join(
            f"- `{name}`{' (shipped in that bundle)' if tier['shipped'] else ''}: learnt from "
            f"{tier['trained_on']} recordings, threshold "
            f"{tier['threshold']}, gate.onnx `{tier['gate_sha256'][:12]}`"
            for name, tier in result["tiers"].items()
        )
    ]
    for test, title in TESTS.items():
        pooled = {tier: result["tests"][test][tier]["pooled"] for tier in TIERS}
        detectors = [pooled["all"]["ours"], pooled["open"]["ours"], pooled["all"]["mn04"]]
        rows = [
            [name, *(f"{number(d.get(key))} {interval(d.get(f'{key}_95'))}".strip() for d in detectors)]
            for key, name in TITLES.items()
        ]
        parts.append(
            f"**{title}**: {pooled['all']['coughs']} coughs, {pooled['all']['others']} other sounds.\n\n"
            + table(["figure", "`all`", "`open`", "mn04"], rows)
        )
    parts.append(
        "Intervals are 95 %, by groups. mn04 stands where it finds as many coughs as `all` does. Thresholds "
        "and calibration of each tier were chosen on at most a few clips a group of its own held-out "
        "recordings."
    )
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
