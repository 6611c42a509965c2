"""What a person is told, by code: one catalogue, so that an app can translate it.

``RE_RECORD`` holds the reasons of ``cough.quality``. Errors carry their own sentence
(``cough.errors``) because they name figures of the file at hand.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

ReasonCode: TypeAlias = Literal[
    "too_short",
    "too_long",
    "silent",
    "too_quiet",
    "clipped",
    "too_noisy",
    "no_cough",
    "too_few_coughs",
]

RE_RECORD: dict[ReasonCode, str] = {
    "too_short": "The recording is too short. Record for about ten seconds and cough three times.",
    "too_long": "The recording is too long. Record for about ten seconds and cough three times.",
    "silent": "Nothing was recorded. Check that the app may use the microphone and that nothing covers it.",
    "too_quiet": "The recording is too quiet. Hold the phone a forearm away from your mouth, not further.",
    "clipped": "The recording is distorted because it was too loud. "
    "Hold the phone a forearm away from your mouth, not closer.",
    "too_noisy": "There is too much noise around you. Go to a quiet room and record again.",
    "no_cough": "No cough was heard. Hold the phone a forearm away and cough three times.",
    "too_few_coughs": "Too few coughs were heard. Cough three times, with a short pause after each.",
}

NOTICE_CODE: Literal["research_only_not_a_diagnosis"] = "research_only_not_a_diagnosis"
NOTICE = (
    "This is research software, not a medical device: the answer is not a diagnosis and says "
    "nothing certain about anybody's health."
)
