"""A corpus of synthetic sounds, made here."""

from __future__ import annotations

import numpy as np
import pytest

from training import synth
from training.corpus import Corpus, Recording, Teacher
from training.waves import Waves

EVENTS = ["cough", "speech", "unlabelled", "cough", "speech", "unlabelled"]


@pytest.fixture(scope="module")
def tiny() -> tuple[Corpus, Waves, Teacher]:
    return tiny_corpus()


def tiny_corpus() -> tuple[Corpus, Waves, Teacher]:
    """Six recordings of 4 s; the teacher hears a cough in none of them but the first."""
    random = np.random.default_rng(1)
    sounds = [
        synth.cough_bout(random, duration_s=4.0) if event == "cough" else synth.babble(random, duration_s=4.0)
        for event in EVENTS
    ]
    samples = np.round(np.concatenate(sounds) * 20_000).astype(np.int16)
    starts = np.arange(len(EVENTS) + 1, dtype=np.int64) * 64_000
    recordings = tuple(recording(str(i), event) for i, event in enumerate(EVENTS))
    rows, start_s = np.repeat(np.arange(6), 4), np.tile(np.arange(4.0), 6)
    logits = np.full((24, 2), -6.0, np.float16)
    logits[:4, 0] = 3.0
    embeddings = random.standard_normal((24, 8)).astype(np.float16)
    teacher = Teacher(("Cough", "Speech"), rows, start_s, logits, rows, start_s, embeddings, "")
    return Corpus(root=None, recordings=recordings), Waves(samples, samples, starts, ""), teacher  # type: ignore[arg-type]


def recording(name: str, event: str, *, source: str = "made", group_id: str | None = None) -> Recording:
    """4 s of a training fold, under an open licence; in a group of its own unless said otherwise."""
    words = dict.fromkeys(("path", "sublabel", "channel", "covid_status", "covid_evidence", "upstream"), "")
    return Recording(
        recording_id=name, duration_s=4.0, event=event, source=source, group_id=group_id or name, fold=1,
        label_conflict=False, licence="CC0-1.0", licence_class="open", **words,
    )  # fmt: skip
