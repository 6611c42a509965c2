"""Recordings too long to hold: the same events as in one pass, written whole, in flat memory."""

from __future__ import annotations

import csv
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cough import errors
from cough.audio import AudioStream, DecodeLimits, decode
from cough.bundle import Bundle
from cough.cli import app
from cough.gate import CoughGate, EventFinder, find_events
from training import synth

RATE = 16_000
runner = CliRunner()


@pytest.fixture(scope="module")
def gate(bundle: Bundle) -> CoughGate:
    return CoughGate(bundle)


@pytest.fixture(scope="module")
def long_samples() -> np.ndarray:
    """70 s with coughs on both sides of the 20 s blocks' edges."""
    random = np.random.default_rng(9)
    out = 0.001 * random.standard_normal(70 * RATE)
    for at_s in (3, 19.6, 19.95, 39.8, 41, 60.1, 69.5):
        one = 0.5 * synth.cough(random)[: 70 * RATE - int(at_s * RATE)]
        out[int(at_s * RATE) : int(at_s * RATE) + len(one)] += one
    return out.astype(np.float32)


@pytest.fixture(scope="module")
def long_wav(long_samples: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "night.wav"
    soundfile.write(path, long_samples, RATE)
    return path


@settings(max_examples=8)
@given(cuts=st.lists(st.integers(0, 70 * RATE), max_size=30))
def test_any_pieces_give_the_events_of_one_pass(
    cuts: list[int], gate: CoughGate, long_samples: np.ndarray
) -> None:
    pieces = np.split(long_samples, sorted(cuts))
    whole = gate.detect(long_samples).events
    assert tuple(gate.events(pieces)) == whole
    assert len(whole) >= 4


@given(
    values=st.lists(st.sampled_from([0.0, 0.05, 0.15, 0.3, 0.9]), max_size=80),
    cuts=st.lists(st.integers(0, 80), max_size=10),
)
def test_finder_does_not_care_how_frames_arrive(
    values: list[float], cuts: list[int], gate: CoughGate
) -> None:
    spec = gate.spec.model_copy(update={"threshold": 0.3, "exit_threshold": 0.15})
    frames = np.array(values, np.float32)
    duration_s = len(frames) * spec.hop_s
    finder = EventFinder(spec)
    found = [event for part in np.split(frames, sorted(cuts)) for event in finder.push(part)]
    found += finder.finish(duration_s=duration_s)
    assert found == list(find_events(frames, spec, duration_s=duration_s))
    ends = [0.0, *(time for event in found for time in (event.start_s, event.end_s)), duration_s + 1e-6]
    assert ends == sorted(ends)


def test_stream_is_decode_in_pieces(long_wav: Path) -> None:
    stream = AudioStream(long_wav)
    pieces = list(stream)
    waveform = decode(long_wav)
    assert len(pieces) > 30
    np.testing.assert_array_equal(np.concatenate(pieces), waveform.samples)
    assert stream.info == waveform.source
    assert stream.share_read == 1.0


def test_events_come_before_the_recording_ends(gate: CoughGate, long_samples: np.ndarray) -> None:
    given = 0

    def pieces() -> Iterator[np.ndarray]:
        nonlocal given
        for piece in np.split(long_samples, 70):
            given += 1
            yield piece

    first = next(iter(gate.events(pieces())))
    assert first.start_s < 4
    assert given < 30


def test_memory_does_not_grow_with_the_recording(gate: CoughGate) -> None:
    def peak(minutes: int) -> int:
        silence = (np.zeros(RATE, np.float32) for _ in range(60 * minutes))
        tracemalloc.start()
        assert list(gate.events(silence)) == []
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(8) < 1.2 * peak(2)


def test_formats_hold_the_same_events(long_wav: Path, gate: CoughGate, tmp_path: Path) -> None:
    events = gate.detect(decode(long_wav).samples).events
    table = runner.invoke(app, ["events", str(long_wav)])
    assert table.exit_code == 0
    rows = list(csv.DictReader(table.stdout.splitlines()))
    assert [float(row["start_s"]) for row in rows] == [e.start_s for e in events]
    assert "not a diagnosis" in table.stderr.replace("\n", " ")
    body = json.loads(runner.invoke(app, ["events", str(long_wav), "--json"]).stdout)
    assert body["events"] == [e.model_dump() for e in events]
    assert body["coughs_per_hour"] == pytest.approx(3600 * len(events) / 70, abs=1e-3)
    target = tmp_path / "labels.txt"
    silent = runner.invoke(app, ["events", str(long_wav), "--format", "audacity", "-o", str(target)])
    assert (silent.exit_code, silent.stdout) == (0, "")
    labels = [line.split("\t") for line in target.read_text().splitlines()]
    assert [(float(a), float(b)) for a, b, _ in labels] == [(e.start_s, e.end_s) for e in events]


def test_timeline_is_drawn(long_wav: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    target = tmp_path / "night.png"
    assert runner.invoke(app, ["events", str(long_wav), "--figure", str(target)]).exit_code == 0
    assert target.read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_read_is_an_error_and_leaves_nothing(long_wav: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.wav"
    cut.write_bytes(long_wav.read_bytes()[: 40 * RATE])
    empty, text = tmp_path / "empty.wav", tmp_path / "notes.txt"
    empty.touch()
    text.write_text("not audio " * 100)
    target = tmp_path / "events.csv"
    for path, code in ((cut, "truncated"), (empty, "empty"), (text, "not_audio")):
        answer = runner.invoke(app, ["events", str(path), "-o", str(target)])
        assert answer.exit_code == 1
        assert code in answer.stderr
        assert answer.stdout == ""
        assert not target.exists()
    with pytest.raises(errors.TooLong):
        list(AudioStream(long_wav, limits=DecodeLimits(max_seconds=60)))


def test_full_or_missing_target_is_an_error(long_wav: Path, tmp_path: Path) -> None:
    answer = runner.invoke(app, ["events", str(long_wav), "-o", str(tmp_path / "no" / "events.csv")])
    assert answer.exit_code == 2
    assert list(tmp_path.iterdir()) == []
