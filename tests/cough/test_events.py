"""Recordings too long to hold: the same events as in one pass, written whole, in flat memory."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import resource
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from cough import errors
from cough.audio import AudioStream, DecodeLimits, decode
from cough.bundle import Bundle
from cough.cli import app, common, events
from cough.gate import CoughGate, EventFinder, find_events
from cough.timeline import rates
from training import synth

RATE = 16_000
runner = CliRunner()


@pytest.fixture(scope="module")
def gate(bundle: Bundle) -> CoughGate:
    return CoughGate(bundle)


@pytest.fixture(scope="module")
def long_samples() -> np.ndarray:
    """70 s with coughs on both sides of the 20 s blocks' edges, all of which the shipped gate hears."""
    random = np.random.default_rng(76)
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
    assert len(whole) == 7


def test_blocks_give_the_frames_of_the_graph_run_once(
    gate: CoughGate, bundle: Bundle, long_samples: np.ndarray
) -> None:
    """Over the whole recording, with silence around it and no block anywhere."""
    hop, spec = round(gate.hop_s * RATE), bundle.spec.gate
    context = -(-round(spec.context_s * RATE) // hop) * hop
    padded = np.pad(long_samples, context)
    session = bundle.session(spec.file)
    once = session.run(None, {session.get_inputs()[0].name: padded[None]})[0][0]
    once = once[context // hop : len(once) - context // hop]
    np.testing.assert_allclose(gate.frame_probabilities(long_samples), once, atol=1e-5)


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


def test_the_callers_buffer_may_be_reused(gate: CoughGate, long_samples: np.ndarray) -> None:
    def pieces() -> Iterator[np.ndarray]:
        buffer = np.empty(1_000, np.float32)
        for begin in range(0, len(long_samples), 1_000):
            buffer[:] = long_samples[begin : begin + 1_000]
            yield buffer

    assert tuple(gate.events(pieces())) == gate.detect(long_samples).events


def test_half_an_hour_is_decoded_in_flat_memory(tmp_path: Path) -> None:
    """As float32 at 16 kHz it would be 115 MB."""
    long = tmp_path / "long.wav"
    second = (0.1 * np.sin(np.arange(8_000) / 7)).astype(np.float32)
    with soundfile.SoundFile(long, "w", 8_000, 1, "PCM_U8") as file:
        for _ in range(1_800):
            file.write(second)
    tracemalloc.start()
    n_samples = sum(len(piece) for piece in AudioStream(long))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n_samples == 1_800 * RATE
    assert most < 5e6


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
    # The summary and nothing else: no bar where nobody looks.
    summary = f"night.wav: {len(events)} coughs in 0:01:10 (h:mm:ss), {3600 * len(events) / 70:.1f} per hour."
    assert table.stderr.startswith(summary)
    assert "not a diagnosis" in table.stderr
    assert table.stderr.count("\n") == 1
    body = json.loads(runner.invoke(app, ["events", str(long_wav), "--json"]).stdout)
    assert body["events"] == [e.model_dump() for e in events]
    assert (body["file"], body["coughs"], body["duration_s"]) == (str(long_wav), len(events), 70.0)
    assert body["coughs_per_hour"] == pytest.approx(3600 * len(events) / 70, abs=1e-3)
    assert body["notice"] == "research_only_not_a_diagnosis"
    target = tmp_path / "labels.txt"
    silent = runner.invoke(app, ["events", str(long_wav), "--format", "audacity", "-o", str(target)])
    assert (silent.exit_code, silent.stdout) == (0, "")
    labels = [line.split("\t") for line in target.read_text().splitlines()]
    assert [(float(a), float(b)) for a, b, _ in labels] == [(e.start_s, e.end_s) for e in events]
    assert all(label.startswith("cough 0.") for _, _, label in labels)


def test_a_name_that_says_json_gets_json(long_wav: Path, tmp_path: Path) -> None:
    for name, arguments in (("a.json", []), ("a.csv", ["--format", "json"])):
        command = ["events", str(long_wav), "-o", str(tmp_path / name), *arguments]
        assert CliRunner().invoke(app, command).exit_code == 0
        assert "coughs_per_hour" in json.loads((tmp_path / name).read_text())
    command = ["events", str(long_wav), "-o", str(tmp_path / "b.json"), "--format", "csv"]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert (tmp_path / "b.json").read_text().startswith("start_s,")


def test_no_coughs_are_an_answer_too(tmp_path: Path) -> None:
    quiet = tmp_path / "quiet.wav"
    soundfile.write(quiet, np.zeros(RATE), RATE)
    outputs = {
        format: runner.invoke(app, ["events", str(quiet), "--format", format])
        for format in ("csv", "json", "audacity")
    }
    assert all(output.exit_code == 0 for output in outputs.values())
    assert outputs["csv"].stdout == "start_s,end_s,score\n"
    assert outputs["audacity"].stdout == ""
    assert json.loads(outputs["json"].stdout)["coughs_per_hour"] == 0.0


def test_timeline_is_drawn(long_wav: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    target = tmp_path / "night.png"
    assert runner.invoke(app, ["events", str(long_wav), "--figure", str(target)]).exit_code == 0
    assert target.read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == [target]


@given(
    duration_s=st.floats(0.1, 3e5),
    shares=st.lists(st.floats(0, 1, exclude_max=True), max_size=50),
)
def test_rates_add_up_to_the_coughs(duration_s: float, shares: list[float]) -> None:
    edges_min, per_minute = rates([share * duration_s for share in shares], duration_s=duration_s)
    assert float((per_minute * np.diff(edges_min)).sum()) == pytest.approx(len(shares))
    assert edges_min[0] == 0
    assert edges_min[-1] == pytest.approx(duration_s / 60)
    assert len(per_minute) <= 220


def test_bins_are_minutes_and_the_last_is_no_sliver() -> None:
    np.testing.assert_array_equal(rates([], duration_s=190.0)[0], [0, 1, 2, 190 / 60])
    np.testing.assert_allclose(rates([185.0], duration_s=220.0)[1], [0, 0, 0, 60 / 40])
    np.testing.assert_array_equal(np.diff(rates([], duration_s=8 * 3600.0)[0]), 5.0)


def test_what_cannot_be_read_is_an_error_and_leaves_nothing(long_wav: Path, tmp_path: Path) -> None:
    empty, text = tmp_path / "empty.wav", tmp_path / "notes.txt"
    empty.touch()
    text.write_text("not audio " * 100)
    target = tmp_path / "events.csv"
    for path, code in ((empty, "empty"), (text, "not_audio")):
        answer = runner.invoke(app, ["events", str(path), "-o", str(target)])
        assert answer.exit_code == 1
        assert code in answer.stderr
        assert answer.stdout == ""
        assert "Traceback" not in answer.stderr
        assert not target.exists()
    with pytest.raises(errors.TooLong):
        list(AudioStream(long_wav, limits=DecodeLimits(max_seconds=60)))


@pytest.mark.parametrize("as_json", [False, True])
def test_a_night_that_breaks_off_has_its_events_until_then(
    as_json: bool, long_wav: Path, long_samples: np.ndarray, gate: CoughGate, tmp_path: Path
) -> None:
    """They were thrown away with the hours it took to find them."""
    cut, target = tmp_path / "cut.wav", tmp_path / "events"
    cut.write_bytes(long_wav.read_bytes()[: 2 * 45 * RATE + 44])
    option = ["--json"] if as_json else []
    answer = runner.invoke(app, ["events", str(cut), "-o", str(target), *option])
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "truncated" in answer.stderr
    assert "Traceback" not in answer.stderr
    heard = gate.detect(decode(io.BytesIO(_whole(long_samples[: 45 * RATE]))).samples).events
    assert len(heard) >= 3
    if as_json:
        body = json.loads(target.read_text())
        assert body["error"]["code"] == "truncated"
        assert body["duration_s"] == 45
        assert [event["start_s"] for event in body["events"]] == [event.start_s for event in heard]
    else:
        rows = list(csv.DictReader(io.StringIO(target.read_text())))
        assert [float(row["start_s"]) for row in rows] == [event.start_s for event in heard]


def _whole(samples: np.ndarray) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="WAV")
    return file.getvalue()


def test_a_disk_that_goes_away_while_listening(long_wav: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = AudioStream._pieces

    def breaks(stream: AudioStream, kind: str) -> Iterator[np.ndarray]:
        for i, piece in enumerate(real(stream, kind)):
            if i == 10:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            yield piece

    monkeypatch.setattr(AudioStream, "_pieces", breaks)
    answer = runner.invoke(app, ["events", str(long_wav)])
    assert answer.exit_code == 1
    assert isinstance(answer.exception, SystemExit)
    assert answer.stdout.startswith("start_s,end_s,score\n")
    assert "file_unreadable" in answer.stderr


@pytest.mark.parametrize("how", ["csv", "audacity"])
def test_a_pipe_has_each_cough_at_once(how: str, long_samples: np.ndarray, tmp_path: Path) -> None:
    """All came with the last; who lost patience had nothing of the hours that were heard."""
    night = tmp_path / "night.wav"
    soundfile.write(night, np.tile(long_samples, 30), RATE)
    command = [sys.executable, "-c", "from cough.cli import main; main()", "events", night, "--format", how]
    # Where this suite runs in the background, Ctrl-C is ignored, and a child would inherit that.
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        first = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        rest, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped after 0:0" in told
    lines = "".join(first).splitlines()
    assert (lines[0] == "start_s,end_s,score") == (how == "csv")
    assert all(line.count("," if how == "csv" else "\t") == 2 for line in lines + rest.splitlines())


def test_a_disk_that_fills_while_listening_costs_no_event(long_wav: Path, tmp_path: Path) -> None:
    program = "from cough.cli import main; main()"
    target = tmp_path / "events.csv"
    full = subprocess.run(
        [sys.executable, "-c", program, "events", long_wav, "-o", target],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20)),
        capture_output=True,
        text=True,
    )
    assert full.returncode == 2
    assert full.stdout == runner.invoke(app, ["events", str(long_wav)]).stdout
    assert "Traceback" not in full.stderr
    assert list(tmp_path.iterdir()) == []


def test_bad_targets_are_refused_before_listening(long_wav: Path, tmp_path: Path) -> None:
    recording = tmp_path / "copy.wav"
    recording.write_bytes(long_wav.read_bytes())
    (tmp_path / "link.csv").symlink_to(recording)
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.iterdir())
    for option, name in (
        ("-o", "no/events.csv"),
        ("-o", "folder"),
        ("-o", "copy.wav"),
        ("-o", "link.csv"),
        ("--figure", "no/night.png"),
        ("--figure", "copy.wav"),
        ("--figure", "night.nonsense"),
        ("--figure=" + str(tmp_path / "both.png") + " -o", "both.png"),
    ):
        answer = runner.invoke(app, ["events", str(recording), *option.split(), str(tmp_path / name)])
        assert (answer.exit_code, answer.stdout) == (2, ""), name
        assert "per hour" not in answer.stderr, "listened first"
    assert runner.invoke(app, ["events", str(recording), "-o", os.devnull]).exit_code == 2
    assert runner.invoke(app, ["events", str(recording), "--json", "--format", "audacity"]).exit_code == 2
    assert sorted(tmp_path.iterdir()) == before
    assert recording.read_bytes() == long_wav.read_bytes()


def test_a_target_is_replaced_and_a_link_followed(long_wav: Path, tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to(tmp_path / "events.csv")
    assert runner.invoke(app, ["events", str(long_wav), "-o", str(tmp_path / "link.csv")]).exit_code == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "events.csv").read_text().startswith("start_s,")


def test_a_bar_appears_on_a_terminal_only_when_it_takes_long(
    tmp_path: Path, gate: CoughGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = tmp_path / "quiet.wav"
    soundfile.write(quiet, np.zeros(5 * RATE), RATE)
    for after_s, expected in ((60.0, False), (-1.0, True)):
        terminal = Console(file=io.StringIO(), force_terminal=True)
        monkeypatch.setattr(common, "err", terminal)
        monkeypatch.setattr(events, "_BAR_AFTER_S", after_s)
        list(gate.events(events._Listening(quiet).pieces()))
        assert isinstance(terminal.file, io.StringIO)
        assert ("listening" in terminal.file.getvalue()) == expected
