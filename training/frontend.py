"""Log-mel inside the graph: raw 16 kHz waveform in, level-free log-mel frames out.

DFT and mel filters are matrix products, so that every exported graph takes raw samples and needs no
feature code around it.
Filters follow librosa's Slaney mel scale (parity is tested).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from cough.audio import SAMPLE_RATE_HZ

N_FFT = 512
HOP = 160
FRAME_S = HOP / SAMPLE_RATE_HZ
DB_PER_NEPER_POWER = 10.0 / np.log(10.0)


def mel_filters(*, n_mels: int, fmin_hz: float, fmax_hz: float) -> np.ndarray:
    """Slaney-style triangular mel filters of unit peak; shape (n_mels, N_FFT // 2 + 1)."""
    import librosa  # here: importing it costs seconds and only building a network needs it

    return librosa.filters.mel(
        sr=SAMPLE_RATE_HZ, n_fft=N_FFT, n_mels=n_mels, fmin=fmin_hz, fmax=fmax_hz, norm=None
    )


class FoldedDft(nn.Module):
    """Power of chosen bins of a 512-point DFT, as matrix products.

    ``forward``: windowed frames (..., 512) -> (..., n_even), (..., n_odd), powers of the even bins and
    of the odd bins among ``bins``, each in order.

    Even bins are a DFT of half the size of the sum of a frame's halves, odd bins one of their difference,
    and in each of the two a cosine (a sine) meets the samples that mirror each other with the same (the
    opposite) sign, so their sums and differences, a quarter of the frame, are all that needs to be
    multiplied.
    """

    def __init__(self, bins: np.ndarray) -> None:
        super().__init__()
        self.even, self.odd = bins[bins % 2 == 0], bins[bins % 2 == 1]
        # Rows: samples 0 to 128 of a folded half; a sine of an even bin is 0 at both ends, a cosine of
        # an odd bin at the last, a sine of one at the first.
        phase = 2 * np.pi * np.arange(N_FFT // 4 + 1)[:, None] / N_FFT
        constants = {
            "cosine_even": np.cos(phase * self.even),
            "sine_even": np.sin(phase[1:-1] * self.even),
            "cosine_odd": np.cos(phase[:-1] * self.odd),
            "sine_odd": np.sin(phase[1:] * self.odd),
        }
        for name, value in constants.items():
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32))

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        first, second = frames.split(N_FFT // 2, dim=-1)
        summed, differed = first + second, first - second
        middle = N_FFT // 4
        rising, falling = summed[..., 1:middle], summed[..., middle + 1 :].flip(-1)
        cosine = torch.cat([summed[..., :1], rising + falling, summed[..., middle : middle + 1]], dim=-1)
        even = (cosine @ self.cosine_even).square() + ((rising - falling) @ self.sine_even).square()
        rising, falling = differed[..., 1:middle], differed[..., middle + 1 :].flip(-1)
        cosine = torch.cat([differed[..., :1], rising - falling], dim=-1)
        sine = torch.cat([rising + falling, differed[..., middle : middle + 1]], dim=-1)
        odd = (cosine @ self.cosine_odd).square() + (sine @ self.sine_odd).square()
        return even, odd


class LogMel(nn.Module):
    """Power mel spectrogram in dB, one frame every 10 ms.

    ``forward``: (batch, n_samples) in [-1, 1] -> (batch, n_mels, n_samples // 160) in dB,
    about 0 dB for a full-scale sine and never below -140 dB. Frame i is centred on sample
    160 i + 80.
    """

    def __init__(self, *, n_mels: int = 64, fmin_hz: float = 60.0, fmax_hz: float = 7_600.0) -> None:
        super().__init__()
        window = np.hanning(N_FFT + 1)[:-1]
        filters = mel_filters(n_mels=n_mels, fmin_hz=fmin_hz, fmax_hz=fmax_hz)
        self.dft = FoldedDft(np.flatnonzero(filters.any(axis=0)))
        constants = {
            "window": window / window.sum() * 2,
            "filters": filters,
            "filters_even": filters[:, self.dft.even].T,
            "filters_odd": filters[:, self.dft.odd].T,
        }
        for name, value in constants.items():
            self.register_buffer(name, torch.tensor(value.copy(), dtype=torch.float32))

    def by_fft(self, wave: Tensor) -> Tensor:
        """``forward`` by FFT: the same within rounding and faster in training, but exports badly."""
        side = (N_FFT - HOP) // 2
        padded = nn.functional.pad(wave, (side, side))
        spectrum = torch.stft(padded, N_FFT, HOP, window=self.window, center=False, return_complex=True)
        power = spectrum.real.square() + spectrum.imag.square()
        return torch.log(self.filters @ power + 1e-14) * DB_PER_NEPER_POWER

    def forward(self, wave: Tensor) -> Tensor:
        side = (N_FFT - HOP) // 2
        even, odd = self.dft(frames(nn.functional.pad(wave, (side, 3 * HOP - side))) * self.window)
        power = even @ self.filters_even + odd @ self.filters_odd
        return torch.log(power.transpose(1, 2) + 1e-14) * DB_PER_NEPER_POWER


def frames(wave: Tensor) -> Tensor:
    """(batch, n_samples) -> (batch, n_samples // 160 - 3, 512): all that lie wholly in the wave's hops.

    By laying hops side by side: what cuts frames out one by one exports to something slower.
    """
    hops = wave[:, : wave.shape[1] // HOP * HOP].reshape(wave.shape[0], -1, HOP)
    return torch.cat([hops[:, :-3], hops[:, 1:-2], hops[:, 2:-1], hops[:, 3:, : N_FFT % HOP]], dim=2)


class LocalLevel(nn.Module):
    """Subtracts the local loudness, so that a recording 20 dB quieter looks the same.

    The reference of a frame is the loudest frame (mean power over mels, in dB) within ``reach_s``
    either way, but no quieter than ``floor_db``: below that, silence stays silence instead of being
    blown up. Power is averaged, not dB: the empty upper half of a telephone band must not move the
    reference. Output is 0 at ``range_db`` below the reference or lower, 1 at the reference; so
    digital silence is exactly 0, like the zero padding of a convolution.

    ``forward``: dB (batch, n_mels, n_frames) -> (batch, n_mels, n_frames), mostly in [0, 1.5].
    """

    def __init__(self, *, reach_s: float = 0.5, range_db: float = 60.0, floor_db: float = -75.0) -> None:
        super().__init__()
        self.reach = round(reach_s / FRAME_S)
        self.range_db = range_db
        self.floor_db = floor_db

    def forward(self, mel_db: Tensor) -> Tensor:
        power = torch.exp(mel_db / DB_PER_NEPER_POWER).mean(dim=1, keepdim=True)
        loudness = torch.log(power) * DB_PER_NEPER_POWER
        width = 2 * self.reach + 1
        reference = nn.functional.max_pool1d(loudness, width, stride=1, padding=self.reach)
        reference = reference.clamp(min=self.floor_db)
        return ((mel_db - reference) / self.range_db + 1.0).clamp(min=0.0)
