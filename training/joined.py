"""Several prepared corpora read as one.

A single folder is read as ever, its hashes included. Of several, every source comes from the folder
that has most of it (``../shared/corpus`` and a whole Coswara may stand side by side), and names that two
folders share get the folder's number before them, so that groups stay apart. Groups that hold one and the
same sound, or cuts of one original (ESC-50 and FSD50K both draw on Freesound), become one, in the test
fold if either was there; all other folds stay as given.
Only some folders need have a ``teacher/``: its targets are then there for their rows alone.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from cough import errors
from training.corpus import TEST_FOLD, Corpus, Recording, Teacher
from training.groups import united

TEACHER_SIZE = 384
"""Of the teacher's embedding, where there is no teacher to ask."""


@dataclass(frozen=True)
class Joined(Corpus):
    """Recordings of several folders; their paths are absolute."""

    parts: tuple[Corpus, ...] = field(default=(), repr=False)
    """The folders, each as it was read."""
    origin: tuple[tuple[int, int], ...] = field(default=(), repr=False)
    """(index into ``parts``, row there) of each recording."""

    @cached_property
    def data_hash(self) -> str:  # type: ignore[override]
        """sha256 over the hashes of the folders, in their order."""
        return _over(part.data_hash for part in self.parts)

    @cached_property
    def labels_hash(self) -> str:  # type: ignore[override]
        """sha256 over every claim of every folder."""
        return _over(part.labels_hash for part in self.parts)


def read_corpora(roots: Sequence[Path]) -> Corpus:
    """The corpus in one folder, or several as one.

    Raises
    ------
    LayoutUnknown : a folder without ``recordings.csv``, or one that lacks a column
    """
    parts = tuple(_read(root) for root in roots)
    if len(parts) == 1:
        return parts[0]
    home = _homes(parts)
    kept = [
        (i, row)
        for i, part in enumerate(parts)
        for row, recording in enumerate(part.recordings)
        if home[recording.source] == i
    ]
    shared = {
        kind: _shared(
            [
                {getattr(parts[j].recordings[row], kind) for j, row in kept if j == i}
                for i in range(len(parts))
            ]
        )
        for kind in ("recording_id", "group_id")
    }
    recordings = _united([_own(parts[i], i, parts[i].recordings[row], shared) for i, row in kept])
    root = next((part.root for part in parts if (part.root / "metadata").is_dir()), parts[0].root)
    return Joined(root.resolve(), recordings, parts, tuple(kept))


def read_teacher(corpus: Corpus) -> Teacher:
    """What the teacher heard in the folders that have it; one without windows where none has.

    Raises
    ------
    CorpusError : two folders' teachers name different classes
    """
    parts = corpus.parts if isinstance(corpus, Joined) else (corpus,)
    there = [i for i, part in enumerate(parts) if (part.root / "teacher").is_dir()]
    if len(parts) == 1 and there:
        return Teacher.read(corpus)
    n = len(corpus.recordings)
    if not there:
        none = np.zeros(0, np.int64)
        return Teacher(
            ("Cough",), none, np.zeros(0), np.zeros((0, 1), np.float16), none, np.zeros(0),
            np.zeros((0, TEACHER_SIZE), np.float16), "", covered=np.zeros(n, bool),
        )  # fmt: skip
    heard = {i: Teacher.read(parts[i]) for i in there}
    if len({teacher.classes for teacher in heard.values()}) > 1:
        raise errors.CorpusError("The corpora's teachers name different classes; keep one teacher/ folder.")
    origin = corpus.origin if isinstance(corpus, Joined) else ()
    return _joined_teacher(heard, origin, n)


def _read(root: Path) -> Corpus:
    try:
        return Corpus.read(root)
    except FileNotFoundError as error:
        raise errors.LayoutUnknown(
            f"There is no recordings.csv in {root}; cough data prepare makes one."
        ) from error
    except OSError as error:
        raise errors.LayoutUnknown(f"{root} cannot be read as a folder: {error.strerror}.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise errors.LayoutUnknown(
            f"recordings.csv in {root} is not of a prepared corpus: {error}"
        ) from error


def _homes(parts: Sequence[Corpus]) -> dict[str, int]:
    """Which folder each source is taken from: that with most of it, the first of equals."""
    counts = [Counter(r.source for r in part.recordings) for part in parts]
    home = {}
    for source in dict.fromkeys(source for count in counts for source in count):
        home[source] = max(range(len(parts)), key=lambda i: counts[i][source])
        folders = [str(part.root) for part, count in zip(parts, counts, strict=True) if count[source]]
        if len(folders) > 1:
            print(f"{source} is in {' and '.join(folders)}: taken from {parts[home[source]].root}")
    return home


def _shared(names: Sequence[set[str]]) -> set[str]:
    """What more than one of the sets has."""
    counts = Counter(name for one in names for name in one)
    return {name for name, n in counts.items() if n > 1}


def _own(part: Corpus, number: int, recording: Recording, shared: dict[str, set[str]]) -> Recording:
    changes = {
        kind: f"{number}:{getattr(recording, kind)}"
        for kind, names in shared.items()
        if getattr(recording, kind) in names
    }
    return replace(recording, path=str(part.root.resolve() / recording.path), **changes)


def _united(recordings: Sequence[Recording]) -> tuple[Recording, ...]:
    """Groups that share a sound or an original as one, so that what is learnt is not what is tested."""
    group_of = united(
        (recording.group_id, mark)
        for recording in recordings
        for mark in (recording.pcm_sha256, recording.original)
    )
    folds: dict[str, set[int]] = defaultdict(set)
    for recording in recordings:
        folds[group_of[recording.group_id]].add(recording.fold)
    fold = {group: TEST_FOLD if TEST_FOLD in all_ else min(all_) for group, all_ in folds.items()}
    out = tuple(
        replace(recording, group_id=group, fold=fold[group])
        for recording in recordings
        for group in (group_of[recording.group_id],)
    )
    moved = sum(a.fold != b.fold for a, b in zip(recordings, out, strict=True))
    if moved:
        print(f"{moved} recordings changed the fold: others share their sound or their original")
    return out


def _joined_teacher(heard: dict[int, Teacher], origin: Sequence[tuple[int, int]], n: int) -> Teacher:
    new_row = {key: row for row, key in enumerate(origin)}
    logit, embedding = [], []
    for i, teacher in heard.items():
        for kind, rows in ((logit, teacher.logit_rows), (embedding, teacher.embedding_rows)):
            mapped = np.array([new_row.get((i, int(row)), -1) for row in rows], np.int64)
            kind.append((teacher, mapped >= 0, mapped))
    covered = np.array([i in heard for i, _ in origin])
    return Teacher(
        next(iter(heard.values())).classes,
        np.concatenate([mapped[keep] for _, keep, mapped in logit]),
        np.concatenate([teacher.logit_start_s[keep] for teacher, keep, _ in logit]),
        np.concatenate([teacher.logits[keep] for teacher, keep, _ in logit]),
        np.concatenate([mapped[keep] for _, keep, mapped in embedding]),
        np.concatenate([teacher.embedding_start_s[keep] for teacher, keep, _ in embedding]),
        np.concatenate([teacher.embeddings[keep] for teacher, keep, _ in embedding]),
        _over(teacher.sha256 for teacher in heard.values()),
        covered=covered if len(covered) == n else None,
    )


def _over(hashes: object) -> str:
    return hashlib.sha256("".join(hashes).encode()).hexdigest()  # type: ignore[call-overload]
