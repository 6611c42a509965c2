"""From trained networks to a bundle: calibrate, export with parity checks, list what was heard."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from cough import errors
from cough.audio import SAMPLE_RATE_HZ, decode
from cough.bundle import (
    FORMAT,
    Bundle,
    BundleSpec,
    EncoderSpec,
    GateSpec,
    TrainingRecord,
)
from cough.heard import HEARD, fingerprint, read_heard, write_heard
from training.audible import CONTEXT_S, audible_parts
from training.calibration import Calibration, calibrate_on_heldout
from training.clips import GateClips, is_silent
from training.config import TrainingConfig
from training.corpus import Corpus, Teacher
from training.cough_layer import GateInContext
from training.export import check_parity, export_encoder, export_gate, gate_module
from training.heldout import Heldout
from training.networks import GATE_HOP_S, EncoderNetwork, GateEnsemble, unfold_encoder
from training.quantisation import in_integers
from training.scoring import HOP
from training.waves import Waves

PARITY_CLIPS = 40
RANGE_CLIPS = 300
"""Recordings that tell how large activations become."""
EXIT_RATIO = 0.5
"""An event ends where frames fall below this share of the threshold."""


@dataclass(frozen=True)
class TrainedGate:
    """The network, and what tells how to calibrate it."""

    network: GateEnsemble | GateInContext
    heldout: Heldout
    """Of the training folds, by gates that never heard the source."""
    corrected_by: Heldout
    """The same by those that corrected the labels it learnt from."""


@dataclass(frozen=True)
class Parts:
    """What the earlier stages made."""

    corpus: Corpus
    waves: Waves
    teacher: Teacher
    training: np.ndarray
    gate: TrainedGate | Bundle
    """A bundle where its gate is kept as it is, calibration, threshold and figures with it."""
    encoder: EncoderNetwork
    encoder_from: Bundle | None = None
    """A bundle whose encoder's weights these are, where they were not trained in this run."""


def assemble(
    parts: Parts,
    config: TrainingConfig,
    *,
    code: str,
    libraries: dict[str, str],
    took_core_s: dict[str, float],
) -> Bundle:
    """A bundle of gate and encoder, without conditions.

    Parameters
    ----------
    code : the version that trained it
    took_core_s : seconds of one core that the epochs of each training stage took

    Raises
    ------
    ParityError : torch and ONNX Runtime give too different numbers
    """
    gate_spec, gate_onnx, gate_figures = _gate(parts, config)
    window = round(config.encoder.window_s * SAMPLE_RATE_HZ)
    windows = [_around_peak(clip, window) for clip in _some_clips(parts.waves, parts.training, PARITY_CLIPS)]
    exact = export_encoder(parts.encoder, window=window)
    encoder_parity = check_parity(parts.encoder, exact, windows)
    ranges = [_around_peak(clip, window) for clip in _some_clips(parts.waves, parts.training, RANGE_CLIPS)]
    encoder_onnx, off = in_integers(exact, ranges, windows)
    encoder_spec = EncoderSpec(
        file="encoder.onnx",
        window_s=config.encoder.window_s,
        embedding_size=config.encoder.embedding_size,
    )
    contents = {"gate.onnx": gate_onnx, "encoder.onnx": encoder_onnx}
    # Half a list would say of the other half that nobody heard it.
    lists_all = all(read_heard(bundle) is not None for bundle in _kept_from(parts))
    if lists_all:
        contents[HEARD] = _heard_by(parts)
    record = TrainingRecord(
        code_version=code,
        config=config.model_dump(mode="json"),
        data_hash=parts.corpus.data_hash,
        licences=parts.corpus.licences(parts.training),
        seed=config.seed,
        libraries=libraries,
        teacher="EfficientAT mn04 (MIT), trained on AudioSet; its outputs on this corpus only"
        if parts.teacher.sha256
        else "none",
        teacher_sha256=parts.teacher.sha256,
        heard=HEARD if lists_all else "",
        kept=_kept(parts),
    )
    metrics: dict[str, Any] = {
        "gate": gate_figures,
        "encoder": {"parity_max_abs": encoder_parity, "in_integers_max_distance": round(off, 4)},
        "training": {
            "non_commercial": sum(
                parts.corpus.recordings[row].licence_class == "non_commercial" for row in parts.training
            ),
            "core_s": round(sum(took_core_s.values())),
            **{f"{stage}_core_s": round(seconds) for stage, seconds in took_core_s.items()},
        },
    }
    files = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(contents.items())}
    identity = hashlib.sha256("".join(files.values()).encode()).hexdigest()[:12]
    spec = BundleSpec(
        format=FORMAT,
        bundle_id=f"default-{identity}",
        sample_rate_hz=SAMPLE_RATE_HZ,
        files=files,
        gate=gate_spec,
        encoder=encoder_spec,
        conditions=(),
        training=record,
        metrics=metrics,
    )
    return Bundle(spec, "", contents)


def unfolded(bundle: Bundle, config: TrainingConfig) -> EncoderNetwork:
    """The encoder of a bundle, to be exported anew.

    Raises
    ------
    BundleIncompatible : it is not this project's, or its windows or embeddings are not those of the config
    """
    own, wanted = bundle.spec.encoder, config.encoder
    if (own.window_s, own.embedding_size) != (wanted.window_s, wanted.embedding_size):
        raise errors.BundleIncompatible(
            f"The encoder to keep hears {own.window_s} s and gives {own.embedding_size} numbers; the config "
            f"says {wanted.window_s} and {wanted.embedding_size} (encoder.window_s, encoder.embedding_size)."
        )
    try:
        return unfold_encoder(bundle.contents[own.file])
    except ValueError as error:
        raise errors.BundleIncompatible(f"It cannot be kept: {error}.") from error


def _gate(parts: Parts, config: TrainingConfig) -> tuple[GateSpec, bytes, dict[str, Any]]:
    """Spec, graph and figures of the gate; a kept one's as they are."""
    if isinstance(parts.gate, Bundle):
        kept = parts.gate
        return kept.spec.gate, kept.contents[kept.spec.gate.file], dict(kept.spec.metrics["gate"])
    heldout = audible_parts(parts.gate.heldout, parts.waves)
    held = calibrate_on_heldout(parts.corpus, parts.waves, parts.teacher, heldout, config)
    spec, onnx, parity = calibrated_gate(parts.gate.network, held, parts.waves, parts.training, config)
    labels = label_counts(
        parts.corpus, parts.waves, parts.teacher, parts.training, config, parts.gate.corrected_by
    )
    return spec, onnx, {"parity_max_abs": parity, "labels": labels, "leave_sources_out": held.table}


def label_counts(
    corpus: Corpus,
    waves: Waves,
    teacher: Teacher,
    rows: np.ndarray,
    config: TrainingConfig,
    heldout: Heldout | None,
) -> dict[str, int]:
    """Clips by what the gate's training made of weak or missing labels; ``training.clips`` has the rules.

    Parameters
    ----------
    rows : the training recordings
    heldout : what gates made of recordings whose source they never heard
    """
    clips = GateClips(corpus, waves, teacher, rows, config, heldout=heldout)
    kinds = [corpus.recordings[row].is_probably_cough for row in rows]
    cough, unlabelled = (np.array([kind is wanted for kind in kinds]) for wanted in (True, None))
    silent = np.array([is_silent(waves.samples(int(row))) for row in rows])
    learnt, label = clips.weight[rows] > 0, clips.label[rows] == 1
    return {
        "cough_clips": int(cough.sum()),
        "cough_clips_dropped_as_silent": int((cough & silent).sum()),
        "cough_clips_dropped_as_nobody_hears_one": int((cough & ~silent & ~learnt).sum()),
        "unlabelled_clips": int(unlabelled.sum()),
        "unlabelled_learnt_as_cough": int((unlabelled & learnt & label).sum()),
        "unlabelled_learnt_as_other": int((unlabelled & learnt & ~label).sum()),
    }


def calibrated_gate(
    network: GateEnsemble | GateInContext,
    held: Calibration,
    waves: Waves,
    rows: np.ndarray,
    config: TrainingConfig,
) -> tuple[GateSpec, bytes, float]:
    """Export with the calibration and threshold that held-out sources gave.

    Parameters
    ----------
    rows : recordings, some of which torch and ONNX Runtime must agree on

    Returns
    -------
    tuple : spec, ONNX, and by how much the two differ at most

    Raises
    ------
    ParityError : too much
    """
    spec = GateSpec(
        file="gate.onnx",
        hop_s=GATE_HOP_S,
        context_s=round(max(network.context_s(), CONTEXT_S), 3),
        edge_s=round(network.edge_s(), 3),
        score_frames=config.gate.score_frames,
        threshold=held.threshold,
        exit_threshold=round(EXIT_RATIO * held.threshold, 4),
        min_event_s=2 * GATE_HOP_S,
        merge_gap_s=max(2, config.gate.score_frames - 2) * GATE_HOP_S,
        threshold_chosen=held.threshold_chosen,
        calibration=held.calibration,
    )
    onnx = export_gate(network, slope=held.slope, shift=held.shift)
    module = gate_module(network, slope=held.slope, shift=held.shift)
    return spec, onnx, check_parity(module, onnx, _some_clips(waves, rows, PARITY_CLIPS))


def _heard_by(parts: Parts) -> bytes:
    """The list of what gate and encoder were trained on; the lists of bundles they were kept from with it."""
    kept = [read_heard(bundle) or frozenset() for bundle in _kept_from(parts)]
    return write_heard(fingerprints(parts.corpus, parts.training).union(*kept))


def _kept_from(parts: Parts) -> list[Bundle]:
    return [bundle for bundle in (parts.gate, parts.encoder_from) if isinstance(bundle, Bundle)]


def fingerprints(corpus: Corpus, rows: np.ndarray) -> frozenset[str]:
    """Of these recordings, as the service decodes them."""
    paths = [corpus.root / corpus.recordings[row].path for row in rows]
    listened = track(paths, description="listing what was trained on", console=Console(stderr=True))
    return frozenset(fingerprint(decode(path).samples) for path in listened)


def _kept(parts: Parts) -> dict[str, Any]:
    """Where a gate or an encoder came from that this run did not train."""
    kept = {}
    if isinstance(parts.gate, Bundle):
        kept["gate"] = _provenance(parts.gate.spec, "gate", ("gate", "loso", "augment"))
    if parts.encoder_from is not None:
        kept["encoder"] = _provenance(parts.encoder_from.spec, "encoder", ("encoder", "augment"))
    return kept


def _provenance(spec: BundleSpec, part: str, sections: tuple[str, ...]) -> dict[str, Any]:
    """The run that trained a part of a bundle, which may have been kept there too."""
    record = spec.training
    return dict(record.kept.get(part, {})) or {
        "bundle_id": spec.bundle_id,
        "code_version": record.code_version,
        "data_hash": record.data_hash,
        "seed": record.seed,
        "licences": record.licences,
        "tier": record.config.get("licences", "unknown"),
        "config": {name: record.config[name] for name in sections if name in record.config},
    }


def _some_clips(waves: Waves, rows: np.ndarray, n: int) -> list[np.ndarray]:
    """About ``n`` real recordings, padded to whole hops."""
    return [_whole_hops(waves.samples(int(row))) for row in rows[:: max(1, len(rows) // n)]]


def _whole_hops(samples: np.ndarray) -> np.ndarray:
    return np.pad(samples, (0, -len(samples) % HOP))


def _around_peak(samples: np.ndarray, window: int) -> np.ndarray:
    """``window`` samples around the loudest one, as the screener cuts them around a cough."""
    begin = max(0, min(int(np.abs(samples).argmax()) - window // 2, len(samples) - window))
    piece = samples[begin : begin + window]
    return np.pad(piece, (0, window - len(piece)))
