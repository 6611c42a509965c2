"""Disturbances do what they say, and how far scores move is counted right."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.signal import welch

from cough.bundle import Bundle
from tests.training.test_gate_table import recording
from tests.training.test_scenes import RATE, steady, tiny_corpus
from training.benchmark import fold_rows, percent, table, write_result
from training.corpus import TWIN_GROUPS, Corpus
from training.disturbances import CAFE_S, VOICES, Disturbance, active_power, cafe_noise, disturbances
from training.robustness import GAINS, SAME_SIDE, figures, measure, report

NAMES = (
    "gain_down_20", "gain_down_10", "gain_up_10", "gain_up_10_clipped", "amr_12200", "amr_4750", "opus_12000",
    "opus_6000", "aac_32000", "mp3_24000", "telephone", "cafe_10", "white_10", "room",
)  # fmt: skip


def _band(random: np.random.Generator, low_hz: float, high_hz: float, n: int) -> np.ndarray:
    """Noise between two frequencies; (n,) float32 of unit power."""
    spectrum = np.fft.rfft(random.standard_normal(n))
    hz = np.fft.rfftfreq(n, 1 / RATE)
    spectrum[(hz < low_hz) | (hz > high_hz)] = 0
    samples = np.fft.irfft(spectrum, n)
    return (samples / samples.std()).astype(np.float32)


def _reverb(random: np.random.Generator) -> np.ndarray:
    """What a room's measurement looks like: a little noise, the direct sound, a tail of 0.3 s."""
    tail = np.exp(-np.arange(4_800) / 800) * random.standard_normal(4_800) * 0.1
    return np.concatenate([1e-3 * random.standard_normal(500), [1.0], tail])


@pytest.fixture(scope="module")
def changes() -> dict[str, Disturbance]:
    random = np.random.default_rng(0)
    cafe = cafe_noise([_band(random, 100, 4_000, RATE)], [_band(random, 50, 7_000, RATE)], random)
    return dict(disturbances(cafe, [_reverb(random), _reverb(random)]))


def apply(change: Disturbance, samples: np.ndarray, seed: int = 0) -> np.ndarray:
    return change.apply(samples, np.random.default_rng(seed))


def power_db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.square(samples, dtype=np.float64).mean()))


def test_all_are_named_and_targets_are_among_them(changes: dict[str, Disturbance]) -> None:
    assert tuple(changes) == NAMES
    assert set(GAINS) | set(SAME_SIDE) <= set(NAMES)
    assert len({change.title for change in changes.values()}) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("loudness", [1.0, 0.05])
def test_what_comes_out_is_sound_of_that_length(
    name: str, loudness: float, changes: dict[str, Disturbance], bout: np.ndarray
) -> None:
    samples = loudness * bout[: 2 * RATE] / np.abs(bout[: 2 * RATE]).max()
    before = samples.copy()
    out = apply(changes[name], samples)
    np.testing.assert_array_equal(samples, before)
    assert out.dtype == np.float32
    assert np.isfinite(out).all()
    longest_s = 1.0 if name == "room" else 0.06
    assert 0 <= len(out) - len(samples) <= longest_s * RATE
    if name != "gain_up_10":
        assert np.abs(out).max() <= 1
    # The loud part of the cough still is one.
    assert active_power(out) > 0.005 * active_power(samples)
    np.testing.assert_array_equal(out, apply(changes[name], samples))


@pytest.mark.parametrize(
    ("name", "gain_db"), [("gain_down_20", -20), ("gain_down_10", -10), ("gain_up_10", 10)]
)
def test_gains_change_the_level_and_nothing_else(
    name: str, gain_db: int, changes: dict[str, Disturbance], bout: np.ndarray
) -> None:
    out = apply(changes[name], bout)
    assert power_db(out) - power_db(bout) == pytest.approx(gain_db, abs=0.01)
    np.testing.assert_allclose(out, bout * 10 ** (gain_db / 20), atol=1 / 65_000)


def test_turned_up_sound_passes_full_scale_or_clips_there(
    changes: dict[str, Disturbance], tone: SimpleNamespace
) -> None:
    loud = tone(1.0, amplitude=0.8)  # type: ignore[operator]
    unclipped, clipped = (apply(changes[name], loud) for name in ("gain_up_10", "gain_up_10_clipped"))
    assert np.abs(unclipped).max() == pytest.approx(0.8 * 10**0.5, rel=1e-3)
    np.testing.assert_allclose(clipped, np.clip(unclipped, -1, 1), atol=1 / 32_767)
    assert (np.abs(clipped) == 1).mean() > 0.5


def test_turned_down_sound_is_as_coarse_as_a_file(changes: dict[str, Disturbance], bout: np.ndarray) -> None:
    steps = apply(changes["gain_down_20"], bout) * 32_767
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)


def _spectrum_db(samples: np.ndarray, low_hz: float, high_hz: float) -> float:
    hz, density = welch(samples, RATE, nperseg=2_048)
    return float(10 * np.log10(density[(hz >= low_hz) & (hz <= high_hz)].mean()))


@pytest.mark.parametrize(
    ("name", "kept", "lost"),
    [
        ("telephone", [(400, 600), (900, 1_100), (2_500, 3_000)], [(20, 130), (5_500, 7_500)]),
        ("amr_12200", [(400, 1_000)], [(4_300, 7_800)]),
        ("amr_4750", [(400, 1_000)], [(4_300, 7_800)]),
    ],
)
def test_bands_end_where_they_should(
    name: str,
    kept: list[tuple[int, int]],
    lost: list[tuple[int, int]],
    changes: dict[str, Disturbance],
) -> None:
    white = (0.05 * np.random.default_rng(1).standard_normal(4 * RATE)).astype(np.float32)
    out = apply(changes[name], white)
    # A codec makes other noise of noise: its level is kept, give or take, fewer bits lose more.
    within_db = {"telephone": 0.5, "amr_12200": 4, "amr_4750": 9}[name]
    for low_hz, high_hz in kept:
        change_db = _spectrum_db(out, low_hz, high_hz) - _spectrum_db(white, low_hz, high_hz)
        assert change_db == pytest.approx(0, abs=within_db)
    for low_hz, high_hz in lost:
        assert _spectrum_db(out, low_hz, high_hz) - _spectrum_db(white, low_hz, high_hz) < -35


def test_fewer_bits_distort_more(changes: dict[str, Disturbance], bout: np.ndarray) -> None:
    def likeness(name: str) -> float:
        out = apply(changes[name], bout)
        at = np.correlate(out[RATE // 2 : 2 * RATE], bout[RATE // 2 : 2 * RATE], "full")
        return float(at.max() / np.sqrt(np.square(out).sum() * np.square(bout).sum()))

    for more, fewer in (("amr_12200", "amr_4750"), ("opus_12000", "opus_6000")):
        assert likeness(more) > likeness(fewer)


@pytest.mark.parametrize("name", ["cafe_10", "white_10"])
def test_noise_has_the_stated_snr_against_the_active_part(name: str, changes: dict[str, Disturbance]) -> None:
    burst_s = 0.3
    samples = steady(2.0, (0.8, burst_s, 0.05), floor=1e-5)
    noise = apply(changes[name], samples) - samples
    cough = power_db(samples[round(0.8 * RATE) : round((0.8 + burst_s) * RATE)])
    # Some windows at the edges of the burst are half empty.
    assert cough - power_db(noise) == pytest.approx(10, abs=0.3)
    assert np.square(noise[: RATE // 2]).mean() == pytest.approx(
        np.square(noise[-RATE // 2 :]).mean(), rel=0.5
    )
    other = apply(changes[name], samples, seed=1) - samples
    assert np.corrcoef(noise, other)[0, 1] < 0.5


@given(st.floats(0.02, 0.5), st.floats(0.0, 1.5), st.floats(0.001, 0.3))
def test_pauses_do_not_count_towards_the_active_part(lasts_s: float, start_s: float, rms: float) -> None:
    samples = steady(2.0, (start_s, lasts_s, rms), floor=rms / 1_000)
    heard = np.square(samples[round(start_s * RATE) : round((start_s + lasts_s) * RATE)]).mean()
    assert active_power(samples) == pytest.approx(heard, rel=0.45 if lasts_s < 0.05 else 0.2)


def test_a_mixture_beyond_full_scale_is_turned_down_as_a_whole(changes: dict[str, Disturbance]) -> None:
    loud = np.clip(steady(1.0, (0.3, 0.3, 0.4)), -1, 1)
    out = apply(changes["white_10"], loud)
    assert np.abs(out).max() == pytest.approx(1)
    # Ten times as quiet, nothing has to be turned down: the same mixture.
    quiet = apply(changes["white_10"], 0.1 * loud)
    assert np.corrcoef(out, quiet)[0, 1] > 0.999999


def test_a_room_begins_with_the_direct_sound_and_keeps_a_dry_sound() -> None:
    dry = np.zeros(300)
    dry[120] = 0.02
    (change,) = (c for name, c in disturbances(np.ones(RATE), [dry]).items() if name == "room")
    samples = steady(0.5, (0.1, 0.2, 0.05))
    out = apply(change, samples)
    np.testing.assert_allclose(out[: len(samples)], samples, atol=1e-6)
    np.testing.assert_allclose(out[len(samples) :], 0, atol=1e-6)


def test_a_room_goes_on_after_the_cough(changes: dict[str, Disturbance]) -> None:
    samples = steady(1.0, (0.3, 0.2, 0.05), floor=0)
    out = apply(changes["room"], samples)
    after = slice(round(0.55 * RATE), round(0.7 * RATE))
    assert np.abs(samples[after]).max() == 0
    assert power_db(out[after]) - power_db(out[round(0.35 * RATE) : round(0.45 * RATE)]) > -40
    drawn = {apply(changes["room"], samples, seed=seed).tobytes() for seed in range(8)}
    assert len(drawn) == 2


def test_cafe_noise_is_six_voices_over_household_noise() -> None:
    random = np.random.default_rng(2)
    # Of many lengths, so that no two voices say the same at the same time.
    voices = [_band(random, 100, 2_000, int(n)) for n in random.integers(30_000, 60_000, 40)]
    household = [_band(random, 4_000, 7_000, 30_000)]
    noise = cafe_noise(voices, household, random)
    assert len(noise) == CAFE_S * RATE
    hz, density = welch(noise, RATE, nperseg=2_048)
    ratio_db = 10 * np.log10(density[hz < 3_000].sum() / density[hz > 3_000].sum())
    assert ratio_db == pytest.approx(10 * np.log10(VOICES) + 6, abs=0.5)


# Figures


def test_figures_of_a_hand_made_case() -> None:
    before = np.array([0.9, 0.8, 0.6, 0.2, 0.49])
    after = np.array([0.9, 0.3, 0.62, 0.24, 0.50])
    assert figures(before, after, 0.5) == {
        "median_change": 0.02,
        "p95_change": pytest.approx(0.04 + 0.8 * 0.46, abs=1e-4),
        "largest_change": 0.5,
        "small_change": 0.8,
        "same_side": 0.6,
        "accepted_before": 0.6,
        "accepted_after": 0.6,
        "no_longer_accepted": 1,
        "newly_accepted": 1,
    }


scores = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=50)


@given(scores, st.floats(0.01, 0.99))
def test_figures_agree_with_each_other(pairs: list[tuple[float, float]], threshold: float) -> None:
    before, after = np.array(pairs).T
    row = figures(before, after, threshold)
    n, eps = len(pairs), 1e-4
    moved = row["no_longer_accepted"] + row["newly_accepted"]
    assert row["same_side"] == pytest.approx(1 - moved / n, abs=eps)
    gained = (row["newly_accepted"] - row["no_longer_accepted"]) / n
    assert row["accepted_after"] - row["accepted_before"] == pytest.approx(gained, abs=2 * eps)
    assert row["median_change"] <= row["p95_change"] + eps <= row["largest_change"] + 2 * eps
    still = figures(before, before, threshold)
    assert (still["largest_change"], still["small_change"], still["same_side"]) == (0, 1, 1)


class Peak:
    """In place of a gate: the score is the loudest sample."""

    spec = SimpleNamespace(threshold=0.5)

    def detect(self, samples: np.ndarray) -> SimpleNamespace:
        return SimpleNamespace(cough_score=float(np.abs(samples).max()))


def test_measure_compares_each_clip_with_itself_and_groups_apart() -> None:
    changes = {
        "half": Disturbance("half as loud", lambda samples, _: samples / 2),
        "random": Disturbance("noisy", lambda samples, random: samples + 0.3 * random.random(len(samples))),
    }
    coughs = [(row, np.full(10, level, np.float32)) for row, level in ((3, 0.9), (4, 1.0), (9, 0.4))]
    others = [(row, np.full(10, level, np.float32)) for row, level in ((1, 0.1), (2, 0.6))]
    result = measure(Peak(), {"coughs": coughs, "others": others}, changes, seed=0)  # type: ignore[arg-type]
    assert {name: row["title"] for name, row in result.items()} == {"half": "half as loud", "random": "noisy"}
    half = result["half"]
    assert (half["coughs"]["median_change"], half["coughs"]["no_longer_accepted"]) == (0.45, 1)
    assert (half["others"]["largest_change"], half["others"]["no_longer_accepted"]) == (0.3, 1)
    # What is random belongs to the clip, whatever else is measured, and in whatever order.
    alone = measure(Peak(), {"coughs": coughs[::-1]}, changes, seed=0)  # type: ignore[arg-type]
    assert alone["random"]["coughs"] == result["random"]["coughs"]
    assert measure(Peak(), {"coughs": coughs}, changes, seed=1) != alone  # type: ignore[arg-type]


# The report


def test_report_writes_everything_and_the_same_twice(tmp_path: Path, bundle: Bundle) -> None:
    corpus = tiny_corpus(tmp_path)
    for out in (tmp_path / "a", tmp_path / "b"):
        report(corpus, bundle, out=out, others=2, seed=0)
    result = json.loads((tmp_path / "a" / "robustness.json").read_text())
    assert result["bundle_id"] == bundle.spec.bundle_id
    assert result["gate"] == bundle.spec.gate.model_dump(mode="json")
    assert {"bundle_sha256", "code_version", "data_hash", "seed"} <= set(result)
    assert (result["coughs"], result["silent_coughs_left_out"]) == (3, 1)
    assert (result["others"], result["others_in_the_fold"]) == (2, 5)
    assert tuple(result["disturbances"]) == NAMES
    page = (tmp_path / "a" / "robustness.md").read_text()
    assert "`python -m training.robustness`" in page
    assert page.count("**reached**") + page.count("**missed**") == len(GAINS) + len(SAME_SIDE)
    for row in result["disturbances"].values():
        assert page.count(f"| {row['title']} |") == 2
    for name in GAINS:
        verdict = "reached" if result["disturbances"][name]["coughs"]["small_change"] >= 0.95 else "missed"
        assert f"by less than 0.05: **{verdict}**" in page
    with Image.open(tmp_path / "a" / "robustness.png") as image:
        assert image.width > 1_000
        assert len(image.convert("RGB").getcolors(1 << 20) or ()) <= 64
    assert (tmp_path / "a" / "robustness.png").stat().st_size < 150_000
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


# What benchmarks share


def test_rows_are_labelled_clips_of_the_fold() -> None:
    twin = next(iter(TWIN_GROUPS))
    claims = [("cough", "g", 5), ("speech", "g", 5), ("cough", "g", 4), ("unlabelled", "g", 5),
              ("room_impulse_response", "g", 5), ("cough", twin, 5)]  # fmt: skip
    recordings = [replace(recording(i, e, "s", group), fold=f) for i, (e, group, f) in enumerate(claims)]
    assert fold_rows(Corpus(Path("nowhere"), tuple(recordings)), 5).tolist() == [0, 1]


def test_a_result_names_what_it_depends_on_and_holds_no_nan(tmp_path: Path) -> None:
    result = {
        "bundle_id": "b",
        "gate_sha256": "e" * 64,
        "code_version": "c",
        "data_hash": "d" * 64,
        "seed": 7,
        "title": "T",
    }
    write_result(tmp_path / "new", "made", result, "body\n\n", command="training.made --all")
    page = (tmp_path / "new" / "made.md").read_text()
    assert page == (
        f"# T\n\nBundle `b` (gate.onnx `eeeeeeeeeeee`), measured by code `c` on data `{'d' * 16}`, seed 7. "
        "Made by `python -m training.made --all`.\n\nbody\n"
    )
    with pytest.raises(ValueError, match="JSON"):
        write_result(tmp_path, "made", result | {"f1": float("nan")}, "", command="training.made")


def test_tables_and_percentages() -> None:
    assert table(("a", "b"), [(1, None), ("x", 2.5)]) == "| a | b |\n|---|---|\n| 1 | None |\n| x | 2.5 |"
    assert (percent(0.12345), percent(0.95, decimals=0), percent(None)) == ("12.3 %", "95 %", "-")
