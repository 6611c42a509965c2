"""The one flow, on what ships."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cough
from cough.audio import Waveform
from cough.quality import QualityConfig
from cough.screener import Screener, ScreeningResult
from tests.conftest import EXAMPLES
from training import synth


def test_examples_get_the_verdicts_that_their_names_promise(screener: Screener) -> None:
    for path in EXAMPLES.glob("synthetic_cough*"):
        result = screener.screen(path)
        assert result.outcome in ("screened", "inconclusive")
        assert len(result.events) == 3, path.name
        assert result.conditions
    for name in ("synthetic_babble.webm", "synthetic_noise.ogg"):
        result = screener.screen(EXAMPLES / name)
        assert result.outcome == "rerecord"
        assert "no_cough" in [reason.code for reason in result.reasons if reason.blocking]


def test_turned_away_is_not_low(screener: Screener) -> None:
    """Not measured and low are different answers: no condition, but always a cough score."""
    result = screener.screen(EXAMPLES / "synthetic_noise.ogg")
    assert result.conditions == ()
    assert 0.0 <= result.cough_score <= 1.0
    assert "encoder" not in result.timings_ms


def test_blocking_quality_stops_before_the_encoder(screener: Screener, bout: np.ndarray) -> None:
    strict = Screener(screener.bundle, quality=QualityConfig(min_duration_s=30.0))
    result = strict.screen(Waveform.from_samples(bout, rate_hz=16_000))
    assert result.outcome == "rerecord"
    assert result.events
    assert result.conditions == ()


def test_path_bytes_file_and_waveform_agree(screener: Screener) -> None:
    path = EXAMPLES / "synthetic_cough.m4a"
    data = path.read_bytes()
    answers = [
        screener.screen(source).model_dump(exclude={"timings_ms"})
        for source in (path, str(path), data, io.BytesIO(data), cough.decode(path))
    ]
    assert all(answer == answers[0] for answer in answers)


def test_json_round_trip(screener: Screener) -> None:
    for path in EXAMPLES.iterdir():
        result = screener.screen(path)
        assert ScreeningResult.model_validate_json(result.model_dump_json()) == result


def test_result_says_what_it_is_and_is_not(screener: Screener) -> None:
    result = screener.screen(EXAMPLES / "synthetic_cough.m4a")
    assert result.schema_version == "1.0"
    assert result.notice == "research_only_not_a_diagnosis"
    assert "not a diagnosis" in result.notice_text
    assert result.model.files == screener.bundle.spec.files
    assert len(result.model.bundle_sha256) == 64
    assert list(result.timings_ms) == ["decode", "gate", "quality", "encoder", "diagnosis", "total"]
    assert result.source.codec == "aac"


def test_same_recording_in_every_format_gets_the_same_verdict(screener: Screener) -> None:
    from training.codecs import Codec, encode

    bout = synth.cough_bout(np.random.default_rng(10)).astype(np.float32)
    for codec in (
        Codec("wav", "pcm_s24le", 48_000, None, "s32"),
        Codec("flac", "flac", 44_100),
        Codec("webm", "libopus", 48_000, 24_000),
        Codec("mp3", "libmp3lame", 44_100, 64_000, "s16p"),
        Codec("ipod", "aac", 44_100, 64_000, "fltp"),
    ):
        result = screener.screen(encode(bout, codec))
        assert len(result.events) == 3, codec


def test_importing_and_screening_stays_light(tmp_path: Path) -> None:
    """No training package is imported on the way to a verdict, and none of the web or CLI ones."""
    program = (
        "import sys, json, cough\n"
        f"outcome = cough.Screener().screen({str(EXAMPLES / 'synthetic_cough.m4a')!r}).outcome\n"
        "print(json.dumps([outcome, sorted(m for m in sys.modules if '.' not in m)]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    outcome, modules = json.loads(done.stdout)
    assert outcome in ("screened", "inconclusive")
    heavy = {"torch", "torchaudio", "librosa", "sklearn", "scipy", "matplotlib", "fastapi", "typer", "rich"}
    assert not heavy & set(modules)


def test_dependencies_point_one_way() -> None:
    """``cough`` imports neither ``serving`` nor ``training``; ``serving`` no ``training``."""
    root = EXAMPLES.parents[1]
    # Start the service, and make keys for it, when asked to.
    allowed = {root / "cough" / "cli" / name for name in ("serve.py", "keys.py")}
    for folder, forbidden in (("cough", ("serving", "training")), ("serving", ("training",))):
        for path in (root / folder).rglob("*.py"):
            if path in allowed:
                continue
            for line in path.read_text().splitlines():
                words = line.split()
                if words[:1] in (["import"], ["from"]):
                    assert words[1].split(".")[0] not in forbidden, f"{path}: {line}"


def test_python_session_of_the_readme() -> None:
    readme = (EXAMPLES.parents[1] / "README.md").read_text()
    block = readme.split("```python")[1].split("```")[0]
    assert len(block.strip().splitlines()) <= 6
    exec(compile(block.replace("my.m4a", str(EXAMPLES / "synthetic_cough.m4a")), "README", "exec"), {})


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.iterdir()))
def test_examples_are_labelled_synthetic(name: str) -> None:
    assert name.startswith("synthetic_")


def test_several_recordings_of_one_person(screener: Screener) -> None:
    good, noise = EXAMPLES / "synthetic_cough.m4a", EXAMPLES / "synthetic_noise.ogg"
    telephone = EXAMPLES / "synthetic_cough_telephone.amr"
    person = screener.screen_person([good, noise, telephone])
    assert person.outcome == "inconclusive"
    assert person.n_counted == 2
    assert [r.outcome for r in person.recordings] == ["inconclusive", "rerecord", "inconclusive"]
    (condition,) = person.conditions
    inside = [
        c for r in person.recordings for c in r.conditions if "outside_domain" not in c.abstained_because
    ]
    assert set(condition.prediction_set) == {c for answer in inside for c in answer.prediction_set}
    nothing = screener.screen_person([noise])
    assert (nothing.outcome, nothing.n_counted, nothing.conditions) == ("rerecord", 0, ())
    with pytest.raises(ValueError, match="no recording"):
        screener.screen_person([])
