"""Is the recording good enough to measure, and if not, what should the person do?

``assess`` measures; it takes the gate's events too, because noise is judged by how far the coughs
stand out from the rest. ``judge`` turns what was measured into reasons to record again. A new check
is one field of ``QualityReport``, one limit in ``QualityConfig``, one line in ``DEFAULT_SEVERITY``, one code
and sentence in ``cough.messages``, one line in ``_findings``, and its words in the page's ``catalogue.json``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, field_validator

from cough.audio import SAMPLE_RATE_HZ, Float32, Waveform
from cough.gate import CoughEvent
from cough.messages import RE_RECORD, ReasonCode

Severity: TypeAlias = Literal["block", "warn", "ignore"]

SILENCE_DBFS = -120.0
"""Levels below this are reported as this, so that reports stay finite."""

TELEPHONE_HZ = 4_200.0
"""Nothing above this: the recording came through a telephone, or a codec like one."""

_RUMBLE_BANDS = 2
"""Bands of 125 Hz that hold hum and rumble rather than voice."""

_BLOCK = 400
"""Samples in a 25 ms level block."""


DEFAULT_SEVERITY: dict[ReasonCode, Severity] = {
    "too_short": "block",
    "too_long": "block",
    "silent": "block",
    "too_quiet": "warn",
    "clipped": "warn",
    "too_noisy": "warn",
    "no_cough": "block",
    "too_few_coughs": "warn",
}


class QualityConfig(BaseModel):
    """Limits, and what crossing one means: ``block`` asks for a new recording, ``warn`` only says.

    Defaults block only where a measurement would be meaningless. How many cough clips of the test
    fold each rule touched when a bundle was made stands in its ``metrics.quality``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_duration_s: float = 0.25
    """``too_short`` below. Single coughs last 0.2-0.5 s."""
    max_duration_s: float = 60.0
    """``too_long`` above."""
    silent_dbfs: float = -65.0
    """``silent`` when the peak stays below."""
    quiet_dbfs: float = -40.0
    """``too_quiet`` when the peak stays below."""
    max_clipped_fraction: float = 0.003
    """``clipped`` above. A cough is a small part of a recording, and lossy codecs round most of its flat
    tops off."""
    min_snr_db: float = 6.0
    """``too_noisy`` below."""
    min_coughs: int = 2
    """``too_few_coughs`` below (and above 0)."""
    severity: dict[ReasonCode, Severity] = DEFAULT_SEVERITY
    """Codes that are left out keep their default."""

    @field_validator("severity")
    @classmethod
    def _over_defaults(cls, given: dict[ReasonCode, Severity]) -> dict[ReasonCode, Severity]:
        return {**DEFAULT_SEVERITY, **given}


class Reason(BaseModel):
    """Why to record again, for a program (code, value, limit) and for a person (message)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: ReasonCode
    blocking: bool
    message: str
    value: float
    limit: float


class QualityReport(BaseModel):
    """Measured facts about the recorded sound.

    Levels are relative to full scale, a full-scale square wave having 0 dBFS RMS, and leave out
    the constant offset that cheap microphones add.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    duration_s: float
    peak_dbfs: float
    rms_dbfs: float
    clipped_fraction: float
    """Share of the source's samples at 98.5 % of full scale or beyond (0-1)."""
    snr_db: float | None
    """Median level of the coughs over the quiet rest; None without coughs or without a rest."""
    bandwidth_hz: float
    """Frequency above which nothing but the codec's floor is left."""
    band: Literal["telephone", "wide"] | None
    """None where there is nothing to hear."""
    dc_offset: float
    """Mean sample, in full scale."""
    cough_count: int | None
    """Coughs that the gate found; None where it was not asked."""


def assess(waveform: Waveform, events: Sequence[CoughEvent] | None = None) -> QualityReport:
    """Measure a recording.

    Parameters
    ----------
    waveform : float32 mono 16 kHz
    events : the gate's events; without them there is neither an SNR nor a count of coughs
    """
    offset = float(np.mean(waveform.samples, dtype=np.float64))
    samples = waveform.samples - np.float32(offset)
    bandwidth_hz = _bandwidth_hz(samples)
    return QualityReport(
        duration_s=waveform.duration_s,
        peak_dbfs=_db(float(np.abs(samples).max(initial=0.0))),
        rms_dbfs=_db(float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))),
        clipped_fraction=waveform.clipped_fraction,
        snr_db=_snr_db(samples, events or ()),
        bandwidth_hz=bandwidth_hz,
        band=None if bandwidth_hz == 0 else "telephone" if bandwidth_hz <= TELEPHONE_HZ else "wide",
        dc_offset=offset,
        cough_count=None if events is None else len(events),
    )


def judge(report: QualityReport, config: QualityConfig | None = None) -> tuple[Reason, ...]:
    """One ``Reason`` for each limit crossed, in the order of the catalogue.

    Parameters
    ----------
    report : from ``assess``
    config : limits and severities; defaults to ``QualityConfig()``
    """
    config = config or QualityConfig()
    reasons = []
    for code, value, limit in _findings(report, config):
        severity = config.severity[code]
        if severity != "ignore":
            blocking = severity == "block"
            message = RE_RECORD[code]
            reasons.append(Reason(code=code, blocking=blocking, message=message, value=value, limit=limit))
    return tuple(reasons)


def _findings(report: QualityReport, config: QualityConfig) -> Iterator[tuple[ReasonCode, float, float]]:
    """(code, measured value, limit) for each limit that is crossed."""
    if report.duration_s < config.min_duration_s:
        yield "too_short", report.duration_s, config.min_duration_s
    if report.duration_s > config.max_duration_s:
        yield "too_long", report.duration_s, config.max_duration_s
    if report.peak_dbfs < config.silent_dbfs:
        yield "silent", report.peak_dbfs, config.silent_dbfs
    elif report.peak_dbfs < config.quiet_dbfs:
        yield "too_quiet", report.peak_dbfs, config.quiet_dbfs
    if report.clipped_fraction > config.max_clipped_fraction:
        yield "clipped", report.clipped_fraction, config.max_clipped_fraction
    if report.snr_db is not None and report.snr_db < config.min_snr_db:
        yield "too_noisy", report.snr_db, config.min_snr_db
    if report.cough_count == 0:
        yield "no_cough", 0.0, 1.0
    elif report.cough_count is not None and report.cough_count < config.min_coughs:
        yield "too_few_coughs", float(report.cough_count), float(config.min_coughs)


def _db(amplitude: float) -> float:
    return max(SILENCE_DBFS, 20.0 * float(np.log10(max(amplitude, 1e-9))))


def _block_db(samples: Float32) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Level of 25 ms blocks in dBFS; the last, partial block is left out."""
    n = len(samples) // _BLOCK
    power = np.square(samples[: n * _BLOCK].reshape(n, _BLOCK), dtype=np.float64).mean(axis=1)
    return np.asarray(10.0 * np.log10(power + 1e-12))


def _snr_db(samples: Float32, events: Sequence[CoughEvent]) -> float | None:
    """Median block level inside the events over the median outside them (0.1 s margin)."""
    levels = _block_db(samples)
    centres_s = (np.arange(len(levels)) + 0.5) * _BLOCK / SAMPLE_RATE_HZ
    inside = np.zeros(len(levels), bool)
    near = np.zeros(len(levels), bool)
    for event in events:
        inside |= (centres_s >= event.start_s) & (centres_s < event.end_s)
        near |= (centres_s >= event.start_s - 0.1) & (centres_s < event.end_s + 0.1)
    if not inside.any() or (~near).sum() < 4:
        return None
    return float(np.median(levels[inside]) - np.median(levels[~near]))


def _bandwidth_hz(samples: Float32) -> float:
    """Highest frequency whose long-term level is within 50 dB of the spectrum's peak; 0 for silence.

    From the mean power of 32 ms Hann frames in 125 Hz steps. Frames are weighted by their loudness,
    because a hiss in the pauses must not count as bandwidth of the sound, and both weight and peak
    are taken above 200 Hz, because a rumble must not hide it.
    """
    size = 512
    whole = samples[: max(1, len(samples) // size) * size]
    frames = np.pad(whole, (0, -len(whole) % size)).reshape(-1, size)
    spectrum = np.fft.rfft(frames * np.hanning(size), axis=1)[:, 1:]
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    power[:, : 4 * _RUMBLE_BANDS] = 0.0
    loudness = power.sum(axis=1)
    if loudness.sum() <= 4 * size * 1e-12:
        return 0.0
    # Not by BLAS: it would start threads for this.
    mean = np.einsum("i,ij->j", loudness, power).reshape(-1, 4).mean(axis=1)
    return float((np.flatnonzero(mean > mean.max() * 1e-5)[-1] + 1) * 125.0)
