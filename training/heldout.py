"""What gates that never heard a recording's source make of it (``training.loso`` trains them)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Heldout:
    """Frame logits of recordings by gates that never heard their source."""

    rows: np.ndarray
    """(n,) indices into ``Corpus.recordings``."""
    logits: list[np.ndarray]
    """n arrays (n_frames,) float32."""

    @classmethod
    def read(cls, folders: Sequence[Path]) -> Heldout:
        """Join what the parts wrote."""
        rows: list[np.ndarray] = []
        logits: list[np.ndarray] = []
        for folder in folders:
            with np.load(folder / "heldout.npz", allow_pickle=False) as arrays:
                rows.append(arrays["rows"])
                logits += np.split(arrays["logits"].astype(np.float32), np.cumsum(arrays["frames"])[:-1])
        return cls(np.concatenate(rows), logits)

    def write(self, folder: Path) -> None:
        """What ``read`` reads."""
        np.savez(
            folder / "heldout.npz",
            rows=self.rows,
            frames=np.array([len(z) for z in self.logits]),
            logits=np.concatenate(self.logits).astype(np.float16),
        )

    def clip_scores(self, n_recordings: int, score_frames: int) -> np.ndarray:
        """(n_recordings,) sigmoid of the highest mean logit; NaN where nothing was held out."""
        out = np.full(n_recordings, np.nan)
        kernel = np.full(score_frames, 1.0 / score_frames)
        for row, z in zip(self.rows, self.logits, strict=True):
            padded = np.concatenate([np.full(score_frames, -30.0), z, np.full(score_frames, -30.0)])
            out[row] = 0.5 * (1 + np.tanh(0.5 * np.convolve(padded, kernel, "valid").max()))
        return out

    def frames(self, row: int) -> np.ndarray | None:
        """(n_frames,) logits of one recording; None where it was not held out."""
        return self._by_row.get(row)

    @cached_property
    def _by_row(self) -> dict[int, np.ndarray]:
        return {int(row): z for row, z in zip(self.rows, self.logits, strict=True)}
