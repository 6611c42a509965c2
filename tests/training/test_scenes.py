"""Isolated coughs and soundscapes: onsets, gaps and SNR are what they are said to be."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.test_gate_table import recording
from training import synth
from training.benchmark import fold_rows, listen
from training.corpus import Corpus
from training.isolated import SINGLE_COUGH_SOURCES, Sound, isolated_bursts, isolated_coughs, level_db
from training.scenes import (
    BACKGROUNDS,
    LENGTH_S,
    MOST_COUGHS,
    OTHER_S,
    PEAK,
    SNRS_DB,
    SPACINGS,
    Palette,
    Soundscape,
    chained,
    palette,
    soundscapes,
)

RATE = 16_000
NEAR = 0.01 * RATE
"""10 ms: how well onsets and ends are known."""


def steady(
    seconds: float, *bursts: tuple[float, float, float], floor: float = 1e-4, seed: int = 0
) -> np.ndarray:
    """Noise of RMS ``floor`` with louder bursts of noise; each (start_s, seconds, RMS)."""
    random = np.random.default_rng(seed)
    out = floor * random.standard_normal(round(seconds * RATE))
    for start_s, lasts_s, rms in bursts:
        begin, n = round(start_s * RATE), round(lasts_s * RATE)
        out[begin : begin + n] = rms * random.standard_normal(n)
    return out.astype(np.float32)


def tiny_corpus(root: Path) -> Corpus:
    """Folds 4 and 5 of synthetic sounds on disk: three coughs, a silent one, other sounds, a room."""
    (root / "recordings.csv").write_text("stands for the labels in the data hash\n")
    random = np.random.default_rng(8)
    recordings = []
    for fold in (4, 5):
        sounds = [("cough", _cough_clip(seed)) for seed in (0, 1, 3)]
        sounds += [
            ("cough", np.zeros(RATE)),
            ("sneeze", steady(1.0, (0.3, 0.4, 0.1))),
            ("speech", synth.babble(random, voices=1, duration_s=2.5)),
            ("music", 0.2 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)),
            ("traffic_vehicle", synth.noise(random, duration_s=2.0)),
            ("door", steady(1.0, (0.2, 0.1, 0.05), floor=0.003)),
            ("unlabelled", steady(1.0)),
            ("room_impulse_response", np.exp(-np.arange(4_000) / 600) * random.standard_normal(4_000) * 0.2),
        ]
        for event, samples in sounds:
            i = len(recordings)
            soundfile.write(root / f"{i}.wav", np.clip(samples, -1, 1), RATE, subtype="PCM_16")
            made = recording(i, event, "phones", f"group {i}")
            recordings.append(replace(made, path=f"{i}.wav", fold=fold, duration_s=len(samples) / RATE))
    return Corpus(root, tuple(recordings))


def _cough_clip(seed: int) -> np.ndarray:
    out = steady(1.4, seed=seed).astype(np.float64)
    cough = 0.5 * synth.cough(np.random.default_rng(seed))
    out[8_000 : 8_000 + len(cough)] += cough
    return out


# Isolated coughs


@given(
    start_s=st.floats(0.3, 1.0),
    lasts_s=st.floats(0.06, 0.47),
    loud_db=st.floats(-40, -10),
    seed=st.integers(0, 99),
)
@settings(max_examples=30)
def test_a_burst_is_found_to_within_10_ms(start_s: float, lasts_s: float, loud_db: float, seed: int) -> None:
    rms = 10 ** (loud_db / 20)
    samples = steady(2.0, (start_s, lasts_s, rms), floor=rms / 100, seed=seed)
    ((begin, end),) = isolated_bursts(samples)
    assert abs(begin - start_s * RATE) <= NEAR
    assert abs(end - (start_s + lasts_s) * RATE) <= NEAR


@pytest.mark.parametrize(("gap_s", "found"), [(0.06, 0), (0.12, 0), (0.2, 0), (0.5, 2)])
def test_two_bursts_count_only_when_far_apart(gap_s: float, found: int) -> None:
    samples = steady(2.5, (0.5, 0.15, 0.1), (0.65 + gap_s, 0.15, 0.1))
    assert len(isolated_bursts(samples)) == found


@pytest.mark.parametrize(("below_db", "found"), [(10, 0), (16, 0), (30, 1), (60, 1)])
def test_a_burst_over_noise_is_not_isolated(below_db: float, found: int) -> None:
    samples = steady(2.0, (0.8, 0.2, 0.1), floor=0.1 / 10 ** (below_db / 20))
    assert len(isolated_bursts(samples)) == found


@pytest.mark.parametrize(("lasts_s", "found"), [(0.015, 0), (0.06, 1), (0.45, 1), (0.6, 0)])
def test_too_short_and_too_long_is_no_cough(lasts_s: float, found: int) -> None:
    assert len(isolated_bursts(steady(2.0, (0.6, lasts_s, 0.1)))) == found


@pytest.mark.parametrize(("quieter_db", "found"), [(3, 2), (8, 2), (13, 1)])
def test_what_is_far_below_the_loudest_is_left_out(quieter_db: float, found: int) -> None:
    samples = steady(3.0, (0.5, 0.2, 0.1), (2.0, 0.2, 0.1 / 10 ** (quieter_db / 20)))
    assert len(isolated_bursts(samples)) == found


def test_the_onset_does_not_depend_on_a_louder_cough_elsewhere() -> None:
    quiet = 0.04
    # It swells for 40 ms at 13 dB below its peak: within 15 dB of it, not within 20 dB of the louder one.
    rising = ((2.0, 0.04, quiet * 10 ** (-13 / 20)), (2.04, 0.2, quiet))
    ((alone, _),) = isolated_bursts(steady(3.0, *rising))
    beside = isolated_bursts(steady(3.0, *rising, (0.5, 0.2, 0.1)))
    assert abs(alone - 2.0 * RATE) <= NEAR
    assert abs(beside[1][0] - 2.0 * RATE) <= NEAR


@pytest.mark.parametrize("start_s", [0.0, 0.1, 0.75])
def test_a_burst_at_the_edge_counts_only_where_clips_are_cut_closely(start_s: float) -> None:
    samples = steady(1.0, (start_s, 0.2, 0.1))
    assert isolated_bursts(samples) == []
    ((begin, end),) = isolated_bursts(samples, cut_closely=True)
    assert abs(begin - start_s * RATE) <= NEAR
    assert abs(end - (start_s + 0.2) * RATE) <= NEAR


@given(st.integers(1, 1_000))
def test_levels_come_every_5_ms(n: int) -> None:
    levels = level_db(np.full(n, 0.1, np.float32))
    assert len(levels) == -(-n // 80)
    if n > 400:
        assert levels[len(levels) // 2] == pytest.approx(-20, abs=1e-3)


def test_isolated_coughs_are_cut_out_where_they_sound() -> None:
    closely = next(iter(SINGLE_COUGH_SOURCES))
    claims = [("cough", "clinic"), ("cough", closely), ("cough", "clinic"), ("sneeze", "clinic")]
    corpus = Corpus(Path("nowhere"), tuple(recording(i, *claim, f"g{i}") for i, claim in enumerate(claims)))
    clip = steady(1.5, (0.6, 0.2, 0.1))
    short = steady(0.4, (0.05, 0.3, 0.1))
    first, second = isolated_coughs(corpus, {0: clip, 1: short, 2: 0.001 * clip, 3: clip})
    assert (first.source, first.group_id, first.name) == ("clinic", "g0", "r0@0.60")
    assert second.source == closely
    # 50 ms before the onset, 200 ms after the end; the clip's samples but for the fades.
    assert first.start == 0.05 * RATE
    assert len(first.samples) - first.end == 0.2 * RATE
    at = isolated_bursts(clip)[0][0] - first.start
    np.testing.assert_array_equal(first.samples[200:-200], clip[at + 200 : at + len(first.samples) - 200])
    assert np.abs(first.samples[[0, -1]]).max() == 0
    assert first.power == pytest.approx(0.01, rel=0.15)


@pytest.mark.corpus
def test_clips_cut_to_one_cough_hold_one_cough(corpus: Corpus) -> None:
    rows = [r for r in fold_rows(corpus, 4) if corpus.recordings[r].source in SINGLE_COUGH_SOURCES]
    rows = [r for r in rows if corpus.recordings[r].is_cough][:60]
    names = [cough.name.split("@")[0] for cough in isolated_coughs(corpus, listen(corpus, rows))]
    assert len(names) == len(set(names))
    assert len(names) > len(rows) / 2


# Soundscapes


def _sound(random: np.random.Generator, event: str, i: int) -> Sound:
    """Noise that is heard only in its active part, so that all else in a soundscape is background."""
    n = int(random.integers(640, 8_000 if event == "cough" else 20_000))
    samples = np.zeros(n + 2_400, np.float32)
    samples[800 : 800 + n] = random.uniform(0.01, 0.5) * random.standard_normal(n)
    return Sound(samples, 800, 800 + n, event, "made", f"g{i}", f"{event} {i}")


def make_palette() -> Palette:
    random = np.random.default_rng(4)
    backgrounds = {
        kind: [
            random.uniform(0.01, 0.3) * random.standard_normal(RATE * (k + 1)).astype(np.float32)
            for k in range(3)
        ]
        for kind in ("noise", "music")
    }
    voices = {event: [_sound(random, event, i) for i in range(3)] for event in ("sneeze", "speech")}
    return Palette([_sound(random, "cough", i) for i in range(20)], voices, backgrounds | {"speech": []})


SOUNDS = make_palette()


def made(*, snr_db: float = 10, spacing: str = "apart", n: int = 2, seed: int = 0) -> list[Soundscape]:
    return list(soundscapes(SOUNDS, snr_db=snr_db, spacing=spacing, n=n, seed=seed))


@pytest.mark.parametrize("spacing", SPACINGS)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=30)
def test_gaps_counts_and_lengths_are_as_stated(spacing: str, seed: int) -> None:
    (scape,) = made(spacing=spacing, n=1, seed=seed)
    assert LENGTH_S[0] <= scape.duration_s <= LENGTH_S[1]
    assert np.abs(scape.samples).max() == pytest.approx(PEAK)
    assert len(scape.coughs) <= MOST_COUGHS
    assert 2 <= len(scape.voices) <= 5
    assert {c.sound.event for c in scape.coughs} <= {"cough"}
    assert "cough" not in {v.sound.event for v in scape.voices}
    eps = 1e-9
    onsets_s = [c.start_s for c in scape.coughs]
    assert onsets_s == sorted(onsets_s)
    shortest = {"apart": 0.35, "bouts": 0.1}[spacing]
    for one, after in pairwise(scape.coughs):
        assert after.start_s - one.end_s >= shortest - eps
        assert after.start_s - one.start_s >= 0.35 - eps
    everything = sorted((*scape.coughs, *scape.voices), key=lambda placed: placed.start_s)
    assert everything[0].start_s >= 0.35 - eps
    assert everything[-1].end_s <= scape.duration_s - 0.35 + eps
    for one, after in pairwise(everything):
        if "cough" not in (one.sound.event, after.sound.event) or one.sound.event != after.sound.event:
            assert after.start_s - one.end_s >= 0.35 - eps
    for placed in everything:
        lasts_s = (placed.sound.end - placed.sound.start) / RATE
        assert placed.end_s - placed.start_s == pytest.approx(lasts_s)


def test_spacings_differ_in_how_close_coughs_come() -> None:
    def closest_s(spacing: str) -> float:
        scapes = made(spacing=spacing, n=8)
        return min(b.start_s - a.end_s for s in scapes for a, b in pairwise(s.coughs))

    assert closest_s("bouts") < 0.2 < 0.35 - 1e-9 <= closest_s("apart")


def _active(scape: Soundscape) -> np.ndarray:
    mask = np.zeros(len(scape.samples), bool)
    for placed in (*scape.coughs, *scape.voices):
        mask[round(placed.start_s * RATE) : round(placed.end_s * RATE)] = True
    return mask


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("snr_db", SNRS_DB)
def test_the_snr_is_the_stated_one_and_the_rest_the_same(snr_db: int, spacing: str) -> None:
    """Two soundscapes that differ in SNR alone are solved for what is common to them."""
    (other,) = made(snr_db=snr_db + 6, spacing=spacing, n=1, seed=5)
    (scape,) = made(snr_db=snr_db, spacing=spacing, n=1, seed=5)
    assert scape.coughs == other.coughs
    assert scape.voices == other.voices
    assert scape.snr_db == snr_db
    active = _active(scape)
    here, there = scape.samples.astype(np.float64), other.samples.astype(np.float64)
    louder = np.dot(there[~active], here[~active]) / np.dot(here[~active], here[~active])
    np.testing.assert_allclose(there[~active], louder * here[~active], atol=1e-6)
    sounds = (there / louder - here) / (10 ** (6 / 20) - 1)
    background = np.square(here - sounds).mean()
    assert len(scape.coughs) > 1
    for placed in (*scape.coughs, *scape.voices):
        power = np.square(sounds[round(placed.start_s * RATE) : round(placed.end_s * RATE)]).mean()
        assert 10 * np.log10(power / background) == pytest.approx(snr_db, abs=0.02)
    assert np.square(sounds[~active]).mean() < 1e-6 * background
    cough = scape.coughs[0]
    heard = sounds[round(cough.start_s * RATE) : round(cough.end_s * RATE)]
    assert np.corrcoef(heard, cough.sound.samples[cough.sound.start : cough.sound.end])[0, 1] > 0.999


def test_seeds_decide_everything() -> None:
    one, again, other = made(seed=1), made(seed=1), made(seed=2)
    for a, b in zip(one, again, strict=True):
        np.testing.assert_array_equal(a.samples, b.samples)
        assert (a.coughs, a.voices) == (b.coughs, b.voices)
    first, second = one
    assert first.coughs != second.coughs
    assert first.coughs != other[0].coughs
    # More soundscapes leave the first ones as they are.
    assert made(seed=1, n=3)[1].coughs == second.coughs


def test_backgrounds_take_turns_and_empty_kinds_are_left_out() -> None:
    assert [s.background for s in made(n=5)] == ["noise", "music", "noise", "music", "noise"]


@given(length=st.integers(2_000, 40_000), clip=st.integers(1, 9_000), seed=st.integers(0, 99))
@settings(max_examples=40)
def test_a_chain_has_unit_power_and_no_hole_at_either_end(length: int, clip: int, seed: int) -> None:
    out = chained([np.full(clip, 0.02, np.float32)], length, np.random.default_rng(seed))
    assert len(out) == length
    assert np.square(out).mean() == pytest.approx(1)
    # Where two constant clips cross the sum swells; nowhere does it fade.
    assert out.min() > 0.7
    assert out.max() < 1.5


def test_clips_of_a_chain_are_equally_loud() -> None:
    random = np.random.default_rng(0)
    clips = [rms * random.standard_normal(8_000).astype(np.float32) for rms in (1e-3, 0.3)]
    out = chained(clips, 10 * RATE, random)
    power = np.square(out.reshape(-1, 1_600)).mean(axis=1)
    assert np.abs(10 * np.log10(power)).max() < 1


def test_a_palette_sorts_the_audible_clips_of_a_fold() -> None:
    events = ("cough", "speech", "speech", "door", "music", "car_horn", "sneeze", "clapping")
    corpus = Corpus(Path("nowhere"), tuple(recording(i, e, "clinic", f"g{i}") for i, e in enumerate(events)))
    clips = {i: steady(1.5, (0.6, 0.2, 0.1), seed=i) for i in range(len(events))}
    clips[1] = steady(5.0, (3.3, 1.0, 0.2), floor=0.01)
    clips[2] = np.zeros(RATE, np.float32)
    sounds = palette(corpus, clips)
    assert [c.group_id for c in sounds.coughs] == ["g0"]
    assert {name: [v.group_id for v in voices] for name, voices in sounds.voices.items()} == {
        "speech": ["g1"],
        "sneeze": ["g6"],
    }
    assert {kind: len(found) for kind, found in sounds.backgrounds.items()} == {
        "noise": 0, "music": 1, "speech": 1, "household": 1, "outdoors": 1,
    }  # fmt: skip
    assert set(sounds.backgrounds) == set(BACKGROUNDS)
    (speech,) = sounds.voices["speech"]
    assert len(speech.samples) == OTHER_S * RATE
    # The loudest two seconds hold the loud second as a whole.
    assert np.square(speech.samples).sum() == pytest.approx(
        np.square(clips[1][52_800:68_800]).sum(), rel=0.01
    )
