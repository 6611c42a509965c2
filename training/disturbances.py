"""What phones, lines and places do to a recording; each by itself, at a stated strength.

Every disturbance takes samples at 16 kHz and gives samples at 16 kHz. What goes through a codec is
decoded by ``cough.audio.decode``, as an upload is. SNR is between the clip's active part (10 ms
windows within 15 dB of its loudest) and the noise, so that pauses do not count. A mixture that would
pass full scale is turned down as a whole. Only "gain_up_10" passes it, which no upload can: it asks
whether the gate hears level as such.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, fftconvolve, sosfilt

from cough.audio import SAMPLE_RATE_HZ, decode
from training.codecs import Codec, encode
from training.isolated import ACTIVE_DB, STEP, level_db
from training.scenes import chained

Disturb = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""Samples and a random stream to samples; (n,) float32 in, (m,) float32 out."""

BAND_HZ = (300.0, 3_400.0)
SNR_DB = 10.0
VOICES = 6
HOUSEHOLD_DB = -6.0
CAFE_S = 120.0
ROOM_S = 1.0


@dataclass(frozen=True)
class Disturbance:
    """One way in which a recording may differ from another of the same cough."""

    title: str
    apply: Disturb


def disturbances(cafe: np.ndarray | None, rooms: Sequence[np.ndarray]) -> Mapping[str, Disturbance]:
    """Every disturbance that is judged and that there are sounds for, by a short name.

    Parameters
    ----------
    cafe : (n,) a stretch of cafe-like noise, see ``cafe_noise``
    rooms : impulse responses at 16 kHz
    """
    every = {
        "gain_down_20": Disturbance("gain -20 dB", _gain(-20)),
        "gain_down_10": Disturbance("gain -10 dB", _gain(-10)),
        "gain_up_10": Disturbance("gain +10 dB, unclipped", _gain(10, clipped=False)),
        "gain_up_10_clipped": Disturbance("gain +10 dB, clipped at full scale", _gain(10)),
        "amr_12200": Disturbance("AMR-NB 12.2 kbit/s", _coded("amr", "libopencore_amrnb", 8_000, 12_200)),
        "amr_4750": Disturbance("AMR-NB 4.75 kbit/s", _coded("amr", "libopencore_amrnb", 8_000, 4_750)),
        "opus_12000": Disturbance("Opus 12 kbit/s", _coded("ogg", "libopus", 48_000, 12_000)),
        "opus_6000": Disturbance("Opus 6 kbit/s", _coded("ogg", "libopus", 48_000, 6_000)),
        "aac_32000": Disturbance("AAC 32 kbit/s", _coded("ipod", "aac", 44_100, 32_000, "fltp")),
        "mp3_24000": Disturbance("MP3 24 kbit/s", _coded("mp3", "libmp3lame", 22_050, 24_000, "s16p")),
        "telephone": Disturbance("telephone band 300-3,400 Hz", _telephone),
        "cafe_10": None
        if cafe is None
        else Disturbance("cafe-like noise, 10 dB SNR", _noisy(_stretch(cafe), SNR_DB)),
        "white_10": Disturbance("white noise, 10 dB SNR", _noisy(_white, SNR_DB)),
        "room": Disturbance("room", _in_room(rooms)) if rooms else None,
    }
    return {name: one for name, one in every.items() if one is not None}


def cafe_noise(
    speech: Sequence[np.ndarray], household: Sequence[np.ndarray], random: np.random.Generator
) -> np.ndarray:
    """Two minutes of six voices at once, and household noise 6 dB below each; (n,) float64."""
    n = round(CAFE_S * SAMPLE_RATE_HZ)
    voices = sum(chained(speech, n, random) for _ in range(VOICES))
    return np.asarray(voices + 10 ** (HOUSEHOLD_DB / 20) * chained(household, n, random))


def active_power(samples: np.ndarray) -> float:
    """Mean square of the 10 ms windows within 15 dB of the loudest."""
    level = level_db(samples)
    active = np.repeat(level > level.max() - ACTIVE_DB, STEP)[: len(samples)]
    return float(np.square(samples[active], dtype=np.float64).mean())


def _gain(gain_db: float, *, clipped: bool = True) -> Disturb:
    def apply(samples: np.ndarray, _: np.random.Generator) -> np.ndarray:
        louder = samples * np.float32(10 ** (gain_db / 20))
        # As a file holds it: 16 bits, which is what makes a quiet recording coarse.
        return np.round(np.clip(louder, -1, 1) * 32767) / np.float32(32767) if clipped else louder

    return apply


def _coded(container: str, encoder: str, rate_hz: int, bit_rate: int, sample_format: str = "s16") -> Disturb:
    codec = Codec(container, encoder, rate_hz, bit_rate, sample_format)

    def apply(samples: np.ndarray, _: np.random.Generator) -> np.ndarray:
        return decode(encode(samples, codec)).samples

    return apply


def _telephone(samples: np.ndarray, _: np.random.Generator) -> np.ndarray:
    band = butter(6, BAND_HZ, "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    return _within_full_scale(sosfilt(band, samples.astype(np.float64)))


def _noisy(noise: Callable[[int, np.random.Generator], np.ndarray], snr_db: float) -> Disturb:
    """``noise(n, random)`` gives (n,) samples; they are scaled by their own power."""

    def apply(samples: np.ndarray, random: np.random.Generator) -> np.ndarray:
        added = noise(len(samples), random)
        gain = np.sqrt(active_power(samples) / np.square(added).mean() / 10 ** (snr_db / 10))
        return _within_full_scale(samples + gain * added)

    return apply


def _white(n: int, random: np.random.Generator) -> np.ndarray:
    return random.standard_normal(n)


def _stretch(noise: np.ndarray) -> Callable[[int, np.random.Generator], np.ndarray]:
    def draw(n: int, random: np.random.Generator) -> np.ndarray:
        enough = noise if n <= len(noise) else np.resize(noise, n)  # over and over
        begin = int(random.integers(len(enough) - n + 1))
        return enough[begin : begin + n]

    return draw


def _in_room(rooms: Sequence[np.ndarray]) -> Disturb:
    # From the direct sound on: what comes before it is the measurement's.
    heard = [room[int(np.abs(room).argmax()) :][: round(ROOM_S * SAMPLE_RATE_HZ)] for room in rooms]

    def apply(samples: np.ndarray, random: np.random.Generator) -> np.ndarray:
        room = heard[random.integers(len(heard))]
        return _within_full_scale(fftconvolve(samples, room / np.sqrt(np.square(room).sum())))

    return apply


def _within_full_scale(samples: np.ndarray) -> np.ndarray:
    return (samples / max(1.0, float(np.abs(samples).max(initial=0.0)))).astype(np.float32)
