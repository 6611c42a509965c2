from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import soundfile
from typer.testing import CliRunner

from cough.cli import app
from cough.screener import Screener
from tests.conftest import EXAMPLES

COUGHS = [EXAMPLES / "synthetic_cough.m4a", EXAMPLES / "synthetic_cough_telephone.amr"]


def run(*arguments: object) -> int:
    return CliRunner().invoke(app, ["embed", *map(str, arguments)]).exit_code


def test_a_row_a_cough_whatever_it_is_batched_with(tmp_path: Path, screener: Screener) -> None:
    assert run(*COUGHS, "-o", tmp_path / "both.parquet") == 0
    assert run(COUGHS[1], "-o", tmp_path / "one.npy") == 0
    both = pq.read_table(tmp_path / "both.parquet").to_pylist()
    alone = np.load(tmp_path / "one.npy")
    second = np.array([row["embedding"] for row in both if row["file"] == str(COUGHS[1])], np.float32)
    assert np.array_equal(second, alone)
    assert len(both) == sum(len(screener.screen(path).events) for path in COUGHS)
    assert np.allclose(np.linalg.norm(alone, axis=1), 1, atol=1e-5)


def test_every_second(tmp_path: Path) -> None:
    assert run(EXAMPLES / "synthetic_noise.ogg", "--windows", "-o", tmp_path / "all.npy") == 0
    assert len(np.load(tmp_path / "all.npy")) >= 1


def test_only_whole_seconds_but_the_whole_of_less(tmp_path: Path) -> None:
    for seconds, spans in ((1.9, [(0.0, 1.0)]), (0.5, [(0.0, 0.5)])):
        soundfile.write(tmp_path / "in.wav", np.full(round(seconds * 16_000), 0.1), 16_000)
        assert run(tmp_path / "in.wav", "--windows", "-o", tmp_path / "out.parquet") == 0
        rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
        assert [(row["start_s"], row["end_s"]) for row in rows] == spans


def test_where_every_file_fails_an_earlier_output_stays(tmp_path: Path) -> None:
    out = tmp_path / "out.npy"
    assert run(COUGHS[0], "-o", out) == 0
    before = out.read_bytes()
    (tmp_path / "bad.wav").write_text("no sound")
    assert run(tmp_path / "bad.wav", "-o", out) == 1
    assert out.read_bytes() == before


def test_a_file_that_cannot_be_read_is_said_and_the_rest_is_written(tmp_path: Path) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_text("no sound")
    assert run(bad, COUGHS[0], "-o", tmp_path / "out.npy") == 1
    assert len(np.load(tmp_path / "out.npy")) > 0


def test_the_output_is_checked_before_the_work(tmp_path: Path) -> None:
    assert run(COUGHS[0], "-o", tmp_path / "out.csv") == 2
    assert run(COUGHS[0], "-o", tmp_path / "none" / "out.npy") == 2
