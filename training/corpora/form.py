"""The one form of a prepared corpus, made of what a recipe finds.

``recordings.csv`` and a link ``audio`` to the folder that the user has: no audio is copied and nothing
in that folder is touched. Every file is decoded once, for its duration and the hash of its samples;
what cannot be decoded goes into ``problems.csv``, with its code. Copies of one sound share a group, and
where they carry opposite labels both get ``label_conflict``. Folds follow from the name of the group
alone, so that the same people are in the same fold whoever prepares the corpus, and whatever else is in it.
"""

from __future__ import annotations

import csv
import hashlib
import importlib
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from cough import errors
from cough.audio import decode
from cough.manifest import FILE, UNKNOWN
from cough.processes import WorkerProcess, side_by_side
from cough.workers import DECODER_CRASHED
from training.groups import FREESOUND, united

COLUMNS = (
    "recording_id", "path", "duration_s", "event", "sublabel", "source", "channel", "subject_id", "group_id",
    "fold", "sex", "age", "covid_status", "covid_evidence", "asymptomatic", "label_conflict", "licence",
    "licence_class", "pcm_sha256", "upstream",
)  # fmt: skip
"""In this order, in every prepared corpus; what a corpus has beyond them follows."""
AUDIO = "audio"
PROBLEMS = "problems.csv"
RECORD = "prepared.json"
ALL_FOLDS = (1, 2, 3, 4, 5)
TRAINING_FOLDS, TEST_FOLD = (1, 2, 3, 4), (5,)
CHUNK = 16
"""Files that a process is given at a time."""
FEW = 64
"""So many files are decoded here; for more, it pays to start processes."""
OPPOSITE = {"positive", "negative"}


@dataclass(frozen=True, kw_only=True)
class Item:
    """One recording as its corpus has it."""

    key: str
    """Unique in the corpus."""
    path: Path
    event: str
    source: str
    licence: str
    licence_class: str
    """``open``, ``non_commercial``, ``by_agreement``, or empty where nobody says."""
    subject: str | None = None
    """Who is heard; None where nobody knows."""
    group: str | None = None
    """What must stay together where that is not the subject: an uploader, a video, a clip."""
    folds: tuple[int, ...] = ALL_FOLDS
    """Those it may be put into; the publisher's own split where there is one."""
    sublabel: str = ""
    channel: str = ""
    sex: str = ""
    age: str = ""
    covid_status: str = ""
    covid_evidence: str = ""
    asymptomatic: str = ""
    label_conflict: bool = False
    """Whether the corpus' own table contradicts itself."""
    extra: dict[str, str] = field(default_factory=dict)
    """Columns of the corpus' own, by name."""

    @property
    def recording_id(self) -> str:
        """The source and the key."""
        return f"{self.source}_{re.sub(r'[^A-Za-z0-9.-]+', '_', self.key)}"

    @property
    def group_id(self) -> str:
        """What must stay on one side of a split."""
        name = self.group or self.subject or self.key
        return name if name.startswith(FREESOUND) else f"{self.source}:{name}"


@dataclass(frozen=True)
class Prepared:
    """What came of it."""

    folder: Path
    recordings: int
    problems: int
    events: dict[str, int]


@dataclass(frozen=True)
class _Heard:
    """One decoded file, or why not."""

    duration_s: float = 0.0
    pcm_sha256: str = ""
    """Empty for digital silence, which is nobody's copy."""
    code: str = ""
    message: str = ""


def prepare(
    name: str,
    root: Path,
    out: Path,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Prepared:
    """Decode every recording that the recipe of the corpus finds, and write the prepared corpus.

    Parameters
    ----------
    name : of the corpus, as its recipe's module
    root : the folder that the user has
    out : the folder to fill, outside ``root``; its tables are replaced, each whole or not at all
    workers : processes; default one a core
    progress : told (files done, files in all)

    Raises
    ------
    LayoutUnknown : the folder is not that of the corpus, or nothing in it can be read
    CorpusError : ``out`` is inside ``root``, or holds an ``audio`` that is not ours
    """
    if not root.is_dir():
        raise errors.LayoutUnknown(f"There is no folder {root}.")
    root, out = root.resolve(), out.resolve()
    if out.is_relative_to(root):
        raise errors.CorpusError(f"{out} is inside the corpus' own folder, where nothing is written.")
    recipe = importlib.import_module(f"training.corpora.{name}")
    try:
        found: list[Item] = sorted(recipe.rows(root), key=lambda item: item.recording_id)
    except ValueError as error:  # a number was expected, such as ESC-50's fold
        raise errors.LayoutUnknown(f"A table of {name} has a cell that cannot be read: {error}.") from error
    for item in found:
        _below(item.path, root)
    if not found:
        raise errors.LayoutUnknown(f"No recording of {name} below {root}.")
    twice = [b.recording_id for a, b in pairwise(found) if a.recording_id == b.recording_id]
    if twice:
        places = [_below(item.path, root) for item in found if item.recording_id == twice[0]]
        raise errors.LayoutUnknown(
            f"{len(set(twice))} recordings are listed twice, {twice[0]} for one: {' and '.join(places)}."
        )
    heard = _listen([item.path for item in found], workers or os.cpu_count() or 1, progress)
    good = [(item, h) for item, h in zip(found, heard, strict=True) if not h.code]
    bad = [(item, h) for item, h in zip(found, heard, strict=True) if h.code]
    if not good:
        raise errors.LayoutUnknown(f"None of {len(bad)} recordings can be read: {bad[0][1].message}")
    out.mkdir(parents=True, exist_ok=True)
    linked = _link(out / AUDIO, root)
    lines = _lines(good, root, AUDIO if linked else str(root))
    extra = tuple(dict.fromkeys(c for item, _ in good for c in item.extra if c not in COLUMNS))
    _write(out / PROBLEMS, ("recording_id", "path", "code", "message"), [
        {"recording_id": i.recording_id, "path": _below(i.path, root), "code": h.code, "message": h.message}
        for i, h in bad
    ])  # fmt: skip
    _write(out / FILE, (*COLUMNS, *extra), lines)
    events = dict(Counter(line["event"] for line in lines).most_common())
    record = {"corpus": name, "source": str(root), "recordings": len(lines), "problems": len(bad)}
    _replace(out / RECORD, json.dumps(record | {"events": events}, indent=1) + "\n")
    return Prepared(out, len(lines), len(bad), events)


def fold_of(group_id: str, folds: Sequence[int] = ALL_FOLDS) -> int:
    """The fold of a group: by the sha256 of its name, the same everywhere and for ever."""
    return folds[int.from_bytes(hashlib.sha256(group_id.encode()).digest()[:8]) % len(folds)]


def _lines(good: Sequence[tuple[Item, _Heard]], root: Path, audio: str) -> list[dict[str, str]]:
    group_of, fold_by_group = _groups(good)
    contradicted = _contradicted(good)
    return [
        {
            **item.extra,
            "recording_id": item.recording_id,
            "path": f"{audio}/{_below(item.path, root)}",
            "duration_s": f"{heard.duration_s:.4f}",
            "event": item.event,
            "sublabel": item.sublabel,
            "source": item.source,
            "channel": item.channel,
            "subject_id": UNKNOWN if item.subject is None else f"{item.source}:{item.subject}",
            "group_id": group_of[item.group_id],
            "fold": str(fold_by_group[group_of[item.group_id]]),
            "sex": item.sex,
            "age": item.age,
            "covid_status": item.covid_status,
            "covid_evidence": item.covid_evidence,
            "asymptomatic": item.asymptomatic,
            "label_conflict": "1" if item.label_conflict or heard.pcm_sha256 in contradicted else "0",
            "licence": item.licence,
            "licence_class": item.licence_class,
            "pcm_sha256": heard.pcm_sha256,
            "upstream": _below(item.path, root),
        }
        for item, heard in good
    ]


def _contradicted(good: Sequence[tuple[Item, _Heard]]) -> set[str]:
    """Hashes of the sounds that somebody calls positive and somebody negative for one condition."""
    claims: dict[tuple[str, str], set[str]] = defaultdict(set)
    for item, heard in good:
        for column, word in ({"covid_status": item.covid_status} | item.extra).items():
            if heard.pcm_sha256 and column.endswith("_status"):
                claims[heard.pcm_sha256, column].add(word.lower())
    return {sha256 for (sha256, _), words in claims.items() if words >= OPPOSITE}


def _groups(good: Sequence[tuple[Item, _Heard]]) -> tuple[dict[str, str], dict[str, int]]:
    """The name of each group once groups with a copy between them are one; the fold of each name.

    A copy of a test clip takes its group into the test fold: the other way round, the test would leak.
    """
    group_of = united((item.group_id, heard.pcm_sha256) for item, heard in good)
    allowed: dict[str, set[tuple[int, ...]]] = defaultdict(set)
    for item, _ in good:
        allowed[group_of[item.group_id]].add(item.folds)
    return group_of, {group: fold_of(group, max(folds)) for group, folds in allowed.items()}


def _listen(paths: Sequence[Path], workers: int, progress: Callable[[int, int], None]) -> list[_Heard]:
    heard: list[_Heard] = []
    if len(paths) <= FEW or workers == 1:
        for path in paths:
            heard.append(_decode(path))
            progress(len(heard), len(paths))
        return heard
    chunks = [paths[i : i + CHUNK] for i in range(0, len(paths), CHUNK)]
    by_chunk: dict[int, list[_Heard]] = {}
    processes = [WorkerProcess() for _ in range(min(workers, len(chunks)))]
    for i, some in side_by_side(processes, _decode_there, iter(enumerate(chunks))):
        by_chunk[i] = some
        progress(sum(map(len, by_chunk.values())), len(paths))
    return [one for i in sorted(by_chunk) for one in by_chunk[i]]


def _decode_there(process: WorkerProcess, chunk: tuple[int, Sequence[Path]]) -> tuple[int, list[_Heard]]:
    """A chunk by its number, in another process; file by file where one of them ends it."""
    i, paths = chunk
    try:
        return i, process.call(_decode_all, paths)
    except BrokenProcessPool:
        return i, [_decode_alone(process, path) for path in paths]


def _decode_alone(process: WorkerProcess, path: Path) -> _Heard:
    try:
        return process.call(_decode, path)
    except BrokenProcessPool:
        return _Heard(code=DECODER_CRASHED, message="Decoding it ended the process.")


def _decode_all(paths: Sequence[Path]) -> list[_Heard]:
    return [_decode(path) for path in paths]


def _decode(path: Path) -> _Heard:
    try:
        waveform = decode(path)
    except errors.InputError as error:
        return _Heard(code=error.code, message=str(error))
    samples = waveform.samples
    return _Heard(waveform.duration_s, hashlib.sha256(samples.tobytes()).hexdigest() if samples.any() else "")


def _below(path: Path, root: Path) -> str:
    try:
        return Path(os.path.normpath(path)).relative_to(root).as_posix()
    except ValueError as error:
        raise errors.LayoutUnknown(f"A table names {path.name!r} outside the corpus' folder.") from error


def _link(link: Path, root: Path) -> bool:
    """A relative link, so that both folders can move together; False where links cannot be made."""
    if link.is_symlink():
        link.unlink()
    elif link.exists():
        raise errors.CorpusError(f"{link} is there already and was not made by cough data prepare.")
    try:
        link.symlink_to(os.path.relpath(root, link.parent), target_is_directory=True)
    except (OSError, NotImplementedError):
        return False
    return True


def _write(path: Path, columns: Sequence[str], lines: Iterable[dict[str, str]]) -> None:
    partial = path.with_name(f".{path.name}.partial")
    with open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    partial.replace(path)


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
