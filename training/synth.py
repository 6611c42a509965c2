"""Synthetic recordings for demonstrations and tests: coughs, babble, noise.

The cough follows the three phases described for cough sounds (Korpas, Sadlonova and Vrabec 1996,
"Analysis of the cough sound: an overview", Pulmonary Pharmacology 9): the explosive burst as the
glottis opens, the intermediate phase of turbulent flow shaped by the vocal tract, and an optional
voiced tail. Vocal-tract resonances are second-order sections (Klatt 1980). Nothing here comes from
a recording, so the files may be shipped; wherever they appear they are called synthetic.

    python -m training.synth cough/examples
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.signal import lfilter

from cough.audio import SAMPLE_RATE_HZ
from training.codecs import Codec, encode

RATE = SAMPLE_RATE_HZ


def cough(random: np.random.Generator, *, voiced: bool = True) -> np.ndarray:
    """One cough of 0.3-0.5 s; (n,) float64, peak 1."""
    burst_s = random.uniform(0.025, 0.045)
    middle_s = random.uniform(0.14, 0.24)
    tail_s = random.uniform(0.075, 0.145) if voiced else 0.04
    n = int((burst_s + middle_s + tail_s + 0.05) * RATE)
    time = np.arange(n) / RATE

    attack = 1 - np.exp(-time / 0.0012)
    burst = 1.0 * attack * np.exp(-time / burst_s)
    rise = 1 / (1 + np.exp(-(time - burst_s) / 0.008))
    fall = np.exp(-np.clip(time - burst_s, 0, None) / (1.5 * middle_s))
    middle = 0.6 * rise * fall
    flow = random.standard_normal(n)
    flow = lfilter([1, -0.9], [1], flow)  # turbulence is brighter than white at the constriction
    # Air comes in puffs while the folds flap loosely.
    flutter = 1 + 0.35 * np.sin(2 * np.pi * random.uniform(55, 90) * time + random.uniform(0, 6))
    noise = (burst + middle * flutter) * flow

    voice = np.zeros(n)
    if voiced:
        onset = burst_s + 0.46 * middle_s
        shape = np.clip((time - onset) / tail_s, 0, 1)
        envelope = 1.8 * np.sin(np.pi * shape) ** 1.5
        pitch = random.uniform(240, 340) * (1 - 0.35 * shape)
        voice = envelope * glottis(pitch, random)

    formants = [
        (random.uniform(620, 820), 135),
        (random.uniform(1250, 1600), 185),
        (random.uniform(2400, 2900), 270),
        (random.uniform(3500, 4100), 355),
        (random.uniform(5000, 5800), 700),
    ]
    shaped = vocal_tract(noise + voice, formants)
    # The burst leaves the mouth before the tract rings: part of it stays unshaped.
    out = shaped / np.abs(shaped).max() + 0.1 * burst * flow
    out *= np.minimum(1, (n - np.arange(n)) / (0.02 * RATE))
    return np.asarray(out / np.abs(out).max())


def cough_bout(random: np.random.Generator, *, coughs: int = 3, duration_s: float = 6.0) -> np.ndarray:
    """``coughs`` separate coughs in a quiet room; (n,) float64."""
    out = 0.0015 * _pink(random, int(duration_s * RATE))
    starts_s = np.linspace(0.6, duration_s - 1.2, coughs) + random.uniform(-0.15, 0.15, coughs)
    for start_s in starts_s:
        one = cough(random) * random.uniform(0.45, 0.7)
        begin = int(start_s * RATE)
        out[begin : begin + len(one)] += one
    return _room(out, random)


def babble(random: np.random.Generator, *, voices: int = 3, duration_s: float = 5.0) -> np.ndarray:
    """Several invented voices speaking vowel-like syllables at once; (n,) float64."""
    out = 0.002 * _pink(random, int(duration_s * RATE))
    for _ in range(voices):
        out += _voice(random, len(out)) * random.uniform(0.12, 0.25)
    return _room(out, random)


def noise(random: np.random.Generator, *, duration_s: float = 4.0) -> np.ndarray:
    """A steady fan-like noise; (n,) float64."""
    n = int(duration_s * RATE)
    hum = 0.02 * np.sin(2 * np.pi * 100 * np.arange(n) / RATE)
    return np.asarray(0.05 * _pink(random, n) + hum)


def _voice(random: np.random.Generator, n: int) -> np.ndarray:
    base = random.uniform(95, 220)
    out = np.zeros(n)
    position = int(random.uniform(0, 0.3) * RATE)
    vowels = [(730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410)]
    while position < n:
        length = int(random.uniform(0.12, 0.28) * RATE)
        shape = np.linspace(0, 1, length)
        pitch = base * (1 + 0.15 * np.sin(np.pi * shape + random.uniform(0, 6)))
        source = glottis(pitch, random) + 0.01 * random.standard_normal(length)
        vowel = vowels[random.integers(len(vowels))]
        syllable = vocal_tract(source, [(f, 60 + 0.05 * f) for f in vowel])
        syllable *= np.sin(np.pi * shape) ** 0.6 / max(np.abs(syllable).max(), 1e-9)
        end = min(n, position + length)
        out[position:end] += syllable[: end - position]
        position += length + int(random.choice([0.02, 0.04, 0.3], p=[0.5, 0.35, 0.15]) * RATE)
    return out


def glottis(pitch_hz: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A buzz at a changing pitch: a jittered phase through a Rosenberg-like pulse, differentiated."""
    jitter = 1 + 0.02 * lfilter([1], [1, -0.99], random.standard_normal(len(pitch_hz))) * 0.1
    phase = np.cumsum(pitch_hz * jitter / RATE) % 1.0
    opening = 0.5 * (1 - np.cos(np.pi * phase / 0.4))
    closing = np.cos(np.pi / 2 * (phase - 0.4) / 0.16)
    pulse = np.where(phase < 0.4, opening, np.where(phase < 0.56, closing, 0.0))
    return np.diff(pulse, prepend=0.0) * 8


def vocal_tract(source: np.ndarray, formants: list[tuple[float, float]]) -> np.ndarray:
    """Resonances (centre Hz, bandwidth Hz) in cascade, then radiation from the lips."""
    out = source
    for centre, width in formants:
        radius = np.exp(-np.pi * width / RATE)
        a = [1, -2 * radius * np.cos(2 * np.pi * centre / RATE), radius**2]
        out = lfilter([sum(a)], a, out)
    return np.asarray(lfilter([1, -0.9], [1], out))


def _pink(random: np.random.Generator, n: int) -> np.ndarray:
    spectrum = np.fft.rfft(random.standard_normal(n))
    spectrum /= np.sqrt(np.arange(1, len(spectrum) + 1))
    pink = np.fft.irfft(spectrum, n)
    return np.asarray(pink / pink.std())


def _room(signal: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A small furnished room: direct sound and a 0.15 s diffuse tail 20 dB below."""
    n = int(0.15 * RATE)
    tail = random.standard_normal(n) * np.exp(-np.arange(n) / RATE / 0.03)
    impulse = np.concatenate([[1.0], 0.1 * tail / np.sqrt((tail**2).sum())])
    return np.convolve(signal, impulse)[: len(signal)]


EXAMPLES = {
    "synthetic_cough.m4a": (cough_bout, Codec("ipod", "aac", 44_100, 64_000, "fltp"), 19),
    "synthetic_cough_telephone.amr": (cough_bout, Codec("amr", "libopencore_amrnb", 8_000, 12_200), 40),
    "synthetic_babble.webm": (babble, Codec("webm", "libopus", 48_000, 32_000), 13),
    "synthetic_noise.ogg": (noise, Codec("ogg", "libopus", 48_000, 32_000), 14),
}


def write_examples(folder: Path) -> list[Path]:
    """Write the bundled examples; the same bytes each time with the same codec libraries."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, (make, codec, seed) in EXAMPLES.items():
        path = folder / name
        path.write_bytes(encode(make(np.random.default_rng(seed)).astype(np.float32), codec))
        paths.append(path)
    return paths


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    for written in write_examples(parser.parse_args().folder):
        print(written)
