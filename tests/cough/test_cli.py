"""The ``cough`` command as a shell sees it: exit codes, stdout, stderr."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cough.bundle import DEFAULT_BUNDLE
from cough.screener import ScreeningResult
from tests.conftest import EXAMPLES
from tests.cough.test_audio import film, wav

GOOD = str(EXAMPLES / "synthetic_cough.m4a")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", "from cough.cli import main; main()"]
    done = subprocess.run(
        [*program, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )
    assert "Traceback" not in done.stderr + done.stdout
    return done


def test_help_names_every_command() -> None:
    done = run("--help")
    assert done.returncode == 0
    for command in ("screen", "events", "info", "models", "demo", "serve"):
        assert command in done.stdout


def test_demo() -> None:
    done = run("demo")
    assert done.returncode == 0
    assert "synthetic_cough.m4a: " in done.stdout
    assert "not a diagnosis" in done.stdout


def test_screen_in_words() -> None:
    done = run("screen", GOOD)
    assert done.returncode == 0
    assert done.stdout.startswith("synthetic_cough.m4a: ")
    assert "levels alone" in done.stdout
    assert done.stderr == ""


def test_screen_json_lines() -> None:
    done = run("screen", "--json", GOOD, EXAMPLES / "synthetic_noise.ogg")
    assert done.returncode == 0
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["file"] for line in lines] == [GOOD, str(EXAMPLES / "synthetic_noise.ogg")]
    for line in lines:
        ScreeningResult.model_validate(line["result"])


def test_several_recordings_of_one_person() -> None:
    files = (GOOD, EXAMPLES / "synthetic_noise.ogg", GOOD)
    done = run("screen", "--json", "--person", *files)
    assert done.returncode == 0
    *each, last = [json.loads(line) for line in done.stdout.splitlines()]
    results = [ScreeningResult.model_validate(line["result"]) for line in each]
    assert [r.outcome != "rerecord" for r in results] == [True, False, True]
    assert last["person"]["n_counted"] == 2
    assert [c["name"] for c in last["person"]["conditions"]] == [c.name for c in results[0].conditions]
    words = run("screen", "--person", *files).stdout
    assert "the person: inconclusive  (coughs were measured in 2 of 3 recordings)" in words


@pytest.fixture(scope="module")
def bad_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every kind of file that people really send, by the code that it must get."""
    folder = tmp_path_factory.mktemp("bad")
    m4a = Path(GOOD).read_bytes()
    contents = {
        "empty": b"",
        "not_audio": b"a text file renamed .wav\n" * 50,
        "truncated": m4a[: len(m4a) // 2],
        "no_audio_track": film(None),
        "non_finite": wav(np.full(16_000, np.nan), subtype="FLOAT"),
        "too_many_channels": wav(np.zeros((16_000, 32))),
    }
    paths = {}
    for code, content in contents.items():
        paths[code] = folder / f"{code}.wav"
        paths[code].write_bytes(content)
    hour = folder / "hour.wav"
    hour.write_bytes(wav(np.zeros(16_000 * 3_600, np.int16)))
    paths["too_long"] = hour
    flac = folder / "zero.flac"
    flac.write_bytes(wav(np.zeros(0), container="FLAC"))
    return paths | {"file_missing": folder / "nowhere.m4a", "not_a_file": folder}


def test_bad_files_each_get_their_code_and_stop_nobody(bad_files: dict[str, Path]) -> None:
    done = run("screen", "--json", *bad_files.values(), GOOD)
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["error"]["code"] for line in lines[:-1]] == list(bad_files)
    assert "result" in lines[-1]
    for code, path in bad_files.items():
        assert f"{path}: {code}: " in done.stderr


def test_each_bad_file_alone_exits_1(bad_files: dict[str, Path]) -> None:
    for code in ("empty", "truncated", "file_missing", "not_a_file"):
        done = run("screen", bad_files[code])
        assert (done.returncode, done.stdout) == (1, "")
        assert code in done.stderr
    zero = bad_files["empty"].with_name("zero.flac")
    assert run("screen", zero).returncode == 1


def test_usage_errors_exit_2(tmp_path: Path) -> None:
    assert run("screen").returncode == 2
    assert run("screen", "--nonsense", GOOD).returncode == 2
    assert run("nonsense").returncode == 2
    assert run("screen", "--plot", tmp_path / "p.png", GOOD, GOOD).returncode == 2
    assert run("screen", "--plot", tmp_path / "p.nonsense", GOOD).returncode == 2
    assert run("screen", "--plot", tmp_path / "no" / "p.png", GOOD).returncode == 2


def test_bundle_errors_exit_2(tmp_path: Path) -> None:
    done = run("screen", "--bundle", tmp_path, GOOD)
    assert (done.returncode, done.stdout) == (2, "")
    assert "bundle_missing" in done.stderr
    folder = shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle")
    (folder / "gate.onnx").write_bytes(b"")
    done = run("models", "--bundle", folder)
    assert done.returncode == 2
    assert "bundle_tampered" in done.stderr


def test_plot_is_a_picture(tmp_path: Path) -> None:
    target = tmp_path / "plot.png"
    assert run("screen", GOOD, "--plot", target).returncode == 0
    assert target.read_bytes().startswith(b"\x89PNG")


def test_names_with_control_characters_stay_harmless(tmp_path: Path) -> None:
    path = tmp_path / "evil\x1b[31m\n.wav"
    path.write_bytes(b"")
    done = run("screen", path)
    assert done.returncode == 1
    assert "\x1b[31m" not in done.stderr
    assert "\\x1b" in done.stderr


def test_info() -> None:
    done = run("info", "--json", GOOD)
    assert done.returncode == 0
    facts = json.loads(done.stdout)
    assert (facts["codec"], facts["rate_hz"], facts["band"]) == ("aac", 44_100, "wide")
    assert run("info", GOOD).returncode == 0
    assert run("info", "nothing.wav").returncode == 1


def test_models() -> None:
    done = run("models", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["files"]
    words = run("models").stdout
    assert "verified" in words
    assert "levels alone" in words
    assert "cough clips and" in words


@pytest.mark.parametrize(
    ("module", "extra", "arguments"),
    [
        ("pyarrow", "batch", ("batch", ".", "-o", "out")),
        ("pyarrow", "batch", ("embed", GOOD, "-o", "out.parquet")),
        ("statsmodels", "eval", ("evaluate", "predictions", ".", "-o", "report")),
    ],
)
def test_a_missing_extra_is_one_line(
    module: str, extra: str, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    program = f"import sys; sys.modules[{module!r}] = None; from cough.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == f"error: missing_extra: needs pip install 'cough-screening[{extra}]'\n"
    assert not done.stdout
    assert not list(tmp_path.iterdir())
