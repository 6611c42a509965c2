"""A prepared corpus: recordings, what is claimed about them, folds, licences, teacher outputs.

The form is that of the project's own corpus: a folder with ``recordings.csv`` and the audio files
that it names, optionally ``teacher/``. ``COUGH_CORPUS`` says where; the default is
``../shared/corpus`` beside the checkout. Audio is read from there and never copied into the project.
"""

from __future__ import annotations

import csv
import hashlib
import os
import pickletools
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from cough import errors
from training.groups import FREESOUND

DEFAULT_CORPUS = Path(__file__).resolve().parents[1].parent / "shared" / "corpus"

VOCAL_HARD = frozenset(
    {"sneeze", "laughter", "breathing", "snore", "baby_cry", "burp", "drinking_sipping", "brushing_teeth"}
)
"""Human, non-speech sounds: what a cough gate confuses first."""


TEST_FOLD = 5
"""In every prepared corpus."""
TWIN_GROUPS = frozenset(f"ghchen99_phone:ghchen:p{i}" for i in (1, 2, 3, 4))


def corpus_path() -> Path:
    """Where the corpus is: ``COUGH_CORPUS`` or ``../shared/corpus`` beside the checkout."""
    return Path(os.environ.get("COUGH_CORPUS", DEFAULT_CORPUS))


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Facts about one file, and the labels its corpus claims for it."""

    recording_id: str
    path: str
    duration_s: float
    event: str
    sublabel: str
    source: str
    channel: str
    group_id: str
    fold: int
    covid_status: str
    covid_evidence: str
    label_conflict: bool
    licence: str
    licence_class: str
    upstream: str
    sex: str = ""
    age: float | None = None
    """Years; None where the source does not state it."""
    pcm_sha256: str = ""
    """Of the decoded samples; empty where nobody took it, or where they are digital silence."""
    original: str = ""
    """What it was cut from, by a name that all corpora use (``fs_64760``: Freesound's); empty: unknown."""

    @property
    def is_cough(self) -> bool | None:
        """Whether the clip is labelled as holding a cough; None where nobody said."""
        if self.event == "unlabelled":
            return None
        return self.event == "cough"

    @property
    def is_probably_cough(self) -> bool | None:
        """``is_cough``, and where nobody said, what the name of the source's file suggests.

        Good enough to train on, not to judge by: ``ghchen99`` names its unlabelled clips after the
        set-up in which a cough was recorded (``pocket_``, ``table_``) or after a sound (``rustle_``).
        """
        if self.event == "unlabelled" and self.source == "ghchen99_phone":
            kind = self.upstream.rsplit("/", 1)[-1].split("_")[0]
            return {"pocket": True, "table": True, "rustle": False}.get(kind)
        return self.is_cough

    @property
    def is_clip(self) -> bool:
        """Whether the row is a clip to train on or to judge by.

        Not so: room impulse responses, and rows whose people (``ghchen`` participants p1-p4) also
        stand behind groups 1-4 in other folds: the same coughs correlate at 0.9 and more.
        """
        return self.event != "room_impulse_response" and self.group_id not in TWIN_GROUPS


@dataclass(frozen=True)
class Corpus:
    """Recordings in the order of ``recordings.csv``."""

    root: Path
    recordings: tuple[Recording, ...] = field(repr=False)

    @classmethod
    def read(cls, root: Path | None = None) -> Corpus:
        """Read ``recordings.csv``.

        Raises
        ------
        FileNotFoundError : no corpus at ``root``
        """
        root = root or corpus_path()
        with open(root / "recordings.csv", newline="", encoding="utf-8-sig") as file:
            rows = tuple(_recording(row) for row in csv.DictReader(file))
        return cls(root, rows)

    def where(self, keep: Callable[[Recording], bool]) -> np.ndarray:
        """Row indices of the recordings for which ``keep`` holds; int array."""
        return np.array([i for i, r in enumerate(self.recordings) if keep(r)], dtype=np.int64)

    @cached_property
    def data_hash(self) -> str:
        """sha256 over ``recordings.csv`` and the bytes of every file that it names.

        Raises
        ------
        LayoutUnknown : one of them is not there, or cannot be read
        """
        digest = hashlib.sha256((self.root / "recordings.csv").read_bytes())
        for recording in self.recordings:
            try:
                content = (self.root / recording.path).read_bytes()
            except OSError as error:
                raise errors.LayoutUnknown(
                    f"{recording.path} of {self.root / 'recordings.csv'} cannot be read: {error.strerror}. "
                    "Put it back where it was, or prepare the corpus again."
                ) from error
            digest.update(hashlib.sha256(content).digest())
        return digest.hexdigest()

    @cached_property
    def labels_hash(self) -> str:
        """sha256 of ``recordings.csv``: every claim, without the audio."""
        return hashlib.sha256((self.root / "recordings.csv").read_bytes()).hexdigest()

    def licences(self, rows: Iterable[int]) -> dict[str, int]:
        """How many of these rows stand under each licence, most first."""
        counts: dict[str, int] = {}
        for row in rows:
            licence = self.recordings[row].licence
            counts[licence] = counts.get(licence, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _recording(row: dict[str, str]) -> Recording:
    return Recording(
        recording_id=row["recording_id"],
        path=row["path"],
        duration_s=float(row["duration_s"]),
        event=row["event"],
        sublabel=row["sublabel"],
        source=row["source"],
        channel=row["channel"],
        group_id=row["group_id"],
        fold=int(row["fold"]),
        covid_status=row["covid_status"],
        covid_evidence=row["covid_evidence"],
        label_conflict=row["label_conflict"] == "1",
        licence=row["licence"],
        licence_class=row["licence_class"],
        upstream=row["upstream"],
        sex=row.get("sex", ""),
        age=float(row["age"]) if row.get("age") else None,
        pcm_sha256=row.get("pcm_sha256") or "",
        original=row.get("original") or (row["group_id"] if row["group_id"].startswith(FREESOUND) else ""),
    )


@dataclass(frozen=True)
class Teacher:
    """EfficientAT mn04 (MIT, AudioSet-trained) on 1 s windows of every recording.

    ``rows`` indexes ``Corpus.recordings``; all arrays share their first axis.
    """

    classes: tuple[str, ...]
    logit_rows: np.ndarray
    logit_start_s: np.ndarray
    logits: np.ndarray
    """(n_windows, n_classes) float16, hop 0.5 s."""
    embedding_rows: np.ndarray
    embedding_start_s: np.ndarray
    embeddings: np.ndarray
    """(n_windows, 384) float16, hop 1 s."""
    sha256: str
    """Of both files."""
    covered: np.ndarray | None = None
    """(n_recordings,) bool: what it was asked about at all, where that is not everything."""

    @classmethod
    def read(cls, corpus: Corpus) -> Teacher:
        """Read ``teacher/*.npz`` and re-index it to the order of ``recordings.csv``."""
        row_of = {r.recording_id: i for i, r in enumerate(corpus.recordings)}
        logits_path = corpus.root / "teacher" / "mn04_logits.npz"
        embeddings_path = corpus.root / "teacher" / "mn04_embeddings.npz"
        with np.load(logits_path) as npz:
            ids = np.array([row_of[i] for i in _string_ids(logits_path)])
            classes = tuple(str(name) for name in npz["classes"])
            rows, start_s, logits = ids[npz["row"]], npz["start_s"], np.ascontiguousarray(npz["logits"])
        with np.load(embeddings_path) as npz:
            ids = np.array([row_of[i] for i in _string_ids(embeddings_path)])
            return cls(
                classes,
                rows,
                start_s,
                logits,
                ids[npz["row"]],
                npz["start_s"],
                np.ascontiguousarray(npz["embedding"]),
                hashlib.sha256(logits_path.read_bytes() + embeddings_path.read_bytes()).hexdigest(),
            )

    def clip_scores(self, n_recordings: int, *, label: str = "Cough") -> np.ndarray:
        """The teacher's clip-level logit for a class: its maximum over windows; (n_recordings,).

        NaN where the teacher was not asked.
        """
        column = self.logits[:, self.classes.index(label)].astype(np.float32)
        scores = np.full(n_recordings, -np.inf, np.float32)
        np.maximum.at(scores, self.logit_rows, column)
        if self.covered is not None:
            scores[~self.covered] = np.nan
        return scores


def _string_ids(npz: Path) -> list[str]:
    """The ``recording_id`` array, which was stored as pickled objects.

    Unpickling runs code, so the opcodes are listed instead and the strings among them taken.
    """
    with zipfile.ZipFile(npz) as archive:
        data = archive.read("recording_id.npy")
    stream = data[data.index(b"\n") + 1 :]
    strings = [str(a) for op, a, _ in pickletools.genops(stream) if "UNICODE" in op.name]
    header = 10 + int.from_bytes(data[8:10], "little")
    count = int(data[10:header].split(b"(")[1].split(b",")[0])
    return strings[-count:]
