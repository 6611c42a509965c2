"""One embedding per cough: the numbers that every head reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cough import errors
from cough.audio import SAMPLE_RATE_HZ, Float32
from cough.bundle import Bundle, EncoderSpec
from cough.gate import CoughEvent


class Encoder:
    """Runs ``encoder.onnx`` on a fixed window around each event. Safe to share between threads.

    Raises
    ------
    BundleIncompatible : the graph is not (batch, window) -> (batch, embedding_size), rows of unit length
    """

    def __init__(self, bundle: Bundle) -> None:
        self.spec: EncoderSpec = bundle.spec.encoder
        self._session = bundle.session(self.spec.file)
        self._input = self._session.get_inputs()[0].name
        self.window = round(self.spec.window_s * SAMPLE_RATE_HZ)
        self._check_shape()

    def embed(self, samples: Float32, events: Sequence[CoughEvent]) -> Float32:
        """Embed each event.

        Windows are encoded one at a time, so an embedding never depends on its neighbours.

        Parameters
        ----------
        samples : (n_samples,) float32 mono 16 kHz
        events : where the coughs are

        Returns
        -------
        (n_events, embedding_size) float32, rows of unit length

        Raises
        ------
        BundleIncompatible : the graph gives something that is no number
        """
        if not len(events):
            return np.zeros((0, self.spec.embedding_size), np.float32)
        rows = np.stack([self._run(cut_window(samples, event, self.window)) for event in events])
        if not np.isfinite(rows).all():
            raise errors.BundleIncompatible(f"{self.spec.file} gives something that is no number.")
        return rows

    def _run(self, window: Float32) -> Float32:
        row: Float32 = self._session.run(None, {self._input: window[None]})[0][0]
        return row

    def _check_shape(self) -> None:
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, self.window).astype(np.float32)
        try:
            rows = [self._run(probe) for probe in (np.zeros(self.window, np.float32), noise)]
        except Exception as error:  # ONNX Runtime raises half a dozen unrelated types
            raise errors.BundleIncompatible(
                f"{self.spec.file} does not take windows of {self.window} samples."
            ) from error
        shape = rows[0].shape
        if shape != (self.spec.embedding_size,):
            raise errors.BundleIncompatible(
                f"{self.spec.file} gives embeddings of shape {shape}, "
                f"not ({self.spec.embedding_size},) as stated."
            )
        if not all(abs(float(np.linalg.norm(row)) - 1) < 1e-3 for row in rows):  # NaN is not, either
            raise errors.BundleIncompatible(f"{self.spec.file} gives embeddings that are not of unit length.")


def cut_window(samples: Float32, event: CoughEvent, window: int) -> Float32:
    """``window`` samples centred on the event; silence where the recording has none."""
    centre = round((event.start_s + event.end_s) / 2 * SAMPLE_RATE_HZ)
    begin = centre - window // 2
    out = np.zeros(window, np.float32)
    first, last = max(begin, 0), min(begin + window, len(samples))
    if last > first:
        out[first - begin : last - begin] = samples[first:last]
    return out
