"""What is wrong with a manifest: its cells, its files, its splits, and copies of one sound.

Which of two labels that contradict each other is right, nobody can tell here: ``write_fixed`` keeps none of
their lines.
"""

from __future__ import annotations

import csv
import hashlib
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from cough import errors
from cough.audio import SAMPLE_RATE_HZ, decode
from cough.bundle import Bundle
from cough.copies import Heard, Pieces, copies, loudest_s
from cough.encoder import Encoder
from cough.gate import CoughEvent
from cough.manifest import SURPLUS, UNKNOWN, Manifest, Recording, recording_of
from cough.predictions import fetch
from cough.words import is_yes, said

DURATION_TOLERANCE_S = 0.02
MAX_AGE_YEARS = 120
IN_MEMORY_BYTES = 256 << 20
"""Of loudest seconds; more of them wait on the disk, where a million take 32 GB."""
NO_CLAIM = frozenset({"", "unlabelled", "unknown"})
"""Labels that no other label contradicts."""
CODES = {
    "sex": {"", "male", "female", "other"},
    "covid_status": {
        "",
        "positive",
        "negative",
        "recovered",
        "symptomatic",
        "unknown",
        "no_resp_illness_exposed",
        "resp_illness_not_identified",
    },
    "label_conflict": {"", "0", "1"},
    "asymptomatic": {"", "0", "1"},
    "licence_class": {"", "open", "non_commercial", "by_agreement"},
    "fold": {"", "1", "2", "3", "4", "5"},
    "covid_evidence": {"", "pcr_lab_verified", "lab_verified", "self_report", "unverified"},
}
"""Columns whose words are known."""
OPTIONAL = frozenset({"duration_s"})
"""A recording is as good without what these say of it."""
SEX_LETTERS = {"f": "female", "m": "male"}


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one line."""

    code: str
    line: int
    """In the csv, the header being 1."""
    recording_id: str
    message: str
    change: dict[str, str] | None = None
    """Cells that would mend it; None where only leaving the line out does."""


def validate(
    manifest: Manifest,
    *,
    bundle: Bundle | None = None,
    progress: Callable[[], None] = lambda: None,
) -> list[Problem]:
    """Every problem, in the order of lines.

    Parameters
    ----------
    bundle : whose encoder looks for near-copies; None checks cells and splits and opens no audio
    progress : called twice a line, when it is read and when its copies are looked for; once without a bundle

    Raises
    ------
    ManifestInvalid : the csv cannot be read at all
    OutputUnwritable : what waits to be compared fits into no temporary file
    """
    encoder = Encoder(bundle) if bundle else None
    with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES) as file:
        return sorted(_problems(manifest, encoder, Pieces(file), progress), key=lambda p: p.line)


def _problems(
    manifest: Manifest, encoder: Encoder | None, pieces: Pieces, progress: Callable[[], None]
) -> list[Problem]:
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    splits: dict[tuple[str, str], str] = {}
    heard: list[Heard] = []
    n_lines = 0
    for number, line in manifest.numbered():
        n_lines += 1
        progress()
        found, recording = _cells(line, number, seen)
        problems += found
        if recording is None:
            continue
        for kind, name in _kept_together(line, recording):
            first = splits.setdefault((kind, name), recording.split)
            if first != recording.split:
                message = f"{kind} {name} is also in split {first}"
                problems.append(Problem(f"{kind}_in_two_splits", number, recording.recording_id, message))
        if encoder is None:
            continue
        outcome = _listen(manifest, line, recording, number, encoder, pieces)
        if isinstance(outcome, Problem):
            problems.append(outcome)
        else:
            problems += _duration(outcome[0], recording, number)
            heard.append(outcome[1])
    if not n_lines:
        problems.append(Problem("no_recording", 1, "", "the manifest names no recording"))
    problems += [
        Problem(code, one.line, one.recording.recording_id, message)
        for code, one, message in copies(heard, pieces, progress)
    ]
    if encoder is not None:
        for _ in range(n_lines - len(heard)):
            progress()
    return problems


def _kept_together(line: dict[str, str], recording: Recording) -> Iterator[tuple[str, str]]:
    """What must be in one split with all of its name: the person, and the group where it is another."""
    if recording.split and recording.subject_id != UNKNOWN:
        yield "subject", recording.subject_id
    group = said(line.get("group_id"))
    if recording.split and group not in ("", recording.subject_id):
        yield "group", group


def check_fix(manifest: Manifest, target: Path) -> None:
    """Refuse before hours of listening what could not be written after them.

    Raises
    ------
    ManifestInvalid : ``target`` exists or is elsewhere, or the manifest is at a URL or a folder without a csv
    OutputUnwritable : it cannot be written
    """
    if manifest.url is not None:
        raise errors.ManifestInvalid("A manifest at a URL cannot be fixed there: fix a copy of it.")
    if os.path.lexists(target):
        raise errors.ManifestInvalid(f"{target} exists; a fixed manifest is only ever a new file.")
    if manifest.csv_path is None:
        raise errors.ManifestInvalid("A folder of audio has no csv to fix.")
    if target.resolve().parent != manifest.root.resolve():
        raise errors.ManifestInvalid(
            "The new file must be beside the old one, since paths are relative to it."
        )
    with _writing(target) as partial:
        partial.touch()


def write_fixed(manifest: Manifest, problems: list[Problem], target: Path) -> tuple[int, int]:
    """Write a new csv with what can be mended mended and the rest left out; (mended, left out) lines.

    Raises
    ------
    ManifestInvalid, OutputUnwritable : as ``check_fix``
    """
    check_fix(manifest, target)
    by_line: dict[int, list[Problem]] = defaultdict(list)
    for problem in problems:
        by_line[problem.line].append(problem)
    mended = dropped = 0
    with _writing(target) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, manifest.header())
        writer.writeheader()
        for number, line in manifest.numbered():
            if any(problem.change is None for problem in by_line[number]):
                dropped += 1
                continue
            for problem in by_line[number]:
                line.update(problem.change or {})
            mended += bool(by_line[number])
            writer.writerow(line)
        file.flush()
        partial.replace(target)
    return mended, dropped


@contextmanager
def _writing(target: Path) -> Iterator[Path]:
    """A file beside ``target`` to write; it is gone afterwards, unless it took its name."""
    partial = target.with_name(f".{target.name}.partial")
    try:
        yield partial
    except OSError as error:
        raise errors.OutputUnwritable(f"{target} cannot be written: {error.strerror or error}.") from error
    finally:
        with suppress(OSError):  # the first error tells more
            partial.unlink(missing_ok=True)


def _cells(line: dict[str, str], number: int, seen: dict[str, int]) -> tuple[list[Problem], Recording | None]:
    name = line["recording_id"]
    problems: list[Problem] = []

    def add(code: str, message: str, change: dict[str, str] | None = None) -> None:
        problems.append(Problem(code, number, name, message, change))

    if SURPLUS in line:
        add("bad_cell", "more cells than the header")
        return problems, None
    try:
        recording = recording_of(line)
    except ValidationError as error:
        wrong = {str(problem["loc"][0]): problem["msg"] for problem in error.errors()}
        for column, why in wrong.items():
            add("bad_cell", f"{column}: {why}", {column: ""} if column in OPTIONAL else None)
        if not set(wrong) <= OPTIONAL:
            return problems, None
        recording = recording_of(line | dict.fromkeys(wrong, ""))
    if name in seen:
        add("duplicate_id", f"line {seen[name]} has the same recording_id")
    seen.setdefault(name, number)
    if "://" not in recording.path and ".." in Path(recording.path).parts:
        add("path_escapes", "the path leaves the manifest's folder")
    for column, words in CODES.items():
        value = line.get(column, "")
        if value not in words:
            change = None
            if value.strip().lower() in words:
                change = {column: value.strip().lower()}
            elif column == "sex" and value.strip().lower() in SEX_LETTERS:
                change = {column: SEX_LETTERS[value.strip().lower()]}
            elif column in ("sex", "asymptomatic", "covid_evidence") or not said(value):
                change = {column: ""}
            add(
                "unknown_code", f"{column} is {value!r}, not one of {', '.join(sorted(words - {''}))}", change
            )
    age = said(line.get("age"))
    if age:
        try:
            years = float(age)
        except ValueError:
            add("impossible_age", f"age is {age!r}", {"age": ""})
        else:
            if not 0 <= years <= MAX_AGE_YEARS:
                add("impossible_age", f"age is {age} years", {"age": ""})
    return problems, recording


def _listen(
    manifest: Manifest,
    line: dict[str, str],
    recording: Recording,
    number: int,
    encoder: Encoder,
    pieces: Pieces,
) -> Problem | tuple[float, Heard]:
    name = recording.recording_id
    try:
        waveform = decode(fetch(manifest.locate(recording)))
    except errors.FileMissing:
        return Problem("missing_file", number, name, f"there is no {recording.path}")
    except errors.InputError as error:
        return Problem("unreadable", number, name, f"{error.code}: {error}")
    sha256 = hashlib.sha256(waveform.samples.tobytes()).hexdigest()
    if recording.pcm_sha256 and recording.pcm_sha256 != sha256:
        return Problem("wrong_hash", number, name, "the samples are not those of pcm_sha256")
    centre_s = loudest_s(waveform.samples)
    event = CoughEvent(start_s=max(0.0, centre_s - 0.5), end_s=centre_s + 0.5, score=0.0)
    begin = round(event.start_s * SAMPLE_RATE_HZ)
    piece = waveform.samples[begin : begin + SAMPLE_RATE_HZ].astype(np.float16)
    heard = Heard(
        line=number,
        recording=recording,
        labels=_claims(line),
        sha256=sha256,
        embedding=encoder.embed(waveform.samples, [event])[0],
        piece=pieces.add(piece),
        audible=bool(piece.any()),
    )
    return waveform.duration_s, heard


def _claims(line: dict[str, str]) -> dict[str, str]:
    """What the line says that its sound is: column -> word, of those that say anything."""
    statuses = {column for column in line if str(column).endswith("_status")}
    columns = {"event"} & line.keys() | (set() if is_yes(line.get("label_conflict")) else statuses)
    words = {column: said(line[column]).lower() for column in sorted(columns)}
    return {column: word for column, word in words.items() if word not in NO_CLAIM}


def _duration(measured_s: float, recording: Recording, number: int) -> list[Problem]:
    stated_s = recording.duration_s
    if stated_s is None or abs(stated_s - measured_s) <= DURATION_TOLERANCE_S:
        return []
    message = f"{stated_s:.3f} s stated, {measured_s:.3f} s measured"
    change = {"duration_s": f"{measured_s:.3f}"}
    return [Problem("wrong_duration", number, recording.recording_id, message, change)]
