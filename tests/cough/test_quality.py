"""``assess`` and ``judge``: what is measured, and what a person is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cough.audio import Waveform, decode
from cough.gate import CoughEvent
from cough.messages import RE_RECORD, ReasonCode
from cough.quality import QualityConfig, assess, judge
from training.codecs import Codec, encode

Tone = Callable[..., np.ndarray]


def waveform(samples: np.ndarray) -> Waveform:
    return Waveform.from_samples(samples, rate_hz=16_000)


def codes(samples: np.ndarray, events: list[CoughEvent] | None = None) -> list[str]:
    return [reason.code for reason in judge(assess(waveform(samples), events))]


def event(start_s: float, end_s: float) -> CoughEvent:
    return CoughEvent(start_s=start_s, end_s=end_s, score=0.9)


def burst_in_noise(snr_db: float) -> np.ndarray:
    """Two seconds of noise with a louder stretch from 0.5 to 1.0 s."""
    noise = np.random.default_rng(0).standard_normal(32_000) * 0.01
    noise[8_000:16_000] *= 10 ** (snr_db / 20)
    return noise.astype(np.float32)


def test_levels_of_a_known_tone(tone: Tone) -> None:
    report = assess(waveform(tone(2.0, amplitude=0.5) + 0.1))
    assert report.peak_dbfs == pytest.approx(20 * np.log10(0.5), abs=0.05)
    assert report.rms_dbfs == pytest.approx(10 * np.log10(0.5**2 / 2), abs=0.05)
    assert report.dc_offset == pytest.approx(0.1, abs=1e-3)
    assert report.duration_s == 2.0
    assert report.snr_db is None
    assert report.cough_count is None


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 30.0])
def test_snr_of_events_over_the_rest(snr_db: float) -> None:
    report = assess(waveform(burst_in_noise(snr_db)), [event(0.5, 1.0)])
    assert report.snr_db == pytest.approx(snr_db, abs=1.0)


def test_no_snr_without_a_rest() -> None:
    assert assess(waveform(burst_in_noise(0)), [event(0.0, 2.0)]).snr_db is None


@pytest.mark.parametrize(("cutoff_hz", "band"), [(3_400, "telephone"), (7_000, "wide")])
def test_bandwidth(cutoff_hz: float, band: str) -> None:
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(32_000))
    spectrum[np.fft.rfftfreq(32_000, 1 / 16_000) > cutoff_hz] = 0
    report = assess(waveform(0.1 * np.fft.irfft(spectrum)))
    assert report.bandwidth_hz == pytest.approx(cutoff_hz, abs=260)
    assert report.band == band


@pytest.mark.parametrize(
    "codec",
    [
        Codec("wav", "pcm_s16le", 48_000),
        Codec("ipod", "aac", 44_100, 64_000, "fltp"),
        Codec("webm", "libopus", 48_000, 32_000),
        Codec("mp3", "libmp3lame", 44_100, 64_000, "s16p"),
        Codec("amr", "libopencore_amrnb", 8_000, 12_200),
    ],
    ids=lambda codec: codec.encoder,
)
def test_clipping_is_seen_through_phone_formats(codec: Codec, bout: np.ndarray) -> None:
    fine = decode(encode(bout, codec))
    assert "clipped" not in [r.code for r in judge(assess(fine))]
    driven = decode(encode(np.clip(20 * bout, -1, 1), codec))
    assert "clipped" in [r.code for r in judge(assess(driven))]


def test_rumble_does_not_hide_the_bandwidth(bout: np.ndarray) -> None:
    hum = 0.3 * np.sin(2 * np.pi * 50 * np.arange(len(bout)) / 16_000)
    assert assess(waveform(0.05 * bout + hum)).band == "wide"
    assert assess(waveform(np.zeros(16_000))).band is None


@pytest.mark.parametrize("offset", [0.05, 0.2])
def test_a_constant_offset_is_no_sound(offset: float) -> None:
    clean = assess(waveform(burst_in_noise(30.0)), [event(0.5, 1.0)])
    shifted = assess(waveform(burst_in_noise(30.0) + offset), [event(0.5, 1.0)])
    assert shifted.dc_offset - clean.dc_offset == pytest.approx(offset, abs=1e-3)
    assert shifted.snr_db == pytest.approx(clean.snr_db, abs=0.1)
    assert shifted.rms_dbfs == pytest.approx(clean.rms_dbfs, abs=0.1)
    assert "silent" in codes(np.full(32_000, offset, np.float32))


def test_each_reason_has_a_recording_that_provokes_it(tone: Tone) -> None:
    loud = np.clip(5 * tone(2.0, hz=200), -1, 1)
    three = [event(0.1, 0.3), event(0.5, 0.7), event(1.0, 1.2)]
    cases: dict[str, tuple[np.ndarray, list[CoughEvent]]] = {
        "too_short": (tone(0.1), three),
        "too_long": (tone(61.0), three),
        "silent": (np.zeros(32_000, np.float32), three),
        "too_quiet": (tone(2.0, amplitude=0.005), three),
        "clipped": (loud, three),
        "too_noisy": (burst_in_noise(2.0), [event(0.5, 0.7), event(0.75, 1.0)]),
        "no_cough": (tone(2.0), []),
        "too_few_coughs": (tone(2.0), three[:1]),
    }
    assert set(cases) == set(get_args(ReasonCode)) == set(RE_RECORD)
    for code, (samples, events) in cases.items():
        assert code in codes(samples, events), code
    good = np.concatenate([burst_in_noise(30.0), burst_in_noise(30.0)])
    assert codes(good, [event(0.5, 1.0), event(2.5, 3.0)]) == []


def test_severity_is_configuration(tone: Tone) -> None:
    report = assess(waveform(tone(0.1)))
    assert [r.blocking for r in judge(report)] == [True]
    warn = QualityConfig(severity={"too_short": "warn"})
    assert [r.blocking for r in judge(report, warn)] == [False]
    assert judge(report, QualityConfig(severity={"too_short": "ignore"})) == ()
    assert QualityConfig(severity={"too_short": "warn"}).severity["no_cough"] == "block"


def test_reasons_carry_value_limit_and_sentence(tone: Tone) -> None:
    (reason,) = judge(assess(waveform(tone(0.1))))
    assert (reason.value, reason.limit) == (pytest.approx(0.1), 0.25)
    assert reason.message == RE_RECORD["too_short"]
    for sentence in RE_RECORD.values():
        assert sentence.endswith(".")
        assert len(sentence.split()) > 6


@settings(max_examples=50, deadline=None)
@given(
    samples=st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=3_000),
    start=st.floats(0, 0.1),
    length=st.floats(0, 0.1),
)
def test_any_waveform_gives_a_finite_report(samples: list[float], start: float, length: float) -> None:
    report = assess(waveform(np.array(samples, np.float32)), [event(start, start + length)])
    for value in report.model_dump(exclude={"band"}).values():
        assert value is None or np.isfinite(value)
    judge(report)
