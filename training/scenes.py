"""Soundscapes: isolated coughs at known times among other voices, over a background, at a chosen SNR.

How one is made, all draws from one seeded stream:

- 0 to 15 coughs, in bouts of 1 to 4; 2 to 5 other vocal sounds, each class as likely as another, as
  loud as the coughs, of at most 2 s around their loudest; 30 to 60 s in all;
- ``SPACINGS``: in "apart" at least 0.35 s of quiet lies between the end of a cough and the onset of
  the next; in "bouts" at least 0.35 s from onset to onset and 0.1 s of quiet, as people really cough.
  Everything else keeps 0.35 s of quiet around it;
- the background is a chain of clips of one kind, each of the same RMS, cross-faded over 50 ms;
- SNR: mean square of a cough's active part over that of the background, averaged over the whole
  soundscape. Where speech pauses, a cough stands out further; where a door slams, less;
- scenes with the same index are the same at every SNR but for the gain. Peak at -6 dBFS.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cough.audio import SAMPLE_RATE_HZ
from training.clips import is_silent
from training.corpus import Corpus
from training.isolated import Believed, Sound, faded, isolated_coughs

SNRS_DB = (20, 15, 10, 5, 0)
SPACINGS = {"apart": (0.35, 1.0), "bouts": (0.1, 0.6)}
"""Between the end of a cough and the onset of the next in its bout, shortest and longest, in seconds."""
ONSETS_S = 0.35
"""Between two onsets, at least."""
CLEAR_S = 0.35
"""Of quiet around bouts and other sounds, at least."""
MOST_COUGHS = 15
BOUT = 4
OTHERS = (2, 5)
LENGTH_S = (30.0, 60.0)
OTHER_S = 2.0
PEAK = 0.5
_CROSSFADE = round(0.05 * SAMPLE_RATE_HZ)

VOICES = (
    "baby_cry", "breathing", "brushing_teeth", "burp", "drinking_sipping", "laughter", "sneeze",
    "snore", "speech", "sustained_vowel",
)  # fmt: skip
"""Sounds of people that are placed among the coughs, as far as a fold holds them."""
BACKGROUNDS = {
    "noise": ("background_noise", "traffic_vehicle", "water", "nature", "power_tool"),
    "music": ("music",),
    "speech": ("speech",),
    "household": (
        "household_appliance", "keyboard", "footsteps", "door", "door_creak", "clock_tick", "can_opening",
        "mouse_click", "glass_break", "hand_tool", "alarm",
    ),
    "outdoors": ("animal", "bird", "dog_bark", "children_playing", "siren", "car_horn"),
}  # fmt: skip


@dataclass(frozen=True)
class Palette:
    """The sounds that soundscapes are made of."""

    coughs: Sequence[Sound]
    voices: Mapping[str, Sequence[Sound]]
    """By event class."""
    backgrounds: Mapping[str, Sequence[np.ndarray]]
    """By kind; each (n,) float32 at 16 kHz."""


@dataclass(frozen=True)
class _Chosen(Sequence[np.ndarray]):
    """Some of many clips, none held."""

    clips: Mapping[int, np.ndarray]
    rows: Sequence[int]

    def __getitem__(self, i: Any) -> Any:
        return self.clips[self.rows[i]]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Placed:
    """A sound in a soundscape: its active part, in seconds."""

    start_s: float
    end_s: float
    sound: Sound


@dataclass(frozen=True)
class Soundscape:
    """What is heard, and what is known about it."""

    samples: np.ndarray
    """(n,) float32 at 16 kHz."""
    coughs: tuple[Placed, ...]
    """In order of time."""
    voices: tuple[Placed, ...]
    background: str
    """Its kind."""
    snr_db: float
    spacing: str

    @property
    def duration_s(self) -> float:
        return len(self.samples) / SAMPLE_RATE_HZ


def palette(corpus: Corpus, clips: Mapping[int, np.ndarray], believed: Believed | None = None) -> Palette:
    """Sort a fold's clips (samples by row) into coughs, voices and backgrounds.

    Parameters
    ----------
    clips : samples of each row; backgrounds are asked for again whenever they are drawn
    believed : which bursts of cough clips count, see ``isolated_coughs``
    """
    by_event: dict[str, list[int]] = {}
    for row, samples in clips.items():
        if not is_silent(samples):
            by_event.setdefault(corpus.recordings[row].event, []).append(row)
    return Palette(
        isolated_coughs(corpus, clips, believed),
        {e: [_loudest_part(corpus, row, clips[row]) for row in by_event[e]] for e in VOICES if e in by_event},
        {
            kind: _Chosen(clips, [row for event in events for row in by_event.get(event, ())])
            for kind, events in BACKGROUNDS.items()
        },
    )


def soundscapes(sounds: Palette, *, snr_db: float, spacing: str, n: int, seed: int) -> Iterator[Soundscape]:
    """``n`` soundscapes; kinds of background take turns."""
    kinds = [kind for kind, clips in sounds.backgrounds.items() if clips]
    for i in range(n):
        random = np.random.default_rng([seed, list(SPACINGS).index(spacing), i])
        yield compose(sounds, random, snr_db=snr_db, spacing=spacing, background=kinds[i % len(kinds)])


def compose(
    sounds: Palette, random: np.random.Generator, *, snr_db: float, spacing: str, background: str
) -> Soundscape:
    """One soundscape."""
    n_coughs = int(random.integers(0, MOST_COUGHS + 1))
    drawn = random.choice(len(sounds.coughs), n_coughs, replace=n_coughs > len(sounds.coughs))
    coughs = [sounds.coughs[i] for i in drawn]
    blocks = list(_bouts(coughs, random, SPACINGS[spacing]))
    names = sorted(sounds.voices)
    for _ in range(int(random.integers(OTHERS[0], OTHERS[1] + 1)) if names else 0):
        voices = sounds.voices[names[random.integers(len(names))]]
        blocks.append([(0, voices[random.integers(len(voices))])])
    length, placed = _laid_out(blocks, random)
    out = chained(sounds.backgrounds[background], length, random)
    for at, sound in placed:
        gain = np.sqrt(10 ** (snr_db / 10) / sound.power)
        begin = at - sound.start
        skip = max(0, -begin)
        part = sound.samples[skip : len(out) - begin]
        out[begin + skip : begin + skip + len(part)] += gain * part
    out *= PEAK / np.abs(out).max()
    marks = [
        Placed(at / SAMPLE_RATE_HZ, (at + sound.end - sound.start) / SAMPLE_RATE_HZ, sound)
        for at, sound in sorted(placed, key=lambda item: item[0])
    ]
    return Soundscape(
        out.astype(np.float32),
        tuple(m for m in marks if m.sound.event == "cough"),
        tuple(m for m in marks if m.sound.event != "cough"),
        background,
        snr_db,
        spacing,
    )


_Block = list[tuple[int, Sound]]
"""Sounds that belong together, and where the active part of each begins, in samples."""


def _bouts(
    coughs: Sequence[Sound], random: np.random.Generator, gap_s: tuple[float, float]
) -> Iterator[_Block]:
    left = list(coughs)
    while left:
        size, at, block = int(random.integers(1, BOUT + 1)), 0, []
        for sound in left[:size]:
            block.append((at, sound))
            quiet = round(random.uniform(*gap_s) * SAMPLE_RATE_HZ)
            at += max(sound.end - sound.start + quiet, round(ONSETS_S * SAMPLE_RATE_HZ))
        del left[:size]
        yield block


def _laid_out(blocks: list[_Block], random: np.random.Generator) -> tuple[int, list[tuple[int, Sound]]]:
    """The soundscape's length, and where each sound's active part begins, in samples."""
    clear = round(CLEAR_S * SAMPLE_RATE_HZ)
    lengths = [block[-1][0] + block[-1][1].end - block[-1][1].start for block in blocks]
    needed = sum(lengths) + clear * (len(blocks) + 1)
    length = max(round(random.uniform(*LENGTH_S) * SAMPLE_RATE_HZ), needed)
    spare = np.sort(random.integers(0, length - needed + 1, len(blocks)))
    placed, used = [], clear
    for i, which in enumerate(random.permutation(len(blocks))):
        placed += [(int(spare[i]) + used + offset, sound) for offset, sound in blocks[which]]
        used += lengths[which] + clear
    return length, placed


def chained(clips: Sequence[np.ndarray], length: int, random: np.random.Generator) -> np.ndarray:
    """Clips drawn one after another, cross-faded; (length,) float64 of unit mean square."""
    fade = np.sin(np.linspace(0, np.pi / 2, _CROSSFADE))
    out = np.zeros(length + _CROSSFADE)
    at = 0
    # On beyond the end, where the last clip fades out: like the first fade in, it crosses with nothing.
    while at < len(out):
        clip = clips[random.integers(len(clips))].astype(np.float64)
        if len(clip) < 2 * _CROSSFADE:
            clip = np.resize(clip, 2 * _CROSSFADE)
        clip = clip / np.sqrt(np.square(clip).mean())
        clip[:_CROSSFADE] *= fade
        clip[-_CROSSFADE:] *= fade[::-1]
        part = clip[: len(out) - at]
        out[at : at + len(part)] += part
        at += len(clip) - _CROSSFADE
    out = out[_CROSSFADE:]
    return np.asarray(out / np.sqrt(np.square(out).mean()))


def _loudest_part(corpus: Corpus, row: int, samples: np.ndarray) -> Sound:
    recording = corpus.recordings[row]
    n = min(len(samples), round(OTHER_S * SAMPLE_RATE_HZ))
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    begin = int(np.argmax(energy[n:] - energy[: len(energy) - n]))
    part = faded(samples[begin : begin + n])
    name = f"{recording.recording_id}@{begin / SAMPLE_RATE_HZ:.2f}"
    return Sound(part, 0, n, recording.event, recording.source, recording.group_id, name)
