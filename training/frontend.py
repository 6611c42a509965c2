"""Log-mel inside the graph: raw 16 kHz waveform in, level-free log-mel frames out.

The DFT is a strided convolution with windowed sines and cosines and the mel filters are one
matrix product, so that every exported graph takes raw samples and needs no feature code around it.
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


class LogMel(nn.Module):
    """Power mel spectrogram in dB, one frame every 10 ms.

    ``forward``: (batch, n_samples) in [-1, 1] -> (batch, n_mels, n_samples // 160) in dB,
    about 0 dB for a full-scale sine and never below -140 dB. Frame i is centred on sample
    160 i + 80.
    """

    def __init__(self, *, n_mels: int = 64, fmin_hz: float = 60.0, fmax_hz: float = 7_600.0) -> None:
        super().__init__()
        window = np.hanning(N_FFT + 1)[:-1]
        time = np.arange(N_FFT)
        bins = np.arange(N_FFT // 2 + 1)
        phase = 2 * np.pi * bins[:, None] * time[None, :] / N_FFT
        scale = window / window.sum() * 2
        kernel = np.concatenate([np.cos(phase) * scale, np.sin(phase) * scale])[:, None, :]
        self.n_bins = len(bins)
        self.register_buffer("kernel", torch.tensor(kernel, dtype=torch.float32))
        filters = mel_filters(n_mels=n_mels, fmin_hz=fmin_hz, fmax_hz=fmax_hz)
        self.register_buffer("filters", torch.tensor(filters, dtype=torch.float32))

    def by_fft(self, wave: Tensor) -> Tensor:
        """``forward`` by FFT: the same within rounding and several times faster, but exports badly."""
        side = (N_FFT - HOP) // 2
        window = self.kernel[0, 0]  # the cosine of bin 0 is the window itself
        padded = nn.functional.pad(wave, (side, side))
        spectrum = torch.stft(padded, N_FFT, HOP, window=window, center=False, return_complex=True)
        power = spectrum.real.square() + spectrum.imag.square()
        return torch.log(self.filters @ power + 1e-14) * DB_PER_NEPER_POWER

    def forward(self, wave: Tensor) -> Tensor:
        side = (N_FFT - HOP) // 2
        padded = nn.functional.pad(wave[:, None, :], (side, side))
        spectrum = nn.functional.conv1d(padded, self.kernel, stride=HOP)
        real, imaginary = spectrum[:, : self.n_bins], spectrum[:, self.n_bins :]
        power = real * real + imaginary * imaginary
        return torch.log(self.filters @ power + 1e-14) * DB_PER_NEPER_POWER


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
