"""The distilled member as the gate runs it, and the layer that tells coughs from what it hears.

The layer hears the mean and the loudest of each hidden channel over a second around a frame, as the
encoder pools the second that it embeds. It is a ridge logistic regression with one case a clip: the frames
of a clip that it itself takes for a cough most (multiple-instance learning, Andrews et al. 2002), found
anew a few times. So a clip without a cough teaches by its worst mistakes, and of a clip labelled cough
it only has to be one moment: in the first round the second that the teacher takes for a cough most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from cough.audio import SAMPLE_RATE_HZ
from training import distributed
from training.clips import WINDOW_FRAMES, is_silent
from training.corpus import Corpus, Teacher
from training.distilled import DistilledJob
from training.encoder import build_encoder
from training.frontend import FRAME_S
from training.heldout import Heldout
from training.joined import read_corpora, read_teacher
from training.networks import GATE_HOP_S, STRIDE_FRAMES, EncoderNetwork, GateEnsemble
from training.scoring import HOP, frame_logits
from training.stages import imported_by, load_weights, run_stage, source_hash, stage_folder
from training.waves import Waves, read_waves

SPAN_FRAMES = WINDOW_FRAMES
RIDGE = 3e-3
ROUNDS = 6
LAYER = ("mean", "loudest")
CASE_FRAMES = 4
"""As ``GateConfig.score_frames``."""
SOME = 5
"""Every so many frames tell how channels spread."""


class DistilledMember(nn.Module):
    """Raw waveform to a cough logit every 40 ms; a member of a ``GateEnsemble``."""

    def __init__(self, encoder: EncoderNetwork) -> None:
        super().__init__()
        self.mel, self.level = encoder.mel, encoder.level
        self.trunk, self.temporal = encoder.trunk, encoder.temporal
        channels = encoder.project.in_features // 2
        self.mean = nn.Conv1d(channels, 1, 1)
        self.loudest = nn.Conv1d(channels, 1, 1, bias=False)

    def features(self, wave: Tensor) -> Tensor:
        """(batch, n_samples) -> level-free log-mel (batch, 64, n_samples // 160)."""
        return self.level(self.mel(wave))

    def frames(self, features: Tensor) -> Tensor:
        """Level-free log-mel -> hidden frames (batch, channels, n_samples // 640)."""
        return self.temporal(self.trunk(features))

    def cough(self, hidden: Tensor) -> Tensor:
        """Hidden frames -> (batch, 1, n_frames) cough logits."""
        # The layer's mean output is its output for the mean, in one channel instead of all.
        return _mean_around(self.mean(hidden)) + self.loudest(_loudest_around(hidden))

    def forward(self, wave: Tensor) -> Tensor:
        """(batch, n_samples) -> cough logits (batch, n_samples // 640), one per 40 ms."""
        return self.cough(self.frames(self.features(wave)))[:, 0]

    def context_s(self) -> float:
        """Seconds of input either side of a frame that can change its logit (an upper bound)."""
        return self.level.reach * FRAME_S + self.edge_s()

    def edge_s(self) -> float:
        """The same for digital silence before or after a recording (an upper bound)."""
        conv_frames = 1 + 2 + 2 + 4 * 5 + 4 * 2 + STRIDE_FRAMES * (SPAN_FRAMES // 2)
        return conv_frames * FRAME_S + 0.032

    def layer(self) -> dict[str, Tensor]:
        """What ``fit_layer`` fits, by its name among the weights."""
        return {name: value for name, value in self.state_dict().items() if name.split(".")[0] in LAYER}

    def set_layer(self, slope: np.ndarray, shift: float) -> None:
        """(2 x channels,) weights of the means and of the loudest, and what is added."""
        mean, loudest = np.split(slope.astype(np.float32), 2)
        with torch.no_grad():
            self.mean.weight.copy_(torch.from_numpy(mean)[None, :, None])
            self.loudest.weight.copy_(torch.from_numpy(loudest)[None, :, None])
            self.mean.bias.fill_(shift)


def _mean_around(hidden: Tensor) -> Tensor:
    return nn.functional.avg_pool1d(hidden, SPAN_FRAMES, 1, SPAN_FRAMES // 2)


def _loudest_around(hidden: Tensor) -> Tensor:
    return nn.functional.max_pool1d(hidden, SPAN_FRAMES, 1, SPAN_FRAMES // 2)


def fit_layer(
    member: DistilledMember, corpus: Corpus, waves: Waves, teacher: Teacher, rows: np.ndarray
) -> None:
    """Fit the member's layer, in place, to those of the recordings that are labelled and not silent."""
    rows = np.array([r for r in rows if corpus.recordings[r].is_cough is not None], dtype=np.int64)
    rows = np.array([r for r in rows if not is_silent(waves.samples(int(r)))], dtype=np.int64)
    is_cough = np.array([bool(corpus.recordings[row].is_cough) for row in rows])
    weight = _weights(corpus, rows, is_cough)
    heard = [_heard(member, waves.samples(int(row))) for row in track(rows, description="listening")]
    logits = _teacher_logits(teacher, rows, [len(frames) for frames in heard])
    some = np.concatenate([frames[::SOME] for frames in heard]).astype(np.float32)
    mean, spread = some.mean(axis=0), some.std(axis=0) + 1e-3
    cases = np.zeros((0, len(mean)), np.float32)
    case_of = np.zeros(0, np.int64)
    for _ in range(ROUNDS):
        chosen = np.stack([_most(z, frames) for z, frames in zip(logits, heard, strict=True)])
        # What once was a clip's worst mistake stays one: of coughs only the latest moment counts.
        kept = ~is_cough[case_of]
        cases = np.concatenate([cases[kept], (chosen - mean) / spread])
        case_of = np.concatenate([case_of[kept], np.arange(len(rows))])
        share = weight[case_of] / np.bincount(case_of)[case_of]
        model = LogisticRegression(C=1 / RIDGE, max_iter=500)
        model.fit(cases, is_cough[case_of], sample_weight=share)
        slope = model.coef_[0] / spread
        shift = float(model.intercept_[0] - mean @ slope)
        logits = [frames.astype(np.float32) @ slope + shift for frames in heard]
    member.set_layer(slope, shift)


def _heard(member: DistilledMember, samples: np.ndarray) -> np.ndarray:
    """(n_frames, 2 x channels) float16: what the layer hears at each frame of a recording."""
    around = -(-round(member.context_s() * SAMPLE_RATE_HZ) // HOP)
    n_frames = -(-len(samples) // HOP)
    padded = np.zeros((n_frames + 2 * around) * HOP, np.float32)
    padded[around * HOP : around * HOP + len(samples)] = samples
    with torch.inference_mode():
        hidden = member.frames(member.features(torch.from_numpy(padded)[None]))
        pooled = torch.cat([_mean_around(hidden), _loudest_around(hidden)], dim=1)[0]
        pooled = pooled[:, around : around + n_frames]
    return pooled.T.numpy().astype(np.float16)


def _teacher_logits(teacher: Teacher, rows: np.ndarray, n_frames: list[int]) -> list[np.ndarray]:
    """How far the teacher takes the second around each frame for a cough; n arrays (n_frames,)."""
    column = teacher.logits[:, teacher.classes.index("Cough")].astype(np.float64)
    order = np.argsort(teacher.logit_rows, kind="stable")
    bounds = np.searchsorted(teacher.logit_rows[order], np.arange(rows.max(initial=0) + 2))
    out = []
    for row, n in zip(rows, n_frames, strict=True):
        windows = order[bounds[row] : bounds[row + 1]]
        middles = teacher.logit_start_s[windows] / GATE_HOP_S + WINDOW_FRAMES / 2
        # Where it was not asked about the recording, the first frames are as good as any.
        out.append(np.interp(np.arange(n) + 0.5, middles, column[windows]) if len(windows) else np.zeros(n))
    return out


def _most(logits: np.ndarray, heard: np.ndarray) -> np.ndarray:
    """(2 x channels,) float32: the mean over the run of ``CASE_FRAMES`` frames that scores highest."""
    width = min(CASE_FRAMES, len(logits))
    begin = int(np.convolve(logits, np.full(width, 1.0), "valid").argmax())
    return np.asarray(heard[begin : begin + width].astype(np.float32).mean(axis=0))


def _weights(corpus: Corpus, rows: np.ndarray, is_cough: np.ndarray) -> np.ndarray:
    """(n,) coughs and others one half each; sources, and events within others, by the root of their size."""
    recordings = [corpus.recordings[row] for row in rows]
    keys = [(r.source, "cough" if cough else r.event) for r, cough in zip(recordings, is_cough, strict=True)]
    counts = Counter(keys)
    weight = np.array([counts[key] ** -0.5 for key in keys])
    for kind in (is_cough, ~is_cough):
        weight[kind] *= 0.5 / weight[kind].sum()
    return weight


@dataclass(frozen=True)
class LayerJob:
    """The layer of one network of ``training.distilled``; small enough to hand to a process."""

    network: DistilledJob
    """Trained already."""

    @property
    def folder(self) -> Path:
        """Where its ``layer.npz`` is kept."""
        return stage_folder(self.network.cache, "layer", self._decides())

    def run(self) -> Path:
        """Fit it and score what its network never heard, unless its folder is there already."""
        return run_stage(self.network.cache, "layer", self._decides(), self._fit)

    def _decides(self) -> dict[str, Any]:
        keys = ("labels", "teacher", "waves", "libraries")
        return {
            **{key: self.network.inputs[key] for key in keys},
            "network": self.network.folder.name,
            "source": source_hash(imported_by("training.cough_layer")),
        }

    def _fit(self, folder: Path) -> None:
        torch.set_num_threads(1)
        job = self.network
        corpus, waves = read_corpora(job.corpus_roots), read_waves(job.waves_folder)
        teacher = read_teacher(corpus)
        training, unheard = job.rows(corpus)
        member = _with_weights(job, teacher)
        fit_layer(member, corpus, waves, teacher, training)
        np.savez(folder / "layer.npz", **{name: value.numpy() for name, value in member.layer().items()})
        Heldout(unheard, frame_logits(GateEnsemble([member]), waves, unheard)).write(folder)


def fit_layers(jobs: Sequence[DistilledJob], *, processes: int) -> list[Path]:
    """The folders of the layers of trained networks, in the same order."""
    layers = [LayerJob(job) for job in jobs]
    if layers and distributed.rank() == 0:
        alone = {"mp_context": get_context("spawn"), "initializer": distributed.leave}
        with ProcessPoolExecutor(processes, **alone) as pool:
            list(pool.map(LayerJob.run, layers))
    distributed.wait()
    return [layer.folder for layer in layers]


def read_distilled(job: DistilledJob, layer: Path) -> DistilledMember:
    """A trained network with its layer, in evaluation mode."""
    member = _with_weights(job, read_teacher(read_corpora(job.corpus_roots)))
    with np.load(layer / "layer.npz", allow_pickle=False) as arrays:
        member.load_state_dict({name: torch.from_numpy(arrays[name]) for name in arrays.files}, strict=False)
    return member.eval()


def mean_logits(one: Heldout, other: Heldout) -> Heldout:
    """Of recordings that both know, as ``GateEnsemble`` takes it."""
    logits = []
    for row, z in zip(one.rows, one.logits, strict=True):
        more = other.frames(int(row))
        if more is None:
            raise ValueError(f"recording {row} is missing")
        logits.append((z + more) / 2)
    return Heldout(one.rows, logits)


def _with_weights(job: DistilledJob, teacher: Teacher) -> DistilledMember:
    encoder = build_encoder(job.own_config, teacher)
    load_weights(encoder, job.folder / "weights.npz")
    return DistilledMember(encoder).eval()
