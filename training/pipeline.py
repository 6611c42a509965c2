"""From a corpus to the bundle that ships: one command, under an hour on two cores.

    make train                                             # the shipped bundle
    python -m training.pipeline --config training/default.toml
    python -m training.pipeline --set gate.epochs=1 --set gate.clips_per_epoch=320 \\
        --set encoder.epochs=1 --out runs/tiny             # a tiny one, in minutes

Stages: decode the corpus, train the gate, train the encoder, assemble (calibrate, export, heads,
evaluate). Each is kept in ``.cache`` under the hash of its inputs (data, config, the code that
matters to it), so an interrupted or repeated run picks up where it can. Folds 1-4 train and tune;
fold 5 only tests.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import numpy as np

from cough.bundle import DEFAULT_BUNDLE
from training.assemble import Parts, assemble
from training.clips import is_silent
from training.config import TrainingConfig, read_config
from training.corpus import Corpus, Recording, Teacher, corpus_path
from training.encoder import build_encoder, train_encoder
from training.gate import build_gate, train_gate
from training.stages import PROJECT, code_version, load_weights, run_stage, save_weights, source_hash
from training.waves import read_waves, write_waves

LIBRARIES = ("torch", "torchaudio", "onnx", "onnxruntime", "numpy", "scikit-learn", "librosa", "av", "soxr")
_DECODING = ("cough.audio", "cough.container", "cough.mixer", "training.codecs", "training.waves")
_NETWORKS = ("training.augment", "training.frontend", "training.networks")


def split(corpus: Corpus, config: TrainingConfig) -> tuple[np.ndarray, np.ndarray]:
    """(training rows, tuning rows) of the training folds, disjoint in groups."""

    def usable(r: Recording) -> bool:
        return r.is_clip and _licensed(r, config) and r.fold in config.train_folds

    training = corpus.where(lambda r: usable(r) and not in_tuning(r, config))
    tuning = corpus.where(lambda r: usable(r) and in_tuning(r, config) and r.is_cough is not None)
    random = np.random.default_rng([config.seed, 13])
    seen: Counter[str] = Counter()
    kept = []
    for row in random.permutation(tuning):
        group = corpus.recordings[row].group_id
        seen[group] += 1
        if seen[group] <= config.gate.tuning_clips_per_group:
            kept.append(row)
    return training, np.sort(np.array(kept, dtype=np.int64))


def room_rows(corpus: Corpus, config: TrainingConfig) -> np.ndarray:
    """Impulse responses of the training folds."""
    return corpus.where(
        lambda r: r.event == "room_impulse_response" and _licensed(r, config) and r.fold in config.train_folds
    )


def _licensed(recording: Recording, config: TrainingConfig) -> bool:
    return config.licences == "all" or recording.licence_class == "open"


def in_tuning(recording: Recording, config: TrainingConfig) -> bool:
    """Half the groups of the tuning fold, by a stable hash of their name."""
    half = sum(recording.group_id.encode()) % 2 == 0
    return recording.fold == config.tune_fold and half


def train(config: TrainingConfig, *, corpus_root: Path, cache: Path, out: Path) -> Path:
    """Run every stage and put the bundle at ``out``, replacing what was there as the last step."""
    corpus = Corpus.read(corpus_root)
    teacher = Teacher.read(corpus)
    version_at_start = code_version()
    waves = read_waves(
        run_stage(
            cache,
            "waves",
            {"data": corpus.data_hash, "seed": config.seed, "source": source_hash(_DECODING)},
            lambda folder: write_waves(corpus, folder, seed=config.seed, workers=config.threads),
        )
    )
    training, tuning = split(corpus, config)
    tuning = tuning[[not is_silent(waves.samples(int(row))) for row in tuning]]
    rooms = [waves.samples(int(row)) for row in room_rows(corpus, config)]
    libraries = {name: version(name) for name in LIBRARIES}
    shared = {
        "rows": hashlib.sha256(training.tobytes()).hexdigest(),
        "libraries": libraries,
        "threads": config.threads,
        "labels": corpus.labels_hash,
        "teacher": teacher.sha256,
        "waves": waves.sha256,
        "seed": config.seed,
        "augment": config.augment.model_dump(),
    }

    gate = build_gate(config, teacher)
    gate_folder = run_stage(
        cache,
        "gate",
        {
            **shared,
            "config": config.gate.model_dump(exclude={"target_sensitivity", "tuning_clips_per_group"}),
            "source": source_hash([*_NETWORKS, "training.corpus", "training.clips", "training.gate"]),
        },
        lambda folder: save_weights(
            train_gate(corpus, waves, teacher, training, rooms, config, log=folder / "log.jsonl"),
            folder / "weights.npz",
        ),
    )
    load_weights(gate, gate_folder / "weights.npz")

    encoder = build_encoder(config, teacher)
    encoder_folder = run_stage(
        cache,
        "encoder",
        {
            **shared,
            "config": config.encoder.model_dump(),
            "source": source_hash([*_NETWORKS, "training.corpus", "training.clips", "training.encoder"]),
        },
        lambda folder: save_weights(
            train_encoder(corpus, waves, teacher, training, rooms, config, log=folder / "log.jsonl"),
            folder / "weights.npz",
        ),
    )
    load_weights(encoder, encoder_folder / "weights.npz")

    parts = Parts(corpus, waves, teacher, training, tuning, gate, encoder)
    partial = out.with_name(f".{out.name}.partial{os.getpid()}")
    assemble(parts, config, code=version_at_start, libraries=libraries, out=partial)
    if out.exists():
        shutil.rmtree(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial.replace(out)
    return out


def main() -> None:
    """Command line; ``--help`` tells."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, default=PROJECT / "training" / "default.toml")
    parser.add_argument("--set", action="append", metavar="SECTION.KEY=VALUE", help="override, TOML syntax")
    parser.add_argument("--corpus", type=Path, default=corpus_path())
    parser.add_argument("--cache", type=Path, default=PROJECT / ".cache")
    parser.add_argument("--out", type=Path, default=DEFAULT_BUNDLE)
    arguments = parser.parse_args()
    config = read_config(arguments.config, arguments.set)
    out = train(config, corpus_root=arguments.corpus, cache=arguments.cache, out=arguments.out)
    print(f"bundle written to {out}")


if __name__ == "__main__":
    main()
