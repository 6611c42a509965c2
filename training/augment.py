"""What is done to training clips so that a score means the same across phones, rooms and levels.

Everything works on a batch of equal-length waveforms, shape (batch, n_samples), float32 at 16 kHz.
Levels are not augmented: the front end removes them (``training.frontend.LocalLevel``).
"""

from __future__ import annotations

import numpy as np
import torch
import torchaudio.functional as F
from torch import Tensor

from cough.audio import SAMPLE_RATE_HZ
from training.config import AugmentConfig


class Augmenter:
    """Applies ``AugmentConfig`` with its own random stream."""

    def __init__(self, config: AugmentConfig, rooms: list[np.ndarray], *, seed: int) -> None:
        self.config = config
        self.rooms = torch.tensor(np.array([_direct_path_first(room) for room in rooms]))
        self._room_spectra: dict[int, Tensor] = {}
        self.random = np.random.default_rng([seed, 7])

    def mix(self, wave: Tensor, other: Tensor, loud: Tensor) -> Tensor:
        """Add ``other`` clips where ``loud`` holds, at a random SNR. Returns the mixture.

        ``loud``: (batch,) bool. SNR is between active parts, so that padding does not count.
        """
        snr_db = torch.tensor(self.random.uniform(*self.config.mix_snr_db, len(wave)), dtype=torch.float32)
        gain = _active_rms(wave) / _active_rms(other).clamp(min=1e-6) * 10 ** (-snr_db / 20)
        gain = torch.where(loud, gain, torch.zeros_like(gain))
        return wave + gain[:, None] * other

    def __call__(self, wave: Tensor) -> Tensor:
        """Room, its noise, the line's frequency response, clipping; same shape out."""
        wave = self._reverberate(wave)
        wave = self._add_noise(wave)
        wave = self._filter(wave)
        return self._clip(wave)

    def mask(self, features: Tensor) -> Tensor:
        """SpecAugment-like: one band and one stretch of time set to silence; (batch, mels, frames)."""
        features = features.clone()
        n_mels, n_frames = features.shape[1:]
        for row in np.flatnonzero(self._chosen(len(features), self.config.spectrogram_mask_probability)):
            band = int(self.random.integers(0, n_mels - 12))
            features[row, band : band + int(self.random.integers(4, 13))] = 0
            start = int(self.random.integers(0, max(1, n_frames - 12)))
            features[row, :, start : start + int(self.random.integers(3, 13))] = 0
        return features

    def _chosen(self, n: int, probability: float) -> np.ndarray:
        return self.random.random(n) < probability

    def _reverberate(self, wave: Tensor) -> Tensor:
        chosen = np.flatnonzero(self._chosen(len(wave), self.config.room_probability))
        if not len(chosen) or not len(self.rooms):
            return wave
        length = wave.shape[1]
        n_fft = length + self.rooms.shape[1] - 1
        if n_fft not in self._room_spectra:
            self._room_spectra = {n_fft: torch.fft.rfft(self.rooms, n_fft)}
        rooms = torch.from_numpy(self.random.integers(len(self.rooms), size=len(chosen)))
        spectrum = torch.fft.rfft(wave[chosen], n_fft) * self._room_spectra[n_fft][rooms]
        wave = wave.clone()
        wave[chosen] = torch.fft.irfft(spectrum, n_fft)[:, :length]
        return wave

    def _filter(self, wave: Tensor) -> Tensor:
        """Random smooth equalisation, telephone band and low-pass, as one gain curve per clip."""
        n, length = wave.shape
        c = self.config
        grid_hz = np.linspace(0, SAMPLE_RATE_HZ / 2, 401)
        gain_db = np.zeros((n, len(grid_hz)), np.float32)
        knots_hz = np.array([0, 125, 250, 500, 1_000, 2_000, 4_000, 8_000])
        equalised = self._chosen(n, c.equalise_probability)
        for row in np.flatnonzero(equalised):
            knots_db = self.random.uniform(-c.equalise_db, c.equalise_db, len(knots_hz))
            gain_db[row] += np.interp(np.sqrt(grid_hz), np.sqrt(knots_hz), knots_db)
        telephone = self._chosen(n, c.telephone_probability)
        for row in np.flatnonzero(telephone):
            low, high = self.random.uniform(150, 350), self.random.uniform(3_200, 3_900)
            gain_db[row] -= 60 * ((grid_hz < low) * (1 - grid_hz / low) + (grid_hz > high))
        low_passed = self._chosen(n, c.low_pass_probability)
        for row in np.flatnonzero(low_passed):
            gain_db[row] -= 60 * (grid_hz > self.random.uniform(2_500, 7_500))
        chosen = torch.from_numpy(equalised | telephone | low_passed)
        if not chosen.any():
            return wave
        spectrum = torch.fft.rfft(wave[chosen])
        gain = torch.from_numpy(gain_db)[chosen][:, None]
        gain = torch.nn.functional.interpolate(
            gain, size=spectrum.shape[1], mode="linear", align_corners=True
        )
        wave = wave.clone()
        wave[chosen] = torch.fft.irfft(spectrum * 10 ** (gain[:, 0] / 20), n=length)
        return wave

    def _add_noise(self, wave: Tensor) -> Tensor:
        """Coloured noise (white to brown) at a random SNR."""
        chosen = self._chosen(len(wave), self.config.noise_probability)
        if not chosen.any():
            return wave
        wave = wave.clone()
        quiet = wave[chosen]
        noise = self.random.standard_normal(quiet.shape, dtype=np.float32)
        spectrum = torch.fft.rfft(torch.from_numpy(noise))
        tilt = torch.tensor(self.random.uniform(0, 1, (len(quiet), 1)), dtype=torch.float32)
        log_bins = torch.log(torch.arange(1, spectrum.shape[1] + 1))[None, :]
        noise_wave = torch.fft.irfft(spectrum * torch.exp(-tilt * log_bins), n=wave.shape[1])
        snr = torch.tensor(self.random.uniform(*self.config.noise_snr_db, len(quiet)), dtype=torch.float32)
        # add_noise measures over the whole crop; padding would make the noise too faint.
        padding_db = 20 * torch.log10(_active_rms(quiet) / _rms(quiet).clamp(min=1e-8)).clamp(min=0)
        audible = _rms(quiet) > 1e-6
        quiet[audible] = F.add_noise(quiet, noise_wave, snr - padding_db)[audible]
        wave[chosen] = quiet
        return wave

    def _clip(self, wave: Tensor) -> Tensor:
        chosen = torch.tensor(self._chosen(len(wave), self.config.clip_probability))
        peak = wave.abs().amax(dim=1, keepdim=True)
        limit = peak * torch.tensor(self.random.uniform(0.2, 0.8, (len(wave), 1)), dtype=torch.float32)
        return torch.where(chosen[:, None], wave.clamp(-limit, limit), wave)


def _direct_path_first(room: np.ndarray) -> np.ndarray:
    """An impulse response cut to 0.6 s from its peak, of unit energy, so that events keep their time."""
    peak = int(np.argmax(np.abs(room)))
    # One sample over 0.6 s makes the convolution of a 3 s clip 57,600 long: a fast FFT length.
    cut = np.zeros(int(0.6 * SAMPLE_RATE_HZ) + 1, np.float32)
    tail = room[peak : peak + len(cut)]
    cut[: len(tail)] = tail
    return np.asarray(cut / max(float(np.sqrt((cut**2).sum())), 1e-6), np.float32)


def _rms(wave: Tensor) -> Tensor:
    return wave.square().mean(dim=1).sqrt()


def _active_rms(wave: Tensor) -> Tensor:
    """RMS of the loudest tenth of 25 ms blocks; (batch,)."""
    blocks = wave[:, : wave.shape[1] // 400 * 400].reshape(len(wave), -1, 400).square().mean(dim=2)
    k = max(1, blocks.shape[1] // 10)
    return blocks.topk(k, dim=1).values.mean(dim=1).sqrt()
