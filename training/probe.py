"""How much an embedding knows: linear probes, always beside the teacher's own and a classical set.

    python -m training.probe                       # the shipped encoder

Four questions: which event a clip holds, which of ESC-50's 50 sounds (Piczak 2015, its own fold 5), which sex
(rows that state it), which COVID-19 status (the call centre). A recording is the mean of its one-second
windows, for the encoder, for EfficientAT mn04 and for the 88 librosa statistics of ``training.classical``
alike. Ridge-logistic layers learn from folds 1-4, their strength chosen there fold by fold; fold 5 answers.
Groups never straddle. Events: at most 60 clips each to learn from and to be asked about, drawn by seed.
ESC-50 is asked about one of its five folds only, because the encoder was told the sounds of the other four;
the mean over five, as others report it, would flatter it. Writes probes.json and probes.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from cough import errors
from cough.audio import SAMPLE_RATE_HZ
from cough.bundle import load_bundle
from cough.encoder import Encoder
from cough.evaluation.metrics import auroc, group_bootstrap
from cough.evaluation.resampling import unanimous
from cough.gate import CoughEvent
from training.benchmark import bundle_parser, chosen_out, learnt_from
from training.classical import ClassicalFeatures
from training.config import read_config
from training.corpus import Corpus, Recording, Teacher
from training.decoded import prepare_waves
from training.evidence import rarest_class
from training.joined import read_corpora, read_teacher
from training.stages import PROJECT, code_version
from training.waves import Waves, read_waves

RESULTS = PROJECT / "training" / "results" / "encoder"
RIDGES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
"""Inverse regularisation strengths tried."""
SEED = 20_201


def _event(recording: Recording) -> str:
    return "" if recording.event == "unlabelled" else recording.event


def _esc50(recording: Recording) -> str:
    return recording.sublabel if recording.source == "esc50" else ""


def _sex(recording: Recording) -> str:
    return recording.sex if recording.sex in ("male", "female") else ""


def _status(recording: Recording) -> str:
    counted = recording.channel == "call-center" and not recording.label_conflict
    return recording.covid_status if counted and recording.covid_status in ("positive", "negative") else ""


TASKS: dict[str, Callable[[Recording], str]] = {
    "event_accuracy": _event,
    "esc50_accuracy": _esc50,
    "sex_auroc": _sex,
    "covid19_auroc": _status,
}
"""What is asked, and measured in -> a recording's class, empty where it has none."""
IN_BUNDLE = ("esc50_accuracy", "sex_auroc", "covid19_auroc")
"""Those that a training run asks."""
CLIPS_AN_EVENT = 60
NOTHING = np.zeros(0, np.int64)


def probes(
    corpus: Corpus,
    waves: Waves,
    teacher: Teacher,
    encoder: Encoder,
    *,
    test_fold: int,
    tasks: tuple[str, ...] = tuple(TASKS),
    left_out: np.ndarray = NOTHING,
) -> dict[str, Any]:
    """Figures of every task for each of the three representations.

    Parameters
    ----------
    left_out : rows that the encoder was trained on, though they are of the test fold
    """
    out: dict[str, Any] = {}
    classical = ClassicalFeatures().eval()
    for task in tasks:
        classes = np.array([TASKS[task](r) if r.is_clip else "" for r in corpus.recordings])
        rows = np.setdiff1d(np.flatnonzero(classes != ""), left_out)
        if task == "event_accuracy":
            rows = _some_of_each(corpus, rows, classes, test_fold=test_fold)
        recordings = [corpus.recordings[row] for row in rows]
        folds = np.array([recording.fold for recording in recordings])
        groups = np.array([recording.group_id for recording in recordings])
        clips = [waves.samples(int(row)) for row in rows]
        test = folds == test_fold
        if len(set(classes[rows][~test])) < 2 or len(set(classes[rows][test])) < 2:
            continue
        asked = [teacher.embeddings[teacher.embedding_rows == row].astype(float) for row in rows]
        heard = {
            "ours": np.array([_ours(clip, encoder) for clip in track(clips, description=f"probing {task}")]),
            "classical": np.array([_classical(clip, classical) for clip in clips]),
        }
        if all(len(windows) for windows in asked):
            heard["mn04"] = np.array([windows.mean(axis=0) for windows in asked])
        out[task] = {
            "classes": len(set(classes[rows])),
            "train_clips": int((~test).sum()),
            "test_clips": int(test.sum()),
            "figures": {
                name: _figures(features, classes[rows], folds, groups, test, by_auroc=task.endswith("auroc"))
                for name, features in heard.items()
            },
        }
    return out


def _some_of_each(corpus: Corpus, rows: np.ndarray, classes: np.ndarray, *, test_fold: int) -> np.ndarray:
    """At most ``CLIPS_AN_EVENT`` rows of each class to learn from, and as many to be asked about."""
    random = np.random.default_rng([SEED, 1])
    tested = np.array([corpus.recordings[row].fold == test_fold for row in rows])
    known = set(classes[rows[~tested]])
    chosen = [
        random.permutation(rows[(classes[rows] == name) & (tested == part)])[:CLIPS_AN_EVENT]
        for name in sorted(known)
        for part in (False, True)
    ]
    return np.sort(np.concatenate(chosen))


def _ours(samples: np.ndarray, encoder: Encoder) -> np.ndarray:
    seconds = max(1, len(samples) // SAMPLE_RATE_HZ)
    windows = [CoughEvent(start_s=float(s), end_s=float(s + 1), score=0.0) for s in range(seconds)]
    return np.asarray(encoder.embed(samples, windows).mean(axis=0, dtype=np.float64))


def _classical(samples: np.ndarray, module: ClassicalFeatures) -> np.ndarray:
    seconds = max(1, len(samples) // SAMPLE_RATE_HZ)
    padded = np.pad(samples, (0, max(0, SAMPLE_RATE_HZ - len(samples))))
    windows = padded[: seconds * SAMPLE_RATE_HZ].reshape(seconds, SAMPLE_RATE_HZ)
    with torch.inference_mode():
        return np.asarray(module(torch.from_numpy(windows)).mean(dim=0).double().numpy())


def _model(ridge: float) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=ridge, max_iter=500))


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def _figures(
    features: np.ndarray,
    classes: np.ndarray,
    folds: np.ndarray,
    groups: np.ndarray,
    test: np.ndarray,
    *,
    by_auroc: bool,
) -> dict[str, Any]:
    """Accuracy or AUROC on the test rows; on one thread, where these fits are faster than on two."""

    def right(ridge: float) -> float:
        """Accuracy on each training fold by a model of the others, where those have two classes."""
        hits = []
        for fold in np.unique(folds[~test]):
            away = folds == fold
            known = ~test & ~away
            if len(np.unique(classes[known])) > 1:
                model = _model(ridge).fit(features[known], classes[known])
                hits.append(model.score(features[away], classes[away]))
        return float(np.mean(hits)) if hits else 0.0

    ridge = max(RIDGES, key=right)
    model = _model(ridge).fit(features[~test], classes[~test])
    truth = classes[test]
    among = rarest_class(truth, groups[test]) if by_auroc else np.ones(len(truth), bool)
    if by_auroc:
        second = model.classes_[1]
        scores = model.decision_function(features[test])

        def measure(rows: np.ndarray) -> float:
            return auroc(truth[rows] == second, scores[rows])
    else:
        hits = model.predict(features[test]) == truth

        def measure(rows: np.ndarray) -> float:
            return float(hits[rows].mean())

    low, high = group_bootstrap(measure, groups[test].tolist(), seed=SEED)
    low, high = unanimous(low, high, n=len(set(groups[test][among].tolist())))
    return {
        "value": round(measure(np.arange(len(truth))), 4),
        "value_95": [round(low, 4), round(high, 4)],
        "ridge": ridge,
    }


def as_markdown(facts: dict[str, Any]) -> str:
    """The table for a page."""
    learnt = facts.get("left_out_as_learnt_from")
    lines = [
        f"# What the embedding of `{facts['bundle_id']}` knows",
        "",
        "Linear probes, learnt on folds 1-4 and asked on fold 5; intervals: 95 %, by groups. Made by "
        f"`python -m training.probe` (code `{facts['code_version']}`)."
        + (f" {learnt} clips of the fold are left out: the bundle learnt from them." if learnt else ""),
        "",
        "| | clips learnt from, asked | ours | EfficientAT mn04 | 88 classical statistics |",
        "|---|---|---|---|---|",
    ]
    for task, part in facts["probes"].items():
        cells = [
            "-" if row is None else f"{row['value']:.3f} ({row['value_95'][0]:.2f}-{row['value_95'][1]:.2f})"
            for row in (part["figures"].get(name) for name in ("ours", "mn04", "classical"))
        ]
        counts = f"{part['train_clips']}, {part['test_clips']}"
        lines.append(f"| {task.replace('_', ', ')} | {counts} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Command line; ``--help`` tells."""
    parser = bundle_parser(__doc__, RESULTS)
    parser.add_argument("--cache", type=Path, default=PROJECT / ".cache")
    arguments = parser.parse_args()
    out = chosen_out(parser, arguments, RESULTS)
    try:
        bundle = load_bundle(arguments.bundle)
        corpus = read_corpora((arguments.corpus,))
        teacher = read_teacher(corpus)
    except errors.CoughError as error:
        parser.exit(1, f"{error.code}: {error}\n")
    config = read_config(PROJECT / "training" / "default.toml")
    waves = read_waves(prepare_waves(corpus, arguments.cache, config))
    fold = corpus.where(lambda r: r.fold == config.test_fold and r.is_clip)
    learnt = fold[learnt_from(corpus, bundle, fold, test_fold=config.test_fold)]
    facts = {
        "bundle_id": bundle.spec.bundle_id,
        "encoder_sha256": bundle.spec.files[bundle.spec.encoder.file],
        "code_version": code_version(),
        "data_hash": corpus.data_hash,
        "left_out_as_learnt_from": len(learnt),
        "probes": probes(
            corpus, waves, teacher, Encoder(bundle), test_fold=config.test_fold, left_out=learnt
        ),
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "probes.json").write_text(json.dumps(facts, indent=1) + "\n")
    (out / "probes.md").write_text(as_markdown(facts))
    print(as_markdown(facts))


if __name__ == "__main__":
    main()
