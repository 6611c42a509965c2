"""How a corpus is dealt into parts, each of which is scored by a gate that never heard it.

The project's own corpus is dealt by ``PARTS`` of its sources. Another one is dealt by its sources too,
if two parts or more then hold coughs and other sounds both. If not (one corpus, or coughs and other
sounds from different ones), the groups inside the sources are dealt: a gate has then never heard the
person or the clip, but it has heard the source, and its scores are kinder than those of a new corpus
would be.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cough import errors
from training.config import TrainingConfig
from training.corpus import Corpus, Recording

PARTS = (
    {"ru_covid19_cough", "mycroft", "donateacry", "fsdkaggle2018", "fraiwan_lung"},
    {"ghchen99_phone", "speech_commands", "sonic_pi", "ravdess", "hymel", "picovoice"},
    {"coswara", "coughvid", "urbansound8k", "pyaudioanalysis", "librispeech", "howl"},
)
"""Sources left out together; every other source is in a fourth part with ESC-50."""
N_PARTS = len(PARTS) + 1
ENOUGH = 20
"""Clips of a kind that a part must hold to say anything about it."""
FEWEST = 8
"""Coughs, and other sounds, without which there is nothing to train on."""


@dataclass(frozen=True)
class Deal:
    """Which part every recording is in."""

    part: np.ndarray
    """(n_recordings,) int; -1 in none."""
    n_parts: int
    by: Literal["sources", "groups"]

    @property
    def never_heard(self) -> str:
        """What the gate that scores a recording has never heard, in words."""
        if self.by == "sources":
            return "its source"
        return (
            "its speaker or clip (but others of its source: there were too few sources to leave one out, "
            "so expect less on other corpora)"
        )


def part_of(source: str) -> int:
    """Which part of ``PARTS`` a source belongs to, 0 to 3."""
    return next((i for i, sources in enumerate(PARTS) if source in sources), len(PARTS))


def licensed(recording: Recording, config: TrainingConfig) -> bool:
    """Whether the tier of licences that the config asks for has this recording."""
    return config.licences == "all" or recording.licence_class == "open"


def usable(corpus: Corpus, config: TrainingConfig) -> np.ndarray:
    """Rows of the clips of the training folds that the tier of licences has."""
    return corpus.where(lambda r: r.is_clip and licensed(r, config) and r.fold in config.train_folds)


def deal(corpus: Corpus, config: TrainingConfig) -> Deal:
    """Deal the recordings into parts.

    Raises
    ------
    CorpusTooSmall : too few coughs or other sounds, or all of one group
    """
    rows = usable(corpus, config)
    kinds = np.array([_kind(corpus.recordings[row]) for row in rows], dtype=object)
    coughs, others = int((kinds == "cough").sum()), int((kinds == "other").sum())
    if min(coughs, others) < FEWEST:
        raise errors.CorpusTooSmall(
            f"Training needs {FEWEST} coughs and {FEWEST} other sounds in folds "
            f"{', '.join(map(str, config.train_folds))} at least; here are {coughs} and {others}."
            + (" Add a corpus with other sounds, such as ESC-50." if others < FEWEST else "")
        )
    sources = [recording.source for recording in corpus.recordings]
    standard = np.array([part_of(source) for source in sources], dtype=np.int64)
    if _holds(standard[rows], kinds, N_PARTS, whole=2):
        return Deal(standard, N_PARTS, "sources")
    home = _deal_sources(corpus, rows, kinds)
    if home is not None:
        part = np.array([home.get(source, -1) for source in sources], dtype=np.int64)
        return Deal(part, max(home.values()) + 1, "sources")
    hashed = np.array([_hash(r.group_id) % N_PARTS for r in corpus.recordings], dtype=np.int64)
    there = np.unique(hashed[rows])  # a few groups may leave a part empty
    part = np.full(N_PARTS, -1)
    part[there] = np.arange(len(there))
    part = part[hashed]
    if not all(_has_both(kinds[part[rows] != p], 1) for p in range(len(there))):
        raise errors.CorpusTooSmall("The coughs, or the other sounds, are all of a few groups.")
    return Deal(part, len(there), "groups")


def _kind(recording: Recording) -> str:
    return {True: "cough", False: "other", None: ""}[recording.is_cough]


def _has_both(kinds: np.ndarray, n: int) -> bool:
    return bool((kinds == "cough").sum() >= n and (kinds == "other").sum() >= n)


def _holds(part: np.ndarray, kinds: np.ndarray, n_parts: int, *, whole: int) -> bool:
    """Whether no part is empty, ``whole`` hold both kinds, and so does what each leaves over."""
    parts = range(n_parts)
    return (
        all((part == p).any() and _has_both(kinds[part != p], ENOUGH) for p in parts)
        and sum(_has_both(kinds[part == p], ENOUGH) for p in parts) >= whole
    )


def _deal_sources(corpus: Corpus, rows: np.ndarray, kinds: np.ndarray) -> dict[str, int] | None:
    """Source -> part, each part with both kinds; None where that gives less than two."""
    count = {kind: Counter(corpus.recordings[r].source for r, k in zip(rows, kinds, strict=True) if k == kind)
             for kind in ("cough", "other")}  # fmt: skip
    sources = sorted({corpus.recordings[row].source for row in rows})
    with_coughs = sorted((s for s in sources if count["cough"][s]), key=lambda s: (-count["cough"][s], s))
    parts = [[source] for source in with_coughs[:N_PARTS]]
    if not parts:
        return None

    def size(part: list[str], kind: str) -> int:
        return sum(count[kind][source] for source in part)

    for source in with_coughs[N_PARTS:]:
        min(parts, key=lambda part: size(part, "cough")).append(source)
    others = sorted((s for s in sources if not count["cough"][s]), key=lambda s: (-count["other"][s], s))
    for source in others:
        min(parts, key=lambda part: size(part, "other")).append(source)
    while len(parts) > 1:
        poor = next((p for p in parts if min(size(p, "cough"), size(p, "other")) < ENOUGH), None)
        if poor is None:
            return {source: i for i, part in enumerate(parts) for source in part}
        parts.remove(poor)
        lacking = "other" if size(poor, "other") < ENOUGH else "cough"
        max(parts, key=lambda part: size(part, lacking)).extend(poor)
    return None


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.sha256(b"part:" + name.encode()).digest()[:8])
