"""Events against known coughs, parameters tried on them, and the report: hand-made cases and properties."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mir_eval.onset import f_measure
from scipy.stats import poisson

from cough.bundle import Bundle, GateSpec
from cough.gate import CoughEvent, CoughGate
from tests.training.test_gate_table import recording
from tests.training.test_scenes import RATE, make_palette, tiny_corpus
from training import soundscapes
from training.benchmark import TEST_FOLD
from training.corpus import Corpus
from training.event_scores import MISSES, counts, f1, judge, rate, share, summary
from training.event_sweep import GRID, SWEEP_FOLD, Heard, hear_fold, split_at_valleys, sweep_events
from training.isolated import Sound
from training.scenes import Placed, Soundscape

Span = tuple[float, float]


def placed(start_s: float, end_s: float, event: str = "cough", source: str = "made") -> Placed:
    name = f"{event} at {start_s:g}"
    return Placed(start_s, end_s, Sound(np.ones(1, np.float32), 0, 1, event, source, "g", name))


def scape(coughs: Sequence[Placed], voices: Sequence[Placed] = (), *, duration_s: float = 30.0) -> Soundscape:
    samples = np.zeros(round(duration_s * RATE), np.float32)
    return Soundscape(samples, tuple(coughs), tuple(voices), "music", 10, "apart")


def events(*spans: Span) -> list[CoughEvent]:
    return [CoughEvent(start_s=start_s, end_s=end_s, score=0.9) for start_s, end_s in spans]


@st.composite
def cough_times(draw: st.DrawFn) -> list[Span]:
    """Coughs with 0.35 s and more from onset to onset and 0.1 s of quiet, as in soundscapes."""
    at, spans = 0.35, []
    for lasts_s, gap_s in draw(st.lists(st.tuples(st.floats(0.04, 0.5), st.floats(0.1, 3.0)), max_size=12)):
        spans.append((at, at + lasts_s))
        at += max(0.35, lasts_s + gap_s)
    return spans


@st.composite
def found_times(draw: st.DrawFn) -> list[Span]:
    """Events in order of time, never overlapping."""
    at, spans = 0.0, []
    for gap_s, lasts_s in draw(st.lists(st.tuples(st.floats(0.05, 1.5), st.floats(0.08, 1.5)), max_size=14)):
        spans.append((at + gap_s, at + gap_s + lasts_s))
        at = spans[-1][1]
    return spans


# Judging


@given(cough_times())
def test_a_perfect_detector_gets_1(coughs: list[Span]) -> None:
    judged = judge(scape([placed(*c) for c in coughs]), events(*coughs))
    assert judged.n_pairs == judged.n_events == judged.n_coughs == len(coughs)
    assert all(fate.miss is None for fate in judged.fates)
    assert judged.count_is_within
    if coughs:
        assert f1([judged]) == 1


@given(cough_times(), st.lists(st.floats(-0.17, 0.17), min_size=12, max_size=12))
def test_onsets_may_be_off_by_less_than_200_ms(coughs: list[Span], off_s: list[float]) -> None:
    moved = [(s + o, max(e, s + o + 0.08)) for (s, e), o in zip(coughs, off_s, strict=False)]
    judged = judge(scape([placed(*c) for c in coughs]), events(*moved))
    assert judged.n_pairs == len(coughs)


@pytest.mark.parametrize("shift_s", [-0.25, -0.21, 0.21, 0.25])
def test_a_detector_that_is_off_by_more_gets_0(shift_s: float) -> None:
    coughs = [(at, at + 0.3) for at in (1.0, 3.0, 5.5)]
    judged = judge(
        scape([placed(*c) for c in coughs]), events(*((s + shift_s, e + shift_s) for s, e in coughs))
    )
    assert f1([judged]) == 0
    assert [fate.miss for fate in judged.fates] == ["misplaced"] * 3
    assert judged.false_alarms == ("misplaced",) * 3
    # As many events as coughs: counts cannot tell.
    assert judged.count_is_within


def test_kinds_of_errors_are_told_apart() -> None:
    scene = scape(
        [placed(1, 1.3), placed(1.5, 1.8), placed(5, 5.3), placed(8, 8.3), placed(11, 11.5)],
        [placed(15, 17, "sneeze"), placed(20, 22, "speech")],
    )
    judged = judge(
        scene,
        events(
            (0.95, 1.9),  # the first cough, with the second in it
            (4.5, 5.1),  # touches the third but begins half a second before
            # nothing at the fourth
            (11.0, 11.2), (11.3, 11.5),  # the fifth, cut in two
            (16.9, 17.5),  # the end of a sneeze
            (25.0, 25.4),
        ),
    )  # fmt: skip
    assert [fate.miss for fate in judged.fates] == [None, "merged", "misplaced", "unheard", None]
    assert judged.false_alarms == ("misplaced", "split", "sneeze", "music background")
    assert [fate.gap_s for fate in judged.fates] == pytest.approx([0.2, 0.2, 2.7, 2.7, 2.7])
    assert (judged.n_coughs, judged.n_events, judged.n_pairs) == (5, 6, 2)


def test_every_event_counts_for_one_cough_only_and_as_many_as_can() -> None:
    two = scape([placed(1.0, 1.1), placed(1.3, 1.4)])
    # Greedy matching would give the event at 1.15 to the first cough and leave the second without.
    assert judge(two, events((0.85, 1.12), (1.15, 1.4))).n_pairs == 2
    assert judge(two, events((1.15, 1.4))).n_pairs == 1


@given(cough_times(), found_times())
@settings(max_examples=200)
def test_books_balance_and_f1_is_that_of_mir_eval(coughs: list[Span], found: list[Span]) -> None:
    judged = judge(scape([placed(*c) for c in coughs]), events(*found))
    missed = [fate.miss for fate in judged.fates if fate.miss]
    assert judged.n_pairs + len(missed) == judged.n_coughs == len(coughs)
    assert judged.n_pairs + len(judged.false_alarms) == judged.n_events == len(found)
    assert set(missed) <= set(MISSES)
    assert set(judged.false_alarms) <= {"split", "misplaced", "music background"}
    if coughs and found:
        onsets, starts = (np.array([start_s for start_s, _ in spans]) for spans in (coughs, found))
        assert f1([judged]) == pytest.approx(f_measure(onsets, starts, window=0.2)[0])


@pytest.mark.parametrize(
    ("n_coughs", "n_events", "near", "within"),
    [(0, 0, True, True), (0, 1, True, False), (0, 2, False, False), (9, 8, True, False),
     (10, 11, True, True), (10, 12, False, False), (15, 16, True, True), (15, 13, False, False)],
)  # fmt: skip
def test_counts_near_and_within(n_coughs: int, n_events: int, near: bool, within: bool) -> None:
    spans = [(float(i + 1), i + 1.3) for i in range(16)]
    judged = judge(scape([placed(*c) for c in spans[:n_coughs]]), events(*spans[:n_events]))
    assert (judged.count_is_near, judged.count_is_within) == (near, within)


def test_pairs_are_summed_before_the_f1_is_formed() -> None:
    perfect = judge(
        scape([placed(i, i + 0.3) for i in range(1, 9)]), events(*((i, i + 0.3) for i in range(1, 9)))
    )
    empty = judge(scape([]), events((3, 3.3), (4, 4.4)))
    assert f1([perfect, empty]) == pytest.approx(16 / 18)
    figures = counts([perfect, empty])
    assert (figures["f1"], figures["precision"], figures["recall"]) == (0.8889, 0.8, 1.0)
    assert figures["false_alarms"] == {"music background": 2}
    assert figures["count_within_10_percent"] == 0.5
    assert (figures["count_error_mean"], figures["count_error_mean_absolute"]) == (1.0, 1.0)
    one_missed = counts([empty, judge(scape([placed(1, 1.3)]), events())])
    assert (one_missed["count_error_mean"], one_missed["count_error_mean_absolute"]) == (0.5, 1.5)
    assert np.isnan(f1([]))


def test_summary_tells_recall_by_gap_and_source() -> None:
    coughs = [placed(1, 1.3), placed(1.45, 1.7), placed(2.2, 2.4), placed(6, 6.2, source="phones")]
    alone = placed(9, 9.2, source="phones")
    judged = [
        judge(scape(coughs), events((1, 1.6), (6, 6.2))),
        judge(scape([alone]), events()),
    ]
    row = summary(judged, unheard_alone={alone.sound.name, coughs[0].sound.name}, seed=0)
    assert row["recall_by_gap"] == {
        "0-0.2 s": {"coughs": 2, "recall": 0.5},
        "0.2-0.35 s": {"coughs": 0, "recall": None},
        "0.35-0.6 s": {"coughs": 1, "recall": 0.0},
        "0.6-inf s": {"coughs": 2, "recall": 0.5},
    }
    assert row["recall_by_source"] == {
        "made": {"coughs": 3, "recall": 0.3333},
        "phones": {"coughs": 2, "recall": 0.5},
    }
    assert row["misses"] == {"merged": 1, "misplaced": 0, "unheard": 2}
    # Of the two that are not heard alone, one was found here.
    assert row["missed_that_are_unheard_alone"] == 1
    low, high = row["f1_95"]
    assert low <= row["f1"] <= high
    assert low < high
    assert row == summary(judged, unheard_alone={alone.sound.name, coughs[0].sound.name}, seed=0)
    assert json.loads(json.dumps(row, allow_nan=False)) == row


def test_nothing_to_find_and_nothing_found_has_no_figures() -> None:
    row = summary([judge(scape([]), [])], unheard_alone=(), seed=0)
    assert (row["f1"], row["f1_95"], row["precision"], row["recall"]) == (None,) * 4
    assert row["count_within_10_percent"] == 1


# Rates


@pytest.mark.parametrize(
    ("n", "low", "high"), [(0, 0, 3.689), (1, 0.0253, 5.572), (3, 0.619, 8.767), (10, 4.795, 18.39)]
)
def test_rates_have_the_tabled_poisson_limits(n: int, low: float, high: float) -> None:
    row = rate(n, 1_800)
    assert (row["events"], row["hours"], row["per_hour"]) == (n, 0.5, 2 * n)
    assert row["per_hour_95"] == pytest.approx([2 * low, 2 * high], abs=0.011)


@given(st.integers(1, 300))
def test_at_either_limit_such_a_count_has_a_chance_of_one_in_40(n: int) -> None:
    low, high = rate(n, 3_600)["per_hour_95"]
    assert poisson.sf(n - 1, low) == pytest.approx(0.025, rel=0.3 if n == 1 else 0.05)
    assert poisson.cdf(n, high) == pytest.approx(0.025, rel=0.05)


def test_shares_of_nothing_are_none() -> None:
    assert (share(1, 3), share(0, 2), share(0, 0)) == (0.3333, 0.0, None)


# The sweep


def gate_spec(**changes: float) -> GateSpec:
    told = {
        "file": "gate.onnx", "hop_s": 0.04, "context_s": 1.0, "score_frames": 2, "threshold": 0.5,
        "exit_threshold": 0.2, "min_event_s": 0.08, "merge_gap_s": 0.08, "threshold_chosen": "",
        "calibration": "",
    }  # fmt: skip
    return GateSpec.model_validate(told | changes)


@pytest.mark.parametrize("fold", [TEST_FOLD, SWEEP_FOLD])
def test_nothing_is_chosen_on_the_test_fold(fold: int) -> None:
    empty = Corpus(Path("nowhere"), (recording(0, "unlabelled", "clinic", "g"),))
    if fold == TEST_FOLD:
        with pytest.raises(ValueError, match="only tests"):
            hear_fold(empty, SimpleNamespace(), n=0, seed=0, fold=fold)  # type: ignore[arg-type]
    else:
        assert hear_fold(empty, SimpleNamespace(), n=0, seed=0) == Heard([], [])  # type: ignore[arg-type]


def test_the_sweep_hears_its_own_fold_alone(tmp_path: Path, bundle: Bundle) -> None:
    corpus = tiny_corpus(tmp_path)
    heard = hear_fold(corpus, CoughGate(bundle), n=1, seed=0)
    groups = {p.sound.group_id for scene, _ in heard.scapes for p in (*scene.coughs, *scene.voices)}
    assert groups
    of_fold = {f"group {i}" for i, r in enumerate(corpus.recordings) if r.fold == SWEEP_FOLD}
    assert groups <= of_fold
    assert sorted(event for event, _, _ in heard.others) == [
        "door", "music", "sneeze", "speech", "traffic_vehicle",
    ]  # fmt: skip
    assert {scene.snr_db for scene, _ in heard.scapes} == {20, 15, 10}
    for scene, frames in heard.scapes:
        assert len(frames) == np.ceil(scene.duration_s / 0.04 - 1e-6)


def test_the_sweep_finds_the_better_parameters_and_rates_false_alarms() -> None:
    """Between two coughs frames dip to 0.3: only a cut, or a higher exit threshold, tells them apart."""
    frames = np.full(100, 0.01, np.float32)
    for at in (20, 30):
        frames[at : at + 5] = 0.9
    frames[25:30] = 0.3
    scene = scape([placed(0.8, 1.0), placed(1.2, 1.4)], duration_s=4.0)
    loud = np.full(25, 0.9, np.float32)
    heard = Heard([(scene, frames)], [("music", 1.0, loud), ("sneeze", 1.0, loud), ("door", 1.0, 0 * loud)])
    grid = {
        "threshold_ratio": (1.0,),
        "exit_ratio": (0.4, 1.0),
        "merge_gap_s": (0.08,),
        "split_ratio": (0.0, 0.5),
    }
    rows = sweep_events(heard, gate_spec(), grid)
    assert [(row["exit_ratio"], row["split_ratio"], row["f1"]) for row in rows] == [
        (0.4, 0.5, 1.0), (1.0, 0.0, 1.0), (1.0, 0.5, 1.0), (0.4, 0.0, 0.6667),
    ]  # fmt: skip
    assert rows[-1]["misses"]["merged"] == 1
    assert {row["alarms_without_sneezes"]["per_hour"] for row in rows} == {1_800.0}


def test_every_point_of_the_grid_is_a_valid_gate(bundle: Bundle) -> None:
    frames = np.full(25, 0.9, np.float32)
    heard = Heard([(scape([placed(0.1, 0.3)], duration_s=1.0), frames)], [("music", 1.0, frames)])
    rows = sweep_events(heard, bundle.spec.gate)
    assert len(rows) == np.prod([len(values) for values in GRID.values()])


probabilities = st.lists(st.floats(0, 1, width=32), min_size=2, max_size=60).map(
    lambda values: np.array(values, np.float32)
)


@given(probabilities, probabilities, st.sampled_from([0.3, 0.5, 0.7, 0.9]))
def test_parts_cover_the_event_and_each_could_be_one(
    inside: np.ndarray, after: np.ndarray, ratio: float
) -> None:
    spec = gate_spec()
    frames = np.concatenate([after, inside, after])
    first, last = len(after), len(after) + len(inside)
    (event,) = events((round(first * 0.04, 6), round(last * 0.04, 6)))
    parts = list(split_at_valleys(event, frames, spec, ratio=ratio))
    assert (parts[0].start_s, parts[-1].end_s) == (event.start_s, event.end_s)
    for one, following in pairwise(parts):
        assert one.end_s == following.start_s
    if len(parts) > 1:
        for part in parts:
            heard = frames[round(part.start_s / 0.04) : round(part.end_s / 0.04)]
            assert part.end_s - part.start_s >= spec.min_event_s - 1e-9
            assert heard.max() >= spec.threshold
    # What sounds outside the event has no say.
    quiet = np.concatenate([0 * after, inside, 0 * after])
    assert parts == list(split_at_valleys(event, quiet, spec, ratio=ratio))


def test_a_cut_lies_at_the_valley_and_only_at_a_deep_one() -> None:
    frames = np.array([0.2, 0.9, 0.8, 0.5, 0.3, 0.5, 0.7, 0.6, 0.5, 0.6], np.float32)
    (event,) = events((0.0, 0.4))
    assert [e.end_s for e in split_at_valleys(event, frames, gate_spec(), ratio=0.5)] == [0.16, 0.4]
    assert list(split_at_valleys(event, frames, gate_spec(), ratio=0.4)) == [event]
    # The second peak would not be an event of its own.
    assert list(split_at_valleys(event, frames, gate_spec(threshold=0.75), ratio=0.5)) == [event]


@pytest.mark.parametrize("n_frames", range(4, 40))
def test_a_peak_right_after_the_event_cuts_nothing(n_frames: int) -> None:
    frames = np.full(n_frames + 4, 0.9, np.float32)
    frames[n_frames - 1] = 0.25
    (event,) = events((0.0, round(n_frames * 0.04, 6)))
    assert list(split_at_valleys(event, frames, gate_spec(), ratio=0.5)) == [event]


# The report


class Ear:
    """In place of a gate: hears an event in whatever is louder than ``limit``, or nothing."""

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def detect(self, samples: np.ndarray) -> SimpleNamespace:
        n_found = int(np.abs(samples).max(initial=0) > self.limit)
        return SimpleNamespace(events=tuple(events((0.0, 0.1))[:n_found]), cough_score=float(n_found))


def test_false_alarms_are_counted_by_event_and_by_hour(tmp_path: Path) -> None:
    corpus = Corpus(
        tmp_path, tuple(recording(i, e, "s", "g") for i, e in enumerate(("cough", "sneeze", "door", "door")))
    )
    loud, quiet = np.full(36 * RATE, 0.5, np.float32), np.zeros(72 * RATE, np.float32)
    found = soundscapes.false_alarms(corpus, Ear(0.1), {0: loud, 1: loud, 2: loud, 3: quiet})  # type: ignore[arg-type]
    assert (found["all"]["events"], found["all"]["hours"]) == (2, 0.04)
    assert (found["without_sneezes"]["events"], found["without_sneezes"]["hours"]) == (1, 0.03)
    assert found["by_event"]["door"]["clips"] == 2
    assert found["by_event"]["door"]["per_hour"] == pytest.approx(33.33)
    assert found["recordings"] == {"r1": 1, "r2": 1}


def test_coughs_that_are_not_heard_in_silence_are_named() -> None:
    sounds = make_palette()
    found = soundscapes.measure(Ear(0.8), sounds, per_snr=1, seed=0)  # type: ignore[arg-type]
    peaks = [np.abs(cough.samples).max() for cough in sounds.coughs]
    assert 0 < found["unheard_alone"] == sum(peak <= 0.8 for peak in peaks) < len(peaks)
    assert set(found["soundscapes"]) == {"apart", "bouts"}
    assert list(found["soundscapes"]["apart"]) == ["20 dB", "15 dB", "10 dB", "5 dB", "0 dB"]


def test_report_writes_everything_and_the_same_twice(tmp_path: Path, bundle: Bundle) -> None:
    corpus = tiny_corpus(tmp_path)
    for out in (tmp_path / "a", tmp_path / "b"):
        soundscapes.report(corpus, bundle, out=out, per_snr=1, seed=3)
    result = json.loads((tmp_path / "a" / "soundscapes.json").read_text())
    assert result["bundle_id"] == bundle.spec.bundle_id
    assert result["data_hash"] == corpus.data_hash
    assert {"bundle_sha256", "code_version", "seed", "gate"} <= set(result)
    assert result["sounds"]["isolated_coughs"] == result["sounds"]["groups"] == 3
    assert result["sounds"]["of_largest_group"] == 1
    assert result["false_alarms"]["all"]["hours"] == pytest.approx(8.5 / 3_600, abs=5e-5)
    page = (tmp_path / "a" / "soundscapes.md").read_text()
    assert "`python -m training.soundscapes`" in page
    assert "3 isolated coughs (phones 3) of 3 people or originals" in page
    for spacing in ("apart", "bouts"):
        for snr_db in (20, 15, 10, 5, 0):
            assert f"| {spacing}, {snr_db} dB |" in page
    tables = [block.split("\n") for block in page.split("\n\n") if block.startswith("|")]
    assert len(tables) == 4
    assert all(len({line.count("|") for line in lines}) == 1 for lines in tables)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_a_gate_that_hears_nothing_gets_a_page_too(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soundscapes, "CoughGate", lambda bundle: Ear(np.inf))
    soundscapes.report(tiny_corpus(tmp_path), bundle, out=tmp_path / "out", per_snr=2, seed=0)
    result = json.loads((tmp_path / "out" / "soundscapes.json").read_text())
    rows = result["soundscapes"]["bouts"].values()
    assert {(row["events"], row["f1"], row["precision"], row["recall"]) for row in rows} == {(0, 0, None, 0)}
    page = (tmp_path / "out" / "soundscapes.md").read_text()
    assert page.count("**missed**") == 2
    assert "fewer than 2 false alarms an hour, sneezes apart: **reached** (0)" in page


def test_a_sweep_says_by_which_command_it_was_made(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = np.full(25, 0.9, np.float32)
    heard = Heard([(scape([placed(0.1, 0.3)], duration_s=1.0), frames)], [("music", 1.0, frames)])
    monkeypatch.setattr(soundscapes, "hear_fold", lambda *_, **__: heard)
    soundscapes.sweep(tiny_corpus(tmp_path), bundle, out=tmp_path / "out", per_snr=1, seed=0)
    page = (tmp_path / "out" / "event_sweep.md").read_text()
    assert "`python -m training.soundscapes --sweep`" in page
    assert page.count("(shipped)") == 1
    assert f"fold {SWEEP_FOLD}" in page.splitlines()[0]
