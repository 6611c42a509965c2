"""The distilled member as the gate runs it, and the layer that tells coughs from what it hears.

The layer hears the mean of each hidden channel over some seconds around a frame. It is a ridge logistic
regression on labelled recordings: of one called a cough the moment that the teacher takes for one most, of
any other every half second; and on parts of them through rooms, noise and telephones, as the gate learns.
Where digital silence is, or what is 60 dB below its neighbours, nothing is heard and nothing counts towards
the mean: how long a clip is must not tell what is in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from rich.progress import track
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from cough.audio import SAMPLE_RATE_HZ
from training.augment import Augmenter
from training.clips import WINDOW_FRAMES, GateClips, is_silent
from training.config import TrainingConfig
from training.corpus import Corpus, Teacher
from training.distilled import DistilledJob
from training.encoder import build_encoder
from training.frontend import FRAME_S
from training.heldout import Heldout
from training.joined import read_corpora, read_teacher
from training.loso import room_rows
from training.networks import GATE_HOP_S, STRIDE_FRAMES, EncoderNetwork, GateEnsemble
from training.scoring import HOP, SILENT_LOGIT, frame_logits
from training.stages import imported_by, load_weights, run_stage, source_hash, stage_folder
from training.waves import Waves, read_waves

SPAN_FRAMES = 75
"""Three seconds; odd: a frame and as many either side. On sources never heard, silent clips left out, one
labelled member had AUROC 0.974, hard 0.945, specificity at 95 % sensitivity 0.851; the plain mean with the
distilled one 0.986, 0.970 and 0.940 with a span of 25 frames, 0.988, 0.976 and 0.951 with 51, 0.990, 0.981
and 0.967 with 101. Events are found better with the shorter ones (F1 0.86 with 51, 0.83 with 101, see
``in_context``). With the loudest of each channel beside its mean: 0.984, 0.970 and 0.928 with 51. All by
layers fitted to clips as they are alone."""
EVERY_FRAMES = 12
NEAR_FRAMES = 8
"""How far a frame is at most from the peak that it is beside."""
RIDGE = 3e-3
FAINTEST = 0.01
"""Channels that vary less than this are not made as loud as others: their rounding would be, too. In networks
that are trained at all none does."""
BATCHES = 150
"""Of training clips through rooms, noise and telephones; no more than an epoch of the gate has. Tried on
sources never heard, and not kept: crowds of six under more clips, rooms more often, a third of the weight for
these (cafe noise 88 % on the same side of the threshold instead of 85 %, specificity 0.951, not 0.956; in the
whole gate on fold 5 cafe noise 93.3 % instead of 92.8 %); the mean weighted by power, a second, shorter span,
a hidden layer, hard sounds weighted more: AUROC 0.986 to 0.988 instead of 0.989."""


class DistilledMember(nn.Module):
    """Raw waveform to a cough logit every 40 ms; a member of a ``GateEnsemble``."""

    def __init__(self, encoder: EncoderNetwork) -> None:
        super().__init__()
        self.mel, self.level = encoder.mel, encoder.level
        self.trunk, self.temporal = encoder.trunk, encoder.temporal
        self.channels = encoder.project.in_features // 2
        self.layer = nn.Conv1d(self.channels, 1, 1, bias=False)
        self.shift = nn.Parameter(torch.zeros(1))

    def features(self, wave: Tensor) -> Tensor:
        """(batch, n_samples) -> level-free log-mel (batch, 64, n_samples // 160)."""
        return self.level(self.mel(wave))

    def frames(self, features: Tensor) -> Tensor:
        """Level-free log-mel -> (batch, channels + 1, n_samples // 640): hidden frames, and which count.

        What does not count is 0, as beyond the ends.
        """
        loudest = nn.functional.max_pool1d(features.amax(dim=1, keepdim=True), STRIDE_FRAMES)
        counts = (loudest > 0).float()
        return torch.cat([self.temporal(self.trunk(features)) * counts, counts], dim=1)

    def heard(self, hidden: Tensor) -> Tensor:
        """What the layer hears: (batch, channels, n_frames), the mean of what counts around each frame."""
        return _around(hidden[:, :-1], hidden[:, -1:])

    def cough(self, hidden: Tensor) -> Tensor:
        """``frames`` -> (batch, 1, n_frames) cough logits."""
        # The mean of the layer's outputs is its output for the mean, in one channel instead of all.
        return _around(self.layer(hidden[:, :-1]), hidden[:, -1:]) + self.shift

    def forward(self, wave: Tensor) -> Tensor:
        """(batch, n_samples) -> cough logits (batch, n_samples // 640), one per 40 ms."""
        return self.cough(self.frames(self.features(wave)))[:, 0]

    def context_s(self) -> float:
        """Seconds of input either side of a frame that can change its logit (an upper bound)."""
        return self.level.reach * FRAME_S + self.edge_s() + SPAN_FRAMES // 2 * GATE_HOP_S

    def edge_s(self) -> float:
        """The same for digital silence before or after a recording (an upper bound): it does not count."""
        conv_frames = 1 + 2 + 2 + 4 * 5 + 4 * 2
        return conv_frames * FRAME_S + 0.032


def _around(values: Tensor, counts: Tensor) -> Tensor:
    """(batch, n, n_frames), 0 where a frame does not count: means of what does, ``SPAN_FRAMES`` around."""
    half = SPAN_FRAMES // 2
    total, n = (nn.functional.avg_pool1d(x, SPAN_FRAMES, 1, half) for x in (values, counts))
    return total / n.clamp(min=0.5 / SPAN_FRAMES)


def fit_layer(
    member: DistilledMember,
    corpus: Corpus,
    waves: Waves,
    teacher: Teacher,
    rows: np.ndarray,
    rooms: list[np.ndarray],
    config: TrainingConfig,
) -> None:
    """Fit the member's layer, in place, to the labelled recordings among ``rows`` that are not silent.

    Half of the weight has what is heard in them as they are, half what is heard in the gate's own training
    clips: through rooms, noise, telephones and codecs, and with other sounds under them.
    """
    plain = _plain_cases(member, corpus, waves, teacher, rows)
    disturbed = _disturbed_cases(member, corpus, waves, teacher, rows, rooms, config)
    x = np.concatenate([plain[0], disturbed[0]]).astype(np.float64)
    y = np.concatenate([plain[1], disturbed[1]])
    weight = np.concatenate([_balanced(*plain[1:]), _balanced(*disturbed[1:])]) / 2
    mean, spread = x.mean(axis=0), np.maximum(x.std(axis=0) + 1e-3, FAINTEST)
    model = LogisticRegression(C=1 / RIDGE, max_iter=1_000)
    model.fit((x - mean) / spread, y, sample_weight=weight)
    slope = model.coef_[0] / spread
    with torch.no_grad():
        member.layer.weight.copy_(torch.from_numpy(slope)[None, :, None])
        member.shift.fill_(float(model.intercept_[0] - mean @ slope))


Cases: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]
"""(n, channels) what is heard, (n,) bool whether it is a cough, (n,) weights."""


def _plain_cases(
    member: DistilledMember, corpus: Corpus, waves: Waves, teacher: Teacher, rows: np.ndarray
) -> Cases:
    labelled = [int(row) for row in rows if corpus.recordings[row].is_cough is not None]
    moments = _moments(teacher, len(corpus.recordings))
    cases, is_cough = [], []
    for row in track(labelled, description="listening"):
        samples = waves.samples(row)
        if is_silent(samples):
            continue
        heard = _heard(member, samples)
        cough = bool(corpus.recordings[row].is_cough)
        middle = len(heard) // 2
        if cough:
            moment = moments.get(row, middle) if len(heard) > WINDOW_FRAMES else middle
            frames = np.array([min(moment, len(heard) - 1)])
        else:
            frames = np.arange(min(EVERY_FRAMES, middle), len(heard), EVERY_FRAMES)
        cases.append(heard[frames])
        is_cough += [cough] * len(frames)
    return np.concatenate(cases), np.array(is_cough), np.ones(len(is_cough))


def _disturbed_cases(
    member: DistilledMember,
    corpus: Corpus,
    waves: Waves,
    teacher: Teacher,
    rows: np.ndarray,
    rooms: list[np.ndarray],
    config: TrainingConfig,
) -> Cases:
    as_labelled = dict.fromkeys(("self_training", "frame_self_training", "label_cleaning"), False)
    config = config.model_copy(update={"gate": config.gate.model_copy(update=as_labelled)})
    clips = GateClips(corpus, waves, teacher, rows, config)
    augment = Augmenter(config.augment, rooms, seed=config.seed + 2)
    heard, is_cough, weight = [], [], []
    n_batches = min(BATCHES, config.gate.clips_per_epoch // config.gate.batch_size)
    for _ in track(range(n_batches), description="listening through bad channels"):
        batch = clips.batch(config.gate.batch_size)
        n = len(batch.wave)
        mixed = torch.from_numpy(augment.random.random(n) < config.augment.mix_probability)
        with torch.inference_mode():
            wave = augment(augment.mix(batch.wave, batch.other, mixed))
            hidden = member.frames(member.features(wave))
            count = hidden[:, -1:].sum(dim=2).clamp(min=0.5)
            heard.append((hidden[:, :-1].sum(dim=2) / count).numpy())
        is_cough.append(batch.clip_label.numpy() > 0.5)
        weight.append(batch.clip_weight.numpy())
    return np.concatenate(heard), np.concatenate(is_cough), np.concatenate(weight)


def _balanced(is_cough: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The weights, coughs and others with one half each."""
    out = weight.astype(np.float64)
    for kind in (is_cough, ~is_cough):
        out[kind] *= 0.5 / max(out[kind].sum(), 1e-9)
    return out


def _heard(member: DistilledMember, samples: np.ndarray) -> np.ndarray:
    """(n_frames, channels) float32: what the layer hears at each frame of a recording."""
    edge = -(-round(member.edge_s() * SAMPLE_RATE_HZ) // HOP)
    n_frames = -(-len(samples) // HOP)
    padded = np.zeros((n_frames + 2 * edge) * HOP, np.float32)
    padded[edge * HOP : edge * HOP + len(samples)] = samples
    with torch.inference_mode():
        hidden = member.frames(member.features(torch.from_numpy(padded)[None]))
        return member.heard(hidden)[0, :, edge : edge + n_frames].T.numpy()


def _moments(teacher: Teacher, n_recordings: int) -> dict[int, int]:
    """By row, the frame in the middle of the second that the teacher takes for a cough most."""
    logits = teacher.logits[:, teacher.classes.index("Cough")].astype(np.float32)
    best: dict[int, int] = {}
    for i in np.argsort(-logits, kind="stable").tolist():
        best.setdefault(int(teacher.logit_rows[i]), i)
    middle_s = teacher.logit_start_s + 0.5
    return {row: int(middle_s[i] / GATE_HOP_S) for row, i in best.items() if row < n_recordings}


class GateInContext(nn.Module):
    """The gate that ships: its labelled members say when, the distilled one whether it sounds like a cough.

    A frame's logit is ``in_context`` of both. Runs like a ``GateEnsemble``.
    """

    def __init__(self, labelled: GateEnsemble, distilled: DistilledMember) -> None:
        super().__init__()
        self.labelled, self.distilled = labelled, distilled

    def forward(self, wave: Tensor) -> Tensor:
        """(batch, n_samples) -> cough logits (batch, n_samples // 640), one per 40 ms."""
        features = self.distilled.features(wave)
        members = [member.cough(member.frames(features))[:, 0] for member in self.labelled.members]
        hidden = self.distilled.frames(features)
        sharp, context = torch.stack(members).mean(dim=0), self.distilled.cough(hidden)[:, 0]
        return in_context(sharp, context, counts=hidden[:, -1])

    def context_s(self) -> float:
        """Seconds of input either side of a frame that can change its logit (an upper bound)."""
        near_s = NEAR_FRAMES * GATE_HOP_S
        return max(self.labelled.context_s() + near_s, self.distilled.context_s())

    def edge_s(self) -> float:
        """The same for digital silence before or after a recording (an upper bound)."""
        return max(self.labelled.edge_s(), self.distilled.edge_s())


def in_context(sharp: Tensor, context: Tensor, *, counts: Tensor) -> Tensor:
    """Logits of frames from those of a sharp and a slow listener; (batch, n_frames) each.

    Where the sharp one peaks, the mean of both. Beside a peak it falls off as the sharp one does: in the
    plain mean half of that was lost, and events began before the cough did. On 18 soundscapes of a part of
    the sources that neither had heard, at 10 dB and more and with a span of 51 frames, the plain mean had
    F1 0.57, this 0.86 with 6 frames either side, 0.85 with 12, 0.78 with 25; the sharp one alone had 0.81.

    Parameters
    ----------
    counts : 1 where there is something to hear, else 0: silence is no peak
    """
    masked = torch.where(counts > 0, sharp, torch.full_like(sharp, SILENT_LOGIT))
    peak = nn.functional.max_pool1d(masked[:, None], 2 * NEAR_FRAMES + 1, 1, NEAR_FRAMES)[:, 0]
    return sharp + (context - torch.maximum(peak, sharp)) / 2


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
        config = self.network.config.model_dump(mode="json", include={"gate", "augment", "seed"})
        return {
            **{key: self.network.inputs[key] for key in keys},
            "network": self.network.folder.name,
            "config": config,
            "source": source_hash(imported_by("training.cough_layer")),
        }

    def _fit(self, folder: Path) -> None:
        torch.set_num_threads(1)
        job = self.network
        corpus, waves = read_corpora(job.corpus_roots), read_waves(job.waves_folder)
        teacher = read_teacher(corpus)
        training, unheard = job.rows(corpus)
        member = _with_weights(job, teacher)
        rooms = [waves.samples(int(row)) for row in room_rows(corpus, job.config, without=job.part)]
        fit_layer(member, corpus, waves, teacher, training, rooms, job.config)
        np.savez(folder / "layer.npz", weight=member.layer.weight.numpy(), shift=member.shift.numpy())
        if len(unheard):
            Heldout(unheard, frame_logits(GateEnsemble([member]), waves, unheard)).write(folder)


def read_distilled(job: DistilledJob, layer: Path) -> DistilledMember:
    """A trained network with its layer, in evaluation mode."""
    member = _with_weights(job, read_teacher(read_corpora(job.corpus_roots)))
    with np.load(layer / "layer.npz", allow_pickle=False) as arrays, torch.no_grad():
        member.layer.weight.copy_(torch.from_numpy(arrays["weight"]))
        member.shift.copy_(torch.from_numpy(arrays["shift"]))
    return member


def heldout_in_context(sharp: Heldout, context: Heldout) -> Heldout:
    """``in_context`` of recordings that both know."""
    logits = []
    for row, z in zip(sharp.rows, sharp.logits, strict=True):
        more = context.frames(int(row))
        if more is None:
            raise ValueError(f"recording {row} is missing")
        one, other = torch.from_numpy(z)[None], torch.from_numpy(more)[None]
        heard = one > SILENT_LOGIT
        both = torch.where(heard, in_context(one, other, counts=heard.float()), one)
        logits.append(both[0].numpy())
    return Heldout(sharp.rows, logits)


def _with_weights(job: DistilledJob, teacher: Teacher) -> DistilledMember:
    encoder = build_encoder(job.own_config, teacher)
    load_weights(encoder, job.folder / "weights.npz")
    return DistilledMember(encoder).eval().requires_grad_(False)
