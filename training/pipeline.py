"""From a corpus to the bundle that ships: one command.

    make train                                             # the shipped bundle
    make train CORPORA=prepared/esc50,prepared/coswara     # one like it from what you downloaded, in runs/own
    python -m training.pipeline --licences open --out runs/open      # without non-commercial sources
    python -m training.pipeline --keep-gate cough/models/default --out runs/new   # encoder and heads anew
    python -m training.pipeline --keep-encoder cough/models/default               # gate and heads anew
    python -m training.pipeline --set gate.epochs=1 --set gate.clips_per_epoch=320 \\
        --set loso.epochs=1 --set encoder.epochs=1 --set distilled.epochs=1 \\
        --set distilled.loso_epochs=1 --out runs/tiny                          # a tiny one, in minutes

Stages: ``waves`` (decode the corpus), ``loso`` (four short gates, each without a part of the sources),
``gate``, ``encoder``, ``models`` (calibrate and export both), ``voters`` (the condition), ``figures`` (the
test fold). Each is kept in ``.cache`` under the hash of its inputs (data, config, the code that matters to
it), so an interrupted or repeated run picks up where it can; bundle and card are written anew. The encoder is
trained beside the gate's networks, and the figures are made beside the voters; on a GPU, where there is one
(``training.device``), after them. Folds 1-4 train and tune; fold 5 only tests. Synthetic speech needs
espeak-ng (Debian: ``apt-get install espeak-ng``).
"""

from __future__ import annotations

import argparse
import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from cough import errors
from cough.bundle import DEFAULT_BUNDLE, Bundle, load_bundle
from training import distributed
from training.assemble import Parts, TrainedGate, assemble, unfolded
from training.card import write_bundle
from training.config import TrainingConfig
from training.corpus import Corpus, Teacher, corpus_path
from training.cough_layer import GateInContext, LayerJob, heldout_in_context, read_distilled
from training.decoded import prepare_waves
from training.device import device
from training.distilled import DistilledJob
from training.embedding import EncoderJob
from training.encoder import build_encoder, check_learnable
from training.heldout import Heldout
from training.joined import read_corpora, read_teacher
from training.loso import Job
from training.measure import FIGURES, FiguresJob
from training.members import at_once, member_jobs, read_members, train_members
from training.nearcoughs import speech_version
from training.networks import GateEnsemble
from training.options import chosen_config
from training.parts import deal, usable
from training.shipped import shipped_condition, with_shipped_condition
from training.stages import (
    PROJECT,
    check_replaceable,
    code_version,
    epochs_core_s,
    imported_by,
    load_weights,
    made,
    meanwhile,
    run_apart,
    run_stage,
    save_bundle,
    source_hash,
)
from training.tracking import Tracker
from training.waves import Waves, read_waves

LIBRARIES = ("torch", "torchaudio", "onnx", "onnxruntime", "numpy", "scikit-learn", "librosa", "av", "soxr")
_NETWORKS = ("training.augment", "training.frontend", "training.networks")
GATE_SOURCES = (
    *_NETWORKS,
    "training.clips",
    "training.composed",
    "training.corpus",
    "training.device",
    "training.distributed",
    "training.gate",
    "training.groups",
    "training.heldout",
    "training.isolated",
    "training.joined",
    "training.nearcoughs",
    "training.parts",
    "training.scenes",
    "training.synth",
)


ENCODER_SOURCES = (
    *_NETWORKS,
    "training.clips",
    "training.corpus",
    "training.device",
    "training.distributed",
    "training.encoder",
)
ENCODER_ROWS = ("training.embedding", "training.groups", "training.joined", "training.loso", "training.parts")
"""What chooses the rows and rooms that the encoder learns from."""
DISTILLED_SOURCES = (
    *ENCODER_SOURCES,
    "training.distilled",
    "training.groups",
    "training.joined",
    "training.loso",
    "training.parts",
)


def loso_jobs(
    corpus: Corpus,
    roots: tuple[Path, ...],
    waves_folder: Path,
    cache: Path,
    config: TrainingConfig,
    shared: dict[str, Any],
) -> list[Job]:
    """One gate without each part of the sources: few epochs, one thread, labels as they are given."""
    given = {
        "epochs": config.loso.epochs,
        "members": config.loso.members,
        "self_training": False,
        "frame_self_training": False,
        "label_cleaning": False,
    }
    gate = config.gate.model_copy(update=given)
    short = config.model_copy(update={"gate": gate, "threads": 1})
    inputs = {
        **{key: shared[key] for key in ("labels", "teacher", "waves", "libraries", "device")},
        "source": source_hash([*GATE_SOURCES, "training.loso", "training.scoring"]),
    }
    parts = range(deal(corpus, config).n_parts)
    return [Job(part, short, roots, waves_folder, cache, inputs) for part in parts]


def distilled_jobs(
    corpus: Corpus,
    roots: tuple[Path, ...],
    waves_folder: Path,
    cache: Path,
    config: TrainingConfig,
    shared: dict[str, Any],
) -> list[DistilledJob]:
    """The distilled member without each part of the sources, and last the one that ships.

    None where there is no teacher, or where one member is all.
    """
    if config.gate.members == 1 or not shared["teacher"]:
        return []
    inputs = {
        **{key: shared[key] for key in ("labels", "teacher", "waves", "libraries", "device")},
        "source": source_hash(DISTILLED_SOURCES),
    }
    parts = range(deal(corpus, config).n_parts)
    jobs = [DistilledJob(part, config, roots, waves_folder, cache, inputs) for part in parts]
    start = jobs[1 % len(jobs)].folder if config.gate.warm_start else None
    return [*jobs, DistilledJob(None, config, roots, waves_folder, cache, inputs, start)]


def gate_stage(
    corpus: Corpus,
    roots: tuple[Path, ...],
    waves_folder: Path,
    cache: Path,
    config: TrainingConfig,
    shared: dict[str, Any],
) -> tuple[TrainedGate, dict[str, float], list[str]]:
    """The short gates without each part of the sources, then the gate; seconds of a core they took; stages.

    Where there is a teacher, the last of several members is distilled from it (``training.distilled``).
    """
    distilled = distilled_jobs(corpus, roots, waves_folder, cache, config, shared)
    labelled = config
    if distilled:
        n_labelled = config.gate.members - 1
        labelled = config.model_copy(update={"gate": config.gate.model_copy(update={"members": n_labelled})})
    jobs = loso_jobs(corpus, roots, waves_folder, cache, config, shared)
    processes = config.loso.processes
    loso_folders = run_apart(jobs, processes=processes)
    without_parts = run_apart(distilled[:-1], processes=processes)
    inputs = {
        **shared,
        "threads": 1,
        "source": source_hash([*GATE_SOURCES, "training.loso", "training.members"]),
    }
    members = member_jobs(labelled, roots, waves_folder, cache, inputs, loso_folders)
    networks = [*members, *distilled[-1:]]
    # They do not end together: a process that is free meanwhile fits the layers that can be fitted already.
    layer_jobs = [LayerJob(network) for network in distilled]
    early = layer_jobs[:-1] if at_once(config) > 1 else []
    folders = train_members([*networks, *early], processes=at_once(config))[: len(networks)]
    took_core_s = {
        "leave_sources_out": sum(map(epochs_core_s, (*loso_folders, *without_parts))),
        "gate": sum(map(epochs_core_s, folders)),
    }
    heldout = Heldout.read(loso_folders)
    ensemble = GateEnsemble(read_members(folders[: len(members)], members))
    gate = TrainedGate(ensemble, heldout, heldout)
    run_apart(layer_jobs[len(early) :], processes=processes)
    layers = [job.folder for job in layer_jobs]
    if layers:
        network = GateInContext(ensemble, read_distilled(distilled[-1], layers[-1]))
        gate = TrainedGate(network, heldout_in_context(heldout, Heldout.read(layers[:-1])), heldout)
    made = (*loso_folders, *without_parts, *folders, *layers)
    return gate, took_core_s, [folder.name for folder in made]


def shared_inputs(
    corpus: Corpus, waves: Waves, teacher: Teacher, training: np.ndarray, config: TrainingConfig
) -> dict[str, Any]:
    """What decides the outcome of every training stage."""
    return {
        "rows": hashlib.sha256(training.tobytes()).hexdigest(),
        "libraries": libraries(),
        "threads": config.threads,
        "device": device().type,
        "labels": corpus.labels_hash,
        "teacher": teacher.sha256,
        "waves": waves.sha256,
        "seed": config.seed,
        "augment": config.augment.model_dump(),
    }


def libraries() -> dict[str, str]:
    """Versions of what training leans on."""
    return {**{name: version(name) for name in LIBRARIES}, "espeak-ng": speech_version()}


def train(
    config: TrainingConfig,
    *,
    corpus_roots: tuple[Path, ...],
    cache: Path,
    out: Path,
    keep_gate: Path | None = None,
    keep_encoder: Path | None = None,
) -> Path:
    """Run every stage and put the bundle at ``out``, replacing what was there as the last step.

    Parameters
    ----------
    corpus_roots : prepared corpora; several are read as one (``training.joined``)
    keep_gate : a bundle whose gate is taken as it is; its training stages are left out then
    keep_encoder : a bundle whose encoder's weights are taken and exported anew; likewise

    Raises
    ------
    LayoutUnknown : a folder that is no prepared corpus
    OutputUnwritable : ``out`` cannot be written, or holds something that is no bundle
    CorpusTooSmall : too few coughs or other sounds to train and test on
    BundleIncompatible : the encoder to keep is not of this project's kind, or not of the config's window
    UnevenShares : as ``distributed.check_shares``
    MissingExtra : synthetic speech is wanted and espeak-ng is not installed
    """
    check_replaceable(out)
    distributed.check_shares(config.gate.batch_size, config.encoder.batch_size)
    Tracker.check(config)
    # Before hours of work: a path may be mistyped.
    gate_from, encoder_from = (
        None if kept is None else load_bundle(kept) for kept in (keep_gate, keep_encoder)
    )
    encoder = None if encoder_from is None else unfolded(encoder_from, config)
    corpus = read_corpora(corpus_roots)
    teacher = read_teacher(corpus)
    deal(corpus, config)
    if gate_from is None and config.gate.synthetic_share and speech_version() == "none":
        raise errors.MissingExtra("Synthetic speech needs espeak-ng: install Debian's package of that name.")
    version_at_start = code_version()
    waves_folder = prepare_waves(corpus, cache, config)
    waves = read_waves(waves_folder)
    training = usable(corpus, config)
    if encoder_from is None:
        check_learnable(corpus, teacher, training)
    shared = shared_inputs(corpus, waves, teacher, training, config)
    own = {**shared, "source": source_hash([*ENCODER_SOURCES, *ENCODER_ROWS])}
    encoder_job = EncoderJob(config, corpus_roots, waves_folder, cache, own)
    # One thread of the encoder often waits for the other: the gate's processes use the core meanwhile.
    beside_gate = [encoder_job] if gate_from is None and encoder_from is None and _is_alone() else []
    gate: TrainedGate | Bundle
    took_core_s: dict[str, float]
    if gate_from is not None:
        gate = gate_from
        took_core_s = _took_core_s(gate, "leave_sources_out", "gate")
        made_from = [gate.sha256]
    else:
        with meanwhile(beside_gate):
            gate, took_core_s, made_from = gate_stage(
                corpus, corpus_roots, waves_folder, cache, config, shared
            )
    if encoder is not None and encoder_from is not None:
        took_core_s |= _took_core_s(encoder_from, "encoder")
        made_from.append(encoder_from.sha256)
    else:
        encoder_folder = made(encoder_job, beside=beside_gate)
        encoder = build_encoder(config, teacher)
        load_weights(encoder, encoder_folder / "weights.npz")
        took_core_s["encoder"] = epochs_core_s(encoder_folder)
        made_from.append(encoder_folder.name)

    parts = Parts(corpus, waves, teacher, training, gate, encoder, encoder_from)
    inputs = {
        **shared,
        "config": config.model_dump(mode="json", exclude={"tracker"}),
        "data": corpus.data_hash,
        "made_from": made_from,
        "took_core_s": took_core_s,
        "source": source_hash(imported_by("training.assemble", "training.stages")),
    }
    models = run_stage(
        cache,
        "models",
        inputs,
        lambda folder: save_bundle(
            assemble(parts, config, code=version_at_start, libraries=libraries(), took_core_s=took_core_s),
            folder / "bundle",
        ),
    )
    job = figures_job(corpus, corpus_roots, waves_folder, models / "bundle", cache, shared, config)
    beside_voters = [job] if _is_alone() else []
    with meanwhile(beside_voters):
        bundle = load_bundle(models / "bundle")
        bundle = load_bundle(voters_stage(corpus, corpus_roots, bundle, cache, config) / "bundle")
    figures = json.loads((made(job, beside=beside_voters) / FIGURES).read_text())
    if distributed.rank() == 0:
        write_bundle(_completed(bundle, figures, config, code=version_at_start), out)
    distributed.wait()
    return out


def _is_alone() -> bool:
    """Whether nothing else wants a network trained beside: no other process of ``torchrun``, no GPU."""
    return distributed.size() == 1 and device().type == "cpu"


def _took_core_s(bundle: Bundle, *stages: str) -> dict[str, float]:
    """Seconds of a core that the stages took when the bundle was trained; 0 where it does not say."""
    known = bundle.spec.metrics.get("training", {})
    return {stage: float(known.get(f"{stage}_core_s", 0.0)) for stage in stages}


def voters_stage(
    corpus: Corpus, roots: tuple[Path, ...], bundle: Bundle, cache: Path, config: TrainingConfig
) -> Path:
    """The folder of the bundle with the shipped condition, see ``with_shipped_condition``."""
    condition, metadata = shipped_condition(config), corpus.root / "metadata"
    inputs = {
        "bundle": bundle.sha256,
        "data": corpus.data_hash,
        "condition": condition.model_dump(mode="json"),
        "tables": {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(metadata.glob("*.csv"))
        },
        "libraries": libraries(),
        "source": source_hash(imported_by("training.shipped")),
    }

    def make(folder: Path) -> None:
        with_voters = with_shipped_condition(bundle, condition, roots=roots, metadata=metadata)
        save_bundle(with_voters, folder / "bundle")

    return run_stage(cache, "voters", inputs, make)


def figures_job(
    corpus: Corpus,
    roots: tuple[Path, ...],
    waves_folder: Path,
    models: Path,
    cache: Path,
    shared: dict[str, Any],
    config: TrainingConfig,
) -> FiguresJob:
    """What gate and encoder of the bundle in ``models`` reach on the test fold: these two alone decide."""
    spec = load_bundle(models).spec
    inputs = {
        "models": {file: spec.files[file] for file in (spec.gate.file, spec.encoder.file)},
        "gate": spec.gate.model_dump(mode="json"),
        "encoder": spec.encoder.model_dump(mode="json"),
        "heard": spec.files.get(spec.training.heard, ""),
        "kept": sorted(spec.training.kept),
        "data": corpus.data_hash,
        **{key: shared[key] for key in ("teacher", "waves", "libraries")},
        "test_fold": config.test_fold,
        "source": source_hash(imported_by("training.measure")),
    }
    return FiguresJob(models, roots, waves_folder, config.test_fold, cache, inputs)


def _completed(bundle: Bundle, figures: dict[str, Any], config: TrainingConfig, *, code: str) -> Bundle:
    """With the figures of the test fold, config and code of this run; what was kept is as these make it."""
    metrics = dict(bundle.spec.metrics)
    for part, more in figures.items():
        metrics[part] = {**metrics.get(part, {}), **more}
    update = {"code_version": code, "config": config.model_dump(mode="json")}
    training = bundle.spec.training.model_copy(update=update)
    spec = bundle.spec.model_copy(update={"metrics": metrics, "training": training})
    return Bundle(spec, "", bundle.contents)


def main() -> None:
    """Command line; ``--help`` tells."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, default=PROJECT / "training" / "default.toml")
    parser.add_argument("--set", action="append", metavar="SECTION.KEY=VALUE", help="override, TOML syntax")
    parser.add_argument("--licences", choices=("open", "all"), help="open: no non-commercial source")
    parser.add_argument(
        "--keep-gate", type=Path, metavar="BUNDLE", help="take the gate of this bundle as it is"
    )
    parser.add_argument(
        "--keep-encoder", type=Path, metavar="BUNDLE", help="take the weights of this bundle's encoder"
    )
    parser.add_argument(
        "--corpus", metavar="DIR[,DIR]", default=str(corpus_path()), help="prepared corpora, read as one"
    )
    parser.add_argument("--cache", type=Path, default=PROJECT / ".cache")
    parser.add_argument("--out", type=Path, default=DEFAULT_BUNDLE)
    arguments = parser.parse_args()
    overrides = list(arguments.set or [])
    if arguments.licences:
        overrides.append(f'licences="{arguments.licences}"')
    config = chosen_config(parser, arguments.config, overrides)
    try:
        out = train(
            config,
            corpus_roots=tuple(Path(root) for root in arguments.corpus.split(",")),
            cache=arguments.cache,
            out=arguments.out,
            keep_gate=arguments.keep_gate,
            keep_encoder=arguments.keep_encoder,
        )
    except errors.CoughError as error:
        parser.exit(1, f"{error.code}: {error}\n")
    if distributed.rank() == 0:
        print(f"bundle written to {out}")
    distributed.leave()


if __name__ == "__main__":
    main()
