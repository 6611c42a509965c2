"""The classical voter's ears: 88 spectral and cepstral statistics, computed inside the graph.

Of one window: MFCC 1-20 (mean, standard deviation), their deltas (standard deviation), spectral centroid,
bandwidth, roll-off at 85 % and 50 %, flatness and zero-crossing rate (mean, standard deviation, least,
largest), level against the loudest frame (mean, standard deviation, least) and when the loudest frame
comes. A set of COUGHVID's kind (Orlandic et al. 2021); definitions are librosa's, and the parity with
them is tested. The window is brought to one level first, so that loudness says nothing.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from cough.audio import SAMPLE_RATE_HZ
from training.frontend import HOP, N_FFT, FoldedDft, frames

N_MELS = 40
N_MFCC = 20
DELTA_WIDTH = 9
N_FEATURES = 88
LEVEL = 0.1
"""RMS to which a window is brought."""


class ClassicalFeatures(nn.Module):
    """(batch, n_samples) at 16 kHz -> (batch, 88), float32."""

    def __init__(self) -> None:
        super().__init__()
        import librosa  # here: importing it costs seconds

        window = np.hanning(N_FFT + 1)[:-1]
        bins = np.arange(N_FFT // 2 + 1)
        self.dft = FoldedDft(bins)
        mel = librosa.filters.mel(sr=SAMPLE_RATE_HZ, n_fft=N_FFT, n_mels=N_MELS)
        k, n = np.arange(1, N_MFCC + 1)[:, None], np.arange(N_MELS)[None]
        dct = np.sqrt(2 / N_MELS) * np.cos(np.pi * k * (2 * n + 1) / (2 * N_MELS))
        half = DELTA_WIDTH // 2
        slope = np.arange(-half, half + 1) / np.square(np.arange(-half, half + 1)).sum()
        constants = {
            "window": window,
            "mel": mel,
            "dct": dct,
            "slope": np.tile(slope, (N_MFCC, 1, 1)),
            "hertz": bins * SAMPLE_RATE_HZ / N_FFT,
        }
        for name, value in constants.items():
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32))
        in_order = np.argsort(np.concatenate([self.dft.even, self.dft.odd]))
        self.register_buffer("in_order", torch.tensor(in_order))

    def forward(self, wave: Tensor) -> Tensor:
        wave = wave * (LEVEL / (wave.square().mean(dim=1, keepdim=True) + 1e-12).sqrt())
        power = torch.cat(self.dft(frames(wave) * self.window), dim=2)[:, :, self.in_order].transpose(1, 2)
        mfcc = self.dct @ (10 * torch.log10((self.mel @ power).clamp(min=1e-10)))
        reach = DELTA_WIDTH // 2
        padded = nn.functional.pad(mfcc, (reach, reach), mode="replicate")
        delta = nn.functional.conv1d(padded, self.slope, groups=N_MFCC)
        shapes = [_four(track) for track in self._shapes(wave, power)]
        level = self._level(wave)
        when = level.argmax(dim=1, keepdim=True).float() / level.shape[1]
        levels = torch.stack([level.mean(1), _std(level), level.amin(1)], dim=1)
        return torch.cat([mfcc.mean(2), _std(mfcc), _std(delta), *shapes, levels, when], dim=1)

    def _shapes(self, wave: Tensor, power: Tensor) -> list[Tensor]:
        """Six tracks (batch, n_frames)."""
        magnitude = power.clamp(min=1e-20).sqrt()
        share = magnitude / magnitude.sum(dim=1, keepdim=True)
        hertz = self.hertz[None, :, None]
        centroid = (hertz * share).sum(dim=1)
        bandwidth = ((hertz - centroid[:, None]).square() * share).sum(dim=1).clamp(min=0).sqrt()
        total = magnitude.sum(dim=1, keepdim=True)
        heard = torch.cumsum(magnitude, dim=1) / total
        step = SAMPLE_RATE_HZ / N_FFT
        offs = [(heard < part).float().sum(dim=1) * step for part in (0.85, 0.5)]
        floored = power.clamp(min=1e-10)
        flatness = floored.log().mean(dim=1).exp() / floored.mean(dim=1)
        negative = (wave < -1e-10).float()
        crossed = (negative[:, 1:] - negative[:, :-1]).abs()
        rate = nn.functional.avg_pool1d(crossed[:, None], N_FFT - 1, HOP)[:, 0] * ((N_FFT - 1) / N_FFT)
        return [centroid, bandwidth, *offs, flatness, rate]

    def _level(self, wave: Tensor) -> Tensor:
        """(batch, n_frames) dB below the loudest frame."""
        power = nn.functional.avg_pool1d(wave.square()[:, None], N_FFT, HOP)[:, 0]
        level = 10 * torch.log10(power.clamp(min=1e-10))
        return level - level.amax(dim=1, keepdim=True)


def _std(x: Tensor) -> Tensor:
    """Over the last axis; of the population, as numpy's."""
    return (x - x.mean(dim=-1, keepdim=True)).square().mean(dim=-1).sqrt()


def _four(track: Tensor) -> Tensor:
    return torch.stack([track.mean(1), _std(track), track.amin(1), track.amax(1)], dim=1)


def by_librosa(samples: np.ndarray) -> np.ndarray:
    """What ``ClassicalFeatures`` gives, by librosa's own functions; (n_samples,) -> (88,) float64."""
    import librosa

    y = samples.astype(np.float64)
    y = y * (LEVEL / np.sqrt(np.mean(y**2) + 1e-12))
    magnitude = np.abs(librosa.stft(y, n_fft=N_FFT, hop_length=HOP, center=False))
    mel = librosa.feature.melspectrogram(S=magnitude**2, sr=SAMPLE_RATE_HZ, n_mels=N_MELS)
    decibel = librosa.power_to_db(mel, amin=1e-10, top_db=None)
    mfcc = librosa.feature.mfcc(S=decibel, n_mfcc=N_MFCC + 1)[1:]
    delta = librosa.feature.delta(mfcc, width=DELTA_WIDTH, mode="nearest")
    framed = {"frame_length": N_FFT, "hop_length": HOP, "center": False}
    spectral = {"S": magnitude, "sr": SAMPLE_RATE_HZ, "n_fft": N_FFT, "hop_length": HOP}
    tracks = [
        librosa.feature.spectral_centroid(**spectral),
        librosa.feature.spectral_bandwidth(**spectral),
        librosa.feature.spectral_rolloff(roll_percent=0.85, **spectral),
        librosa.feature.spectral_rolloff(roll_percent=0.5, **spectral),
        librosa.feature.spectral_flatness(S=magnitude),
        librosa.feature.zero_crossing_rate(y, **framed),
    ]
    level = librosa.amplitude_to_db(librosa.feature.rms(y=y, **framed)[0], amin=1e-5, top_db=None)
    level -= level.max()
    return np.concatenate(
        [
            mfcc.mean(1),
            mfcc.std(1),
            delta.std(1),
            *([t.mean(), t.std(), t.min(), t.max()] for t in tracks),
            [level.mean(), level.std(), level.min(), level.argmax() / len(level)],
        ]
    )
