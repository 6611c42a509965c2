"""What the benchmarks of a bundle share: the clips they hear, what they depend on, where they write."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from cough import errors
from cough.audio import decode
from cough.bundle import DEFAULT_BUNDLE, Bundle, chosen_folder
from cough.gate import CoughGate
from cough.heard import fingerprint, read_heard
from cough.quality import assess
from training.clips import is_silent
from training.corpus import TEST_FOLD as TEST_FOLD
from training.corpus import Corpus, corpus_path
from training.stages import PROJECT, code_version

RESULTS = PROJECT / "training" / "results" / "gate"


def fold_rows(corpus: Corpus, fold: int) -> np.ndarray:
    """Labelled clips of a fold; (n,) rows of ``corpus.recordings``."""
    return corpus.where(lambda r: r.fold == fold and r.is_cough is not None and r.is_clip)


def unlearnt_rows(corpus: Corpus, bundle: Bundle) -> tuple[np.ndarray, int]:
    """``fold_rows`` of the test fold but for those that the bundle learnt from, and how many these are.

    Raises
    ------
    CorpusTooSmall : it leaves no cough, or no other sound
    """
    rows = fold_rows(corpus, TEST_FOLD)
    learnt = learnt_from(corpus, bundle, rows, test_fold=TEST_FOLD)
    left = rows[~learnt]
    if len({corpus.recordings[row].is_cough for row in left}) < 2:
        raise errors.CorpusTooSmall(
            f"Fold {TEST_FOLD} lacks coughs or other sounds, or those that the bundle did not learn from."
        )
    return left, int(learnt.sum())


def learnt_from(corpus: Corpus, bundle: Bundle, rows: np.ndarray, *, test_fold: int) -> np.ndarray:
    """(n,) bool, which of these test rows the bundle was trained on, by their sound.

    They are not listened to where all of it was trained on this corpus without that fold. Another corpus has
    folds of its own.
    """
    record = bundle.spec.training
    if not record.kept and (record.data_hash, record.config.get("test_fold")) == (
        corpus.data_hash,
        test_fold,
    ):
        return np.zeros(len(rows), bool)
    heard = read_heard(bundle) or frozenset()
    return np.array([fingerprint(samples) in heard for samples in listen(corpus, rows).values()], dtype=bool)


def bundle_parser(description: str | None, default: Path) -> argparse.ArgumentParser:
    """Options of the commands that measure a bundle: ``--bundle --corpus --out``, see ``chosen_out``."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, help="default: the one that ships")
    parser.add_argument("--corpus", type=Path, default=corpus_path())
    parser.add_argument("--out", type=Path, help=f"default: {default.relative_to(PROJECT)}")
    return parser


def chosen_out(parser: argparse.ArgumentParser, arguments: argparse.Namespace, default: Path) -> Path:
    """Where results go: without ``--out`` into the project, which keeps those of the shipped bundle alone."""
    own = chosen_folder(arguments.bundle).resolve() != DEFAULT_BUNDLE.resolve()
    if arguments.out is None and (own or arguments.corpus.resolve() != corpus_path().resolve()):
        parser.error(
            "say where the results go (--out): the default is the shipped bundle's, on its own corpus"
        )
    return arguments.out or default


def listen(corpus: Corpus, rows: Iterable[int]) -> dict[int, np.ndarray]:
    """Samples by row, decoded as the service does; each (n,) float32 at 16 kHz."""
    return {
        int(row): decode(corpus.root / corpus.recordings[row].path).samples
        for row in track(list(rows), description="decoding recordings")
    }


@dataclass(frozen=True)
class Scored:
    """What the gate says of each clip, and what the clip is like."""

    scores: np.ndarray
    """(n,) float64."""
    silent: np.ndarray
    """(n,) bool: holds next to nothing."""
    bands: np.ndarray
    """(n,) str: bandwidth."""


def score_clips(corpus: Corpus, gate: CoughGate, rows: np.ndarray) -> Scored:
    """Decode and score these rows as the service does."""
    scores, silent, bands = [], [], []
    for row in track(rows, description="scoring the test fold"):
        waveform = decode(corpus.root / corpus.recordings[row].path)
        detected = gate.detect(waveform.samples)
        scores.append(detected.cough_score)
        silent.append(is_silent(waveform.samples))
        bands.append(assess(waveform, detected.events).band or "none: silence")
    return Scored(np.array(scores), np.array(silent), np.array(bands))


def provenance(corpus: Corpus, bundle: Bundle, **more: str | int) -> dict[str, Any]:
    """What a result depends on: bundle, its gate, code, data; ``more`` such as a seed."""
    return {
        "bundle_id": bundle.spec.bundle_id,
        "bundle_sha256": bundle.sha256,
        "gate_sha256": bundle.spec.files[bundle.spec.gate.file],
        "code_version": code_version(),
        "data_hash": corpus.data_hash,
        **more,
    }


def write_result(out: Path, name: str, result: dict[str, Any], page: str, *, command: str) -> None:
    """``name.json`` and ``name.md`` in ``out``; the page is headed by what the result depends on.

    Parameters
    ----------
    command : module and options that made the result, after ``python -m``
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
    head = measured_by(result, command=command)
    (out / f"{name}.md").write_text(f"# {result['title']}\n\n{head}\n\n{page.strip()}\n")


def measured_by(result: dict[str, Any], *, command: str) -> str:
    """What a page says first: the bundle and its gate, code, data, seed if any, and how to remake it."""
    seed = f", seed {result['seed']}" if "seed" in result else ""
    learnt = result.get("left_out_as_learnt_from")
    return (
        f"Bundle `{result['bundle_id']}` (gate.onnx `{result['gate_sha256'][:12]}`), measured by code "
        f"`{result['code_version']}` on data `{result['data_hash'][:16]}`{seed}. Made by "
        f"`python -m {command}`."
        + (f" {learnt} clips of the fold are left out: the bundle learnt from them." if learnt else "")
    )


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A markdown table."""
    names = list(columns)
    lines = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def percent(value: float | None, *, decimals: int = 1) -> str:
    """A share as pages write it."""
    return "-" if value is None else f"{100 * value:.{decimals}f} %"
