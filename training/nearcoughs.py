"""Synthetic sounds that are no coughs but easily taken for one, as extra negatives for the gate.

Throat clearing, sneezes, laughter, sighs, sniffs and groans by source and filter (the excitation
and resonances of ``training.synth``), knocks as decaying modes, and speech by espeak-ng with the
short interjections that sit closest to a cough ("ahem", "ha", "hm", "kh"). What marks a cough off,
an explosive burst that goes over into turbulent flow, is what each of them lacks.

They widen what "other" means where the corpus is thin: it holds 40 sneezes and no throat clearing.
What they are worth is measured (``training.ablation``), not assumed.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from collections.abc import Callable

import numpy as np
import soundfile
import soxr
from rich.progress import track
from scipy.signal import butter, lfilter, sosfilt

from cough.audio import SAMPLE_RATE_HZ
from training.synth import glottis, vocal_tract

RATE = SAMPLE_RATE_HZ
LONGEST_S = 2.4
VOICES = (
    "en-gb",
    "en-us",
    "de",
    "fr",
    "es",
    "it",
    "ru",
    "pl",
    "pt",
    "nl",
    "sv",
    "tr",
    "hi",
    "cmn",
    "ar",
    "el",
)
TEXTS = (
    "ahem", "ha ha ha", "hm", "uh", "kh", "achoo", "huh", "oh", "ah", "tch", "pff", "mm hm", "okay", "yes",
    "no", "stop", "hello", "cake", "coffee", "cup of tea", "hot", "help", "one two three", "what",
    "please call back later", "open the door", "kick the ball", "the weather is quite cold today",
)  # fmt: skip


def near_coughs(n: int, *, seed: int, speech_share: float = 0.4) -> list[np.ndarray]:
    """``n`` sounds without a cough, each (n_samples,) float32 of peak 0.5 and at most 2.4 s.

    Raises
    ------
    RuntimeError : espeak-ng is not installed
    """
    if speech_share and shutil.which("espeak-ng") is None:
        raise RuntimeError("Synthetic speech needs espeak-ng: install Debian's package of that name.")
    random = np.random.default_rng([seed, 23])
    out = []
    for _ in track(range(n), description="synthesising near-coughs"):
        if random.random() < speech_share:
            sound = _speech(random)
        else:
            sound = _MAKERS[int(random.integers(len(_MAKERS)))](random)
        sound = sound[: int(LONGEST_S * RATE)] + 1e-4 * random.standard_normal(
            min(len(sound), int(LONGEST_S * RATE))
        )
        out.append(np.asarray(0.5 * sound / np.abs(sound).max(), np.float32))
    return out


def speech_version() -> str:
    """Which espeak-ng speaks here; "none" where it is not installed."""
    if shutil.which("espeak-ng") is None:
        return "none"
    stated = subprocess.run(["espeak-ng", "--version"], capture_output=True, check=True, text=True).stdout
    found = re.search(r"\d+(\.\d+)+", stated)
    return found.group() if found else "unknown"


def throat_clearing(random: np.random.Generator) -> np.ndarray:
    """One to three creaky, voiced grunts with a soft onset; (n,) float64."""
    tract = _tract(random)
    parts = []
    for _ in range(int(random.integers(1, 4))):
        n = _samples(random, 0.15, 0.55)
        shape = np.linspace(0, 1, n)
        pitch = random.uniform(45, 120) * (1 + 0.3 * random.standard_normal() * shape).clip(0.6, 1.6)
        rough = 1 + 0.8 * np.sin(2 * np.pi * random.uniform(20, 45) * shape * n / RATE)
        flow = random.uniform(0.1, 0.6) * _flow(random, n)
        envelope = np.minimum(shape / random.uniform(0.15, 0.4), 1) * np.minimum((1 - shape) / 0.3, 1)
        parts += [vocal_tract((glottis(pitch, random) + flow) * rough, tract) * envelope]
        parts += [np.zeros(_samples(random, 0.03, 0.2))]
    return np.concatenate(parts)


def sneeze(random: np.random.Generator) -> np.ndarray:
    """A rising voiced intake, then a long bright hiss with little throat in it; (n,) float64."""
    intake = _samples(random, 0.2, 0.7)
    shape = np.linspace(0, 1, intake)
    voice = glottis(random.uniform(180, 350) * (1 + 0.5 * shape), random) * shape
    first = 0.4 * vocal_tract(voice + 0.2 * _flow(random, intake), _tract(random))
    n = _samples(random, 0.25, 0.7)
    decay = np.exp(-np.arange(n) / RATE / random.uniform(0.08, 0.25))
    hiss = _band(_flow(random, n), random.uniform(1_500, 3_000), random.uniform(5_000, 7_800)) * decay
    return np.concatenate([_peak(first) * random.uniform(0, 0.5), _peak(hiss)])


def laughter(random: np.random.Generator) -> np.ndarray:
    """Regular short voiced bursts, each led by a breath, 3 to 6 a second; (n,) float64."""
    tract, pitch = _tract(random), random.uniform(120, 420)
    period = random.uniform(0.16, 0.3)
    parts = []
    for index in range(int(random.integers(3, 9))):
        n = int(period * RATE * random.uniform(0.85, 1.15))
        shape = np.linspace(0, 1, n)
        voiced = np.sin(np.pi * np.clip((shape - 0.3) / 0.6, 0, 1)) ** 2
        breath = np.exp(-(((shape - 0.2) / 0.12) ** 2)) * random.uniform(0.1, 0.5)
        source = glottis(pitch * (1 - 0.03 * index) * (1 - 0.2 * shape), random) * voiced
        parts.append(vocal_tract(source + breath * _flow(random, n), tract) * 0.93**index)
    return np.concatenate(parts)


def sigh(random: np.random.Generator) -> np.ndarray:
    """Breath in or out, slow to rise and slow to fall, sometimes a little voiced; (n,) float64."""
    n = _samples(random, 0.5, 2.2)
    shape = np.linspace(0, 1, n)
    envelope = np.sin(np.pi * shape ** random.uniform(0.5, 2)) ** random.uniform(1, 2)
    source = _flow(random, n)
    if random.random() < 0.4:
        source += random.uniform(0.2, 2) * glottis(random.uniform(90, 260) * (1 - 0.3 * shape), random)
    return vocal_tract(source, _tract(random)) * envelope


def sniff(random: np.random.Generator) -> np.ndarray:
    """One to four quick intakes through the nose; (n,) float64."""
    parts = []
    for _ in range(int(random.integers(1, 5))):
        n = _samples(random, 0.08, 0.4)
        envelope = np.linspace(0, 1, n) ** random.uniform(0.5, 2) * np.minimum(1, np.linspace(8, 0, n))
        parts += [_band(_flow(random, n), random.uniform(300, 900), random.uniform(2_500, 7_000)) * envelope]
        parts += [np.zeros(_samples(random, 0.05, 0.3))]
    return np.concatenate(parts)


def groan(random: np.random.Generator) -> np.ndarray:
    """A long vowel whose pitch wanders: moan, yawn, cry or shout; (n,) float64."""
    n = _samples(random, 0.3, 2.2)
    shape = np.linspace(0, 1, n)
    pitch = random.uniform(90, 500) * 2 ** (random.uniform(-0.8, 0.8) * np.sin(np.pi * shape))
    envelope = np.minimum(shape / random.uniform(0.02, 0.3), 1) * np.minimum((1 - shape) / 0.2, 1)
    source = glottis(pitch, random) + random.uniform(0.01, 0.3) * _flow(random, n)
    return vocal_tract(source, _tract(random)) * envelope


def knock(random: np.random.Generator) -> np.ndarray:
    """Knocks, claps and thumps: a few resonances struck, no flow after; (n,) float64."""
    parts = []
    for _ in range(int(random.integers(1, 6))):
        n = _samples(random, 0.08, 0.45)
        time = np.arange(n) / RATE
        struck = np.zeros(n)
        for _ in range(int(random.integers(2, 7))):
            decay = np.exp(-time / random.uniform(0.005, 0.06))
            struck += random.uniform(0.2, 1) * decay * np.sin(2 * np.pi * random.uniform(80, 5_000) * time)
        click = np.exp(-time / random.uniform(0.001, 0.015)) * random.standard_normal(n)
        parts.append(struck + random.uniform(0, 2) * click)
    return np.concatenate(parts)


_MAKERS: tuple[Callable[[np.random.Generator], np.ndarray], ...] = (
    throat_clearing, throat_clearing, sneeze, sneeze, laughter, sigh, sniff, groan, knock,
)  # fmt: skip


def _speech(random: np.random.Generator) -> np.ndarray:
    voice = (
        f"{random.choice(VOICES)}+{random.choice(['m1', 'm3', 'm7', 'f1', 'f2', 'f4', 'croak', 'whisper'])}"
    )
    command = [
        "espeak-ng", "--stdout", "-v", voice, "-s", str(random.integers(110, 260)),
        "-p", str(random.integers(5, 95)), str(random.choice(TEXTS)),
    ]  # fmt: skip
    spoken = subprocess.run(command, capture_output=True, check=True).stdout
    samples, rate = soundfile.read(io.BytesIO(spoken), dtype="float64")
    sound = soxr.resample(samples, rate, RATE)
    loud = np.flatnonzero(np.abs(sound) > 0.01 * np.abs(sound).max(initial=1e-9))
    return np.asarray(sound[loud[0] : loud[-1] + 1]) if len(loud) else 1e-3 * random.standard_normal(RATE)


def _samples(random: np.random.Generator, shortest_s: float, longest_s: float) -> int:
    return int(random.uniform(shortest_s, longest_s) * RATE)


def _tract(random: np.random.Generator) -> list[tuple[float, float]]:
    """Five resonances of a throat of random length and vowel, (centre Hz, bandwidth Hz)."""
    size = random.uniform(0.85, 1.25)
    first, second = random.uniform(280, 800), random.uniform(800, 2_200)
    centres = (first, second, random.uniform(2_300, 3_000), random.uniform(3_300, 4_000), 4_900)
    return [(size * centre, 60 + 0.06 * centre) for centre in centres]


def _flow(random: np.random.Generator, n: int) -> np.ndarray:
    return np.asarray(lfilter([1, -random.uniform(0, 0.95)], [1], random.standard_normal(n)))


def _band(sound: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    return np.asarray(sosfilt(butter(2, [low_hz, high_hz], "bandpass", fs=RATE, output="sos"), sound))


def _peak(sound: np.ndarray) -> np.ndarray:
    return sound / max(float(np.abs(sound).max(initial=0.0)), 1e-9)
