"""Train the cough gate: weak labels, the teacher's opinion, and a lot of other people's phones."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor
from torch.nn import functional as F

from training import distributed
from training.augment import Augmenter
from training.clips import WINDOW_FRAMES, GateBatch, GateClips
from training.composed import Composer
from training.config import TrainingConfig
from training.corpus import Corpus, Teacher
from training.device import device
from training.heldout import Heldout
from training.networks import GateNetwork
from training.stages import load_weights
from training.tracking import Tracker
from training.waves import Waves

EMA_DECAY = 0.998


def build_gate(config: TrainingConfig, teacher: Teacher) -> GateNetwork:
    """A gate with random weights, seeded by the config."""
    torch.manual_seed(config.seed)
    return GateNetwork(
        width=config.gate.width,
        width_out=config.gate.width_out,
        n_teacher_classes=len(teacher.classes),
        embedding_size=teacher.embeddings.shape[1],
    )


def seeds_of_members(config: TrainingConfig) -> list[int]:
    """The seed of each member of the ensemble."""
    return [config.seed + 1_000 * i for i in range(config.gate.members)]


def train_gate(
    corpus: Corpus,
    waves: Waves,
    teacher: Teacher,
    rows: np.ndarray,
    rooms: list[np.ndarray],
    config: TrainingConfig,
    *,
    synthetic: Sequence[np.ndarray] = (),
    heldout: Heldout | None = None,
    start: Path | None = None,
    log: Path | None = None,
) -> GateNetwork:
    """Train one member on ``rows``; the moving average of its weights, in evaluation mode, on the CPU.

    Sound is cut and augmented on the CPU; the network is where ``training.device`` says.

    Parameters
    ----------
    rows : indices into ``corpus.recordings``; whoever calls keeps test rows out
    rooms : impulse responses, each (n_samples,)
    synthetic : extra sounds without a cough, each (n_samples,) float32 at 16 kHz
    heldout : what gates made of recordings whose source they never heard, see ``GateClips``
    start : weights to go on from, a file of ``save_weights``; else random ones
    log : JSON lines, one an epoch, if given
    """
    torch.set_num_threads(config.threads)
    network = build_gate(config, teacher)
    if start is not None:
        load_weights(network, start)
    network.to(device())
    distributed.share_norms(network)
    if config.gate.bfloat16:
        network.trunk.to(memory_format=torch.channels_last)  # 1.3 times faster in bfloat16
    average = copy.deepcopy(network).eval()
    clips = GateClips(corpus, waves, teacher, rows, config, synthetic=synthetic, heldout=heldout)
    composer = Composer(corpus, waves, rows, config, clips.is_heard)
    mixup = np.random.default_rng([config.seed, 17])
    augment = Augmenter(config.augment, rooms, seed=config.seed)
    g = config.gate
    steps = g.clips_per_epoch // g.batch_size
    optimiser = torch.optim.AdamW(network.parameters(), lr=g.learning_rate, weight_decay=g.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, g.learning_rate, total_steps=g.epochs * steps, pct_start=0.15
    )
    with Progress() as progress, Tracker(config, "gate", log) as tracker:
        bar = progress.add_task("training the gate", total=g.epochs * steps)
        for epoch in range(g.epochs):
            network.train()
            began, began_core = time.perf_counter(), time.process_time()
            totals: dict[str, float] = {}
            for _ in range(steps):
                batch = clips.batch(g.batch_size)
                composer.replace(batch)
                losses, probability = gate_losses(network, batch, augment, config, mixup)
                clips.remember(batch.rows, probability)
                optimiser.zero_grad(set_to_none=True)
                torch.stack(list(losses.values())).sum().backward()
                distributed.average_gradients(network.parameters())
                torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
                optimiser.step()
                schedule.step()
                _update_average(average, network, step=schedule.last_epoch)
                for name, loss in losses.items():
                    totals[name] = totals.get(name, 0.0) + float(loss.detach()) / steps
                progress.advance(bar)
            if g.hard_negative_mining:
                clips.mine()
            took = {"seconds": time.perf_counter() - began, "core_s": time.process_time() - began_core}
            tracker.epoch(epoch, **{name: round(s, 1) for name, s in took.items()}, **totals)
    return average.cpu()


def gate_losses(
    network: GateNetwork,
    batch: GateBatch,
    augment: Augmenter,
    config: TrainingConfig,
    mixup: np.random.Generator,
) -> tuple[dict[str, Tensor], np.ndarray]:
    """Weighted loss terms of one augmented batch, and the (B,) clip probabilities it now gets."""
    g = config.gate
    where = network.cough.weight.device
    clip_label, frame_label = batch.clip_label.to(where), batch.frame_label.to(where)
    clip_weight, frame_weight = batch.clip_weight.to(where), batch.frame_weight.to(where)
    with torch.no_grad():
        mixed = torch.from_numpy(augment.random.random(len(batch.wave)) < config.augment.mix_probability)
        wave = augment(augment.mix(batch.wave, batch.other, mixed))
        features = augment.mask(network.features(wave.to(where)))
        if mixup.random() < g.mixup_probability:
            share = float(mixup.beta(0.4, 0.4))
            partner = torch.from_numpy(mixup.permutation(len(features))).to(where)
            features = torch.lerp(features[partner], features, share)
            clip_label = torch.lerp(clip_label[partner], clip_label, share)
            frame_label = torch.lerp(frame_label[partner], frame_label, share)
            clip_weight = torch.minimum(clip_weight, clip_weight[partner])
            frame_weight = torch.minimum(frame_weight, frame_weight[partner])
            mixed = torch.ones_like(mixed)
    with torch.autocast(where.type, dtype=torch.bfloat16, enabled=g.bfloat16):
        hidden = distributed.gather(network.frames(distributed.share(features)).float())
    logits = network.cough(hidden)[:, 0]
    clip_logit = clip_logits(logits, g.score_frames)
    clip = F.binary_cross_entropy_with_logits(clip_logit, clip_label, reduction="none")
    frame = F.binary_cross_entropy_with_logits(logits, frame_label, reduction="none")
    losses = {
        "clip": (clip * clip_weight).mean(),
        "frame": g.frame_loss * (frame * frame_weight).mean(),
    }
    # What the teacher heard in the clean clip is no longer true of a mixture.
    keep = ~mixed
    if g.teacher_logit_loss:
        losses["teacher_logits"] = g.teacher_logit_loss * _teacher_loss(
            network.teacher_logits, hidden, keep, batch.logit_clip, batch.logit_frame, batch.logit_target
        )
    if g.teacher_embedding_loss:
        losses["teacher_embedding"] = g.teacher_embedding_loss * _teacher_loss(
            network.teacher_embedding,
            hidden,
            keep,
            batch.embedding_clip,
            batch.embedding_frame,
            batch.embedding_target,
        )
    return losses, torch.sigmoid(clip_logit.detach()).cpu().numpy()


def clip_logits(frame_logits: Tensor, score_frames: int) -> Tensor:
    """(batch, n_frames) -> (batch,): the highest mean of ``score_frames`` consecutive logits."""
    return F.avg_pool1d(frame_logits[:, None], score_frames, stride=1)[:, 0].amax(dim=1)


def _teacher_loss(
    head: torch.nn.Linear, hidden: Tensor, keep: Tensor, clip: Tensor, frame: Tensor, target: Tensor
) -> Tensor:
    kept = keep[clip]
    clip, frame, target = (part[kept].to(hidden.device) for part in (clip, frame, target))
    if not len(clip):
        return hidden.sum() * 0
    index = frame[:, None] + torch.arange(WINDOW_FRAMES, device=hidden.device)[None, :]
    windows = hidden.transpose(1, 2)[clip[:, None], index]
    pooled = torch.cat([windows.mean(dim=1), windows.amax(dim=1)], dim=1)
    return F.mse_loss(head(pooled), target)


def _update_average(average: torch.nn.Module, network: torch.nn.Module, *, step: int) -> None:
    decay = min(EMA_DECAY, (1 + step) / (10 + step))
    with torch.no_grad():
        for a, b in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if a.dtype.is_floating_point:
                a.lerp_(b, 1 - decay)
            else:
                a.copy_(b)
