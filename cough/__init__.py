"""Audio cough screening: one recording in, one honest verdict out.

>>> import cough
>>> result = cough.Screener().screen("my.m4a")
>>> result.outcome, result.cough_score

Research software, never a diagnosis.
"""

from cough.audio import AudioStream, DecodeLimits, Waveform, decode
from cough.bundle import Bundle, load_bundle
from cough.errors import BundleError, CoughError, InputError
from cough.gate import CoughEvent, CoughGate
from cough.quality import QualityConfig, QualityReport, assess, judge
from cough.screener import PersonResult, Screener, ScreeningResult
from cough.symptoms import SymptomAnswers

__version__ = "0.1.0"

__all__ = [
    "AudioStream",
    "Bundle",
    "BundleError",
    "CoughError",
    "CoughEvent",
    "CoughGate",
    "DecodeLimits",
    "InputError",
    "PersonResult",
    "QualityConfig",
    "QualityReport",
    "Screener",
    "ScreeningResult",
    "SymptomAnswers",
    "Waveform",
    "assess",
    "decode",
    "judge",
    "load_bundle",
]
