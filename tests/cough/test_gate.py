"""The gate: what it hears must not depend on what surrounds it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cough.bundle import Bundle, GateSpec
from cough.gate import CoughEvent, CoughGate, find_events
from cough.screener import Screener
from training import synth

HOP = 640


@pytest.fixture(scope="module")
def gate(bundle: Bundle) -> CoughGate:
    return CoughGate(bundle)


def shifted(events: tuple[CoughEvent, ...], seconds: float) -> list[tuple[float, float, float]]:
    return [(e.start_s + seconds, e.end_s + seconds, e.score) for e in events]


def assert_same_events(a: list[tuple[float, float, float]], b: list[tuple[float, float, float]]) -> None:
    assert len(a) == len(b)
    np.testing.assert_allclose(np.array(a), np.array(b), atol=1e-5)


def test_finds_the_synthetic_coughs_and_nothing_else(gate: CoughGate, bout: np.ndarray) -> None:
    found = gate.detect(bout)
    assert found.cough_score >= gate.spec.threshold
    assert len(found.events) == 3
    quiet = synth.noise(np.random.default_rng(0)).astype(np.float32)
    babble = synth.babble(np.random.default_rng(0)).astype(np.float32)
    for other in (quiet, babble, np.zeros(16_000, np.float32)):
        assert gate.detect(other).events == ()
        assert gate.detect(other).cough_score < gate.spec.threshold


@pytest.mark.parametrize(("before", "after"), [(0, 40), (1, 0), (60, 60), (700, 100)])
def test_silence_around_changes_nothing(gate: CoughGate, bout: np.ndarray, before: int, after: int) -> None:
    alone = gate.detect(bout)
    surrounded = gate.detect(np.pad(bout, (before * HOP, after * HOP)))
    assert surrounded.cough_score == pytest.approx(alone.cough_score, abs=1e-5)
    assert_same_events(shifted(surrounded.events, 0.0), shifted(alone.events, before * HOP / 16_000))


def test_a_cut_cough_ends_where_the_recording_ends(gate: CoughGate, bout: np.ndarray) -> None:
    first = gate.detect(bout).events[0]
    cut = bout[: int((first.start_s + 0.2) * 16_000) + 77]
    alone = gate.detect(cut)
    surrounded = gate.detect(np.pad(cut, (0, 50 * HOP)))
    assert alone.cough_score == pytest.approx(surrounded.cough_score, abs=1e-5)
    assert all(e.end_s <= round(len(cut) / 16_000, 6) for e in alone.events)  # times are in microseconds
    assert [e.start_s for e in alone.events] == [e.start_s for e in surrounded.events]


def test_long_recordings_are_measured_block_by_block(gate: CoughGate, bout: np.ndarray) -> None:
    """25 repeats cross several block borders; each repeat must give the same frames."""
    repeats = 25
    padded = np.pad(bout, (0, -len(bout) % HOP))
    single = gate.frame_probabilities(np.tile(padded, 3)).reshape(3, -1)[1]
    long = gate.frame_probabilities(np.tile(padded, repeats)).reshape(repeats, -1)
    np.testing.assert_allclose(long[1:-1], np.tile(single, (repeats - 2, 1)), atol=1e-5)


def test_batch_and_single_agree(gate: CoughGate, bundle: Bundle, bout: np.ndarray) -> None:
    session = bundle.session(bundle.spec.gate.file)
    clips = np.stack([bout[: 100 * HOP], np.zeros(100 * HOP, np.float32), bout[20 * HOP : 120 * HOP]])
    name = session.get_inputs()[0].name
    together = session.run(None, {name: clips})[0]
    for clip, row in zip(clips, together, strict=True):
        np.testing.assert_allclose(session.run(None, {name: clip[None]})[0][0], row, atol=1e-6)


@pytest.mark.parametrize("gain_db", [-20.0, -6.0, 6.0])
def test_level_does_not_matter(gate: CoughGate, bout: np.ndarray, gain_db: float) -> None:
    """Where what lies between the coughs stays above the front end's floor of -75 dB."""
    room = np.random.default_rng(0).normal(0, 10 ** (-40 / 20), len(bout)).astype(np.float32)
    heard = bout + room
    louder = heard * np.float32(10 ** (gain_db / 20))
    assert gate.detect(louder).cough_score == pytest.approx(gate.detect(heard).cough_score, abs=0.01)


@pytest.mark.parametrize(("gain_db", "by"), [(-20.0, 0.1), (-6.0, 0.01), (6.0, 0.01)])
def test_a_background_that_sinks_below_the_floor_moves_a_score_a_little(
    gate: CoughGate, bout: np.ndarray, gain_db: float, by: float
) -> None:
    """Real coughs 20 dB quieter are in ``training/results/gate/robustness.md``."""
    louder = bout * np.float32(10 ** (gain_db / 20))
    assert gate.detect(louder).cough_score == pytest.approx(gate.detect(bout).cough_score, abs=by)


@pytest.mark.parametrize("n", [1, 100, 639, 640, 641, 16_000])
def test_short_recordings(gate: CoughGate, n: int) -> None:
    found = gate.detect(np.random.default_rng(0).normal(0, 0.1, n).astype(np.float32))
    assert len(found.frame_probabilities) == -(-n // HOP)
    assert 0.0 <= found.cough_score <= 1.0


@pytest.mark.parametrize("n", [1, 641, 30_000, 20 * 16_000 - 1, 20 * 16_000 + 12_345, 45 * 16_000])
def test_silence_at_the_edges_is_as_good_as_more_of_it(bundle: Bundle, bout: np.ndarray, n: int) -> None:
    """Recordings that end anywhere in a block or its context, loud up to both ends."""
    assert bundle.spec.gate.edge_s is not None
    whole = bundle.spec.gate.model_copy(update={"edge_s": None})
    more = CoughGate(replace(bundle, spec=bundle.spec.model_copy(update={"gate": whole})))
    samples = np.resize(bout[10_000:], n)
    np.testing.assert_allclose(
        CoughGate(bundle).frame_probabilities(samples), more.frame_probabilities(samples), atol=1e-5
    )


SPEC = GateSpec(
    file="gate.onnx",
    hop_s=0.04,
    context_s=1.0,
    score_frames=4,
    threshold=0.5,
    exit_threshold=0.25,
    min_event_s=0.08,
    merge_gap_s=0.08,
    threshold_chosen="",
    calibration="",
)


def events_of(probabilities: list[float], spec: GateSpec = SPEC) -> list[CoughEvent]:
    array = np.array(probabilities, np.float32)
    return list(find_events(array, spec, duration_s=len(array) * spec.hop_s))


def test_hysteresis_enters_high_and_leaves_low() -> None:
    (event,) = events_of([0.0, 0.3, 0.9, 0.9, 0.9, 0.9, 0.3, 0.3, 0.1, 0.0])
    assert (event.start_s, event.end_s) == (0.04, 0.32)
    assert event.score == pytest.approx(0.9)
    assert events_of([0.4] * 20) == []


def test_close_runs_merge_and_distant_ones_do_not() -> None:
    cough = [0.9] * 5
    assert len(events_of([*cough, 0.0, 0.0, *cough])) == 1
    assert len(events_of([*cough, 0.0, 0.0, 0.0, *cough])) == 2


def test_shortest_event() -> None:
    certain = SPEC.model_copy(update={"threshold": 0.2, "exit_threshold": 0.1})
    assert events_of([0, 0, 1, 0, 0], certain) == []
    assert len(events_of([0, 0, 1, 1, 0, 0], certain)) == 1


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0, 1, width=32), max_size=80))
def test_an_event_exactly_when_the_score_says_so(probabilities: list[float]) -> None:
    spec = SPEC.model_copy(update={"min_event_s": 0.0})
    events = events_of(probabilities, spec)
    padded = np.pad(np.array(probabilities, np.float32), 3)
    score = np.lib.stride_tricks.sliding_window_view(padded, 4).mean(axis=1).max()
    if abs(score - spec.threshold) > 1e-6:
        assert bool(events) == bool(score > spec.threshold)
    for earlier, later in itertools.pairwise(events):
        assert earlier.end_s <= later.start_s
    for event in events:
        assert event.start_s < event.end_s
        assert event.score >= spec.threshold


@pytest.mark.corpus
def test_real_coughs_of_fold_5(screener: Screener, corpus: object) -> None:
    """A sanity check on real sound: well above chance on every tenth test recording."""
    from cough.audio import decode
    from cough.evaluation.metrics import auroc
    from training.corpus import Corpus

    assert isinstance(corpus, Corpus)
    rows = corpus.where(lambda r: r.fold == 5 and r.is_cough is not None)[::10]
    recordings = [corpus.recordings[r] for r in rows]
    scores = [screener.gate.detect(decode(corpus.root / r.path).samples).cough_score for r in recordings]
    assert auroc([int(bool(r.is_cough)) for r in recordings], scores) > 0.9
