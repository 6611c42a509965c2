"""Sheets of the clips that a gate gets most wrong, as log-mel spectrograms with what it heard."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cough.audio import SAMPLE_RATE_HZ, decode
from cough.gate import CoughGate
from training.corpus import Corpus
from training.frontend import LogMel
from training.gate_table import Clips

SHEET = 24
"""Clips on a sheet."""
SHOWN_S = 5.0
"""Of a longer clip, the part around the frame that the gate likes best."""
RANGE_DB = 70.0
SILENCE_DB = -140.0
"""What the log-mel gives for digital silence; drawn white."""
_FREQUENCIES_HZ = (250, 1000, 4000)


def draw_worst(corpus: Corpus, gate: CoughGate, clips: Clips, folder: Path) -> None:
    """Write ``false_accepts.png`` and ``false_rejects.png``, and ``worst.json`` with every wrong clip."""
    accepted, scores = clips.ours.accepted, clips.ours.scores
    wrong = {
        "false_accepts": np.flatnonzero(accepted & ~clips.cough),
        "false_rejects": np.flatnonzero(~accepted & clips.cough),
    }
    listed = {}
    for name, found in wrong.items():
        order = np.argsort(scores[found] * (-1 if name == "false_accepts" else 1), kind="stable")
        found = found[order]
        listed[name] = [_facts(corpus, clips, int(i)) for i in found]
        title = f"{name.replace('_', ' ')}: the worst {min(SHEET, len(found))} of {len(found)}"
        _draw_sheet(corpus, gate, clips, found[:SHEET], folder / f"{name}.png", title=title)
    (folder / "worst.json").write_text(json.dumps(listed, indent=1) + "\n")


def _facts(corpus: Corpus, clips: Clips, i: int) -> dict[str, str | float]:
    """What a sheet says of a clip, each detector's score by its name."""
    recording = corpus.recordings[clips.rows[i]]
    return {
        "recording_id": recording.recording_id,
        "event": recording.event,
        "sublabel": recording.sublabel,
        "source": recording.source,
        **{name: round(float(one.scores[i]), 6) for name, one in clips.asked.items()},
    }


def _draw_sheet(
    corpus: Corpus, gate: CoughGate, clips: Clips, found: np.ndarray, path: Path, *, title: str
) -> None:
    mel = LogMel()
    with mpl.rc_context({"font.size": 7, "axes.titlesize": 6.5, "axes.linewidth": 0.5}):
        figure = Figure(figsize=(13, 12.5), layout="constrained")
        FigureCanvasAgg(figure)
        figure.suptitle(
            f"{title}. Red: cough probability of each 40 ms, 0 to 1 from bottom to top. "
            f"Grey: log-mel, {RANGE_DB:.0f} dB below the loudest.",
            fontsize=10,
        )
        grid = figure.subplots(-(-SHEET // 4), 4)
        for axes, i in zip(grid.flat, found, strict=False):
            recording = corpus.recordings[clips.rows[i]]
            _draw_clip(axes, decode(corpus.root / recording.path).samples, gate, mel)
            facts = _facts(corpus, clips, int(i))
            axes.set_title(
                f"{facts['event']}, {facts['source']}\n{facts['recording_id']}\n"
                + ", ".join(f"{name} {facts[name]:.4f}" for name in clips.asked),
                parse_math=False,
            )
        for axes in grid.flat[len(found) :]:
            axes.remove()
        for axes in grid[:, 0]:
            axes.set_ylabel("kHz")
        figure.supxlabel("time (s)", fontsize=8)
        figure.savefig(path, dpi=110)


@torch.inference_mode()
def _draw_clip(axes: Axes, samples: np.ndarray, gate: CoughGate, mel: LogMel) -> None:
    """Spectrogram of at most ``SHOWN_S``, the gate's frame probabilities over it."""
    probabilities = gate.frame_probabilities(samples)
    centre_s = float(np.argmax(probabilities)) * gate.hop_s if len(probabilities) else 0.0
    duration_s = len(samples) / SAMPLE_RATE_HZ
    begin_s = float(np.clip(centre_s - SHOWN_S / 2, 0, max(0.0, duration_s - SHOWN_S)))
    end_s = min(duration_s, begin_s + SHOWN_S)
    part = samples[round(begin_s * SAMPLE_RATE_HZ) : round(end_s * SAMPLE_RATE_HZ)]
    levels = mel(torch.from_numpy(part)[None])[0].numpy()
    loudest = max(float(levels.max()), SILENCE_DB + RANGE_DB)
    axes.imshow(
        levels,
        origin="lower",
        aspect="auto",
        extent=(begin_s, end_s, 0, len(levels)),
        cmap="gray_r",
        vmin=loudest - RANGE_DB,
        vmax=loudest,
    )
    centres_hz = np.argmax(mel.filters.numpy(), axis=1) * SAMPLE_RATE_HZ / 512
    axes.set_yticks(np.searchsorted(centres_hz, _FREQUENCIES_HZ), [f"{f / 1000:g}" for f in _FREQUENCIES_HZ])
    edges = np.arange(len(probabilities) + 1) * gate.hop_s
    axes.stairs(probabilities * len(levels), edges, color="#d62728", linewidth=1.0, baseline=None)
    axes.set_xlim(begin_s, end_s)
