"""Whether the people or the sounds that a score is judged on stood in its training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from cough import errors
from cough.evaluation.choices import Where
from cough.evaluation.people import NOBODY
from cough.evaluation.table import NEARLY_ALL
from cough.manifest import UNKNOWN, Manifest, Row
from cough.words import said

WHO = ("subject_id", "group_id")
"""Columns that say who is heard, or with whom."""


@dataclass(frozen=True)
class Known:
    """Whom and what a training knew."""

    subjects: frozenset[str] = frozenset()
    """A group for each whom nobody knows."""
    sounds: frozenset[str] = frozenset()
    """``pcm_sha256`` of its recordings."""
    groups: frozenset[str] = frozenset()
    recordings: frozenset[str] = frozenset()
    told: frozenset[str] = frozenset({"subject_id"})
    """Of ``WHO`` what nearly all of its recordings name: whom it does not name cannot be found by that."""

    @classmethod
    def of(cls, manifest: Manifest, conditions: Sequence[str] = ()) -> Known:
        """Everybody and everything that a training manifest names.

        Parameters
        ----------
        conditions : ``COLUMN=VALUE``, all of which hold for the rows that were trained on

        Raises
        ------
        ManifestInvalid : neither a subject nor a group nor a hash: nothing could be found, so nothing may
            be promised; or a condition on no column of it
        """
        try:
            wheres = [Where.parse(text, manifest.header()) for text in conditions]
        except ValueError as error:
            raise errors.ManifestInvalid(f"Of the training manifest, {error}.") from error
        trained = (
            _names(row)
            for row in manifest.rows()
            if all(where.holds(row.columns[where.column]) for where in wheres)
        )
        rows = pd.DataFrame(trained, columns=["subject", "pcm_sha256", "recording_id", *WHO], dtype=object)
        subjects, sounds = frozenset(rows["subject"]) - {UNKNOWN}, frozenset(rows["pcm_sha256"].dropna())
        if not subjects and not sounds:
            raise errors.ManifestInvalid(
                "What of the training manifest was trained on names neither subjects nor pcm_sha256: no leak "
                "could be found by it."
            )
        return cls(
            subjects,
            sounds,
            groups=frozenset(rows["group_id"]) - {""},
            recordings=frozenset(rows["recording_id"]),
            told=frozenset(kind for kind in WHO if rows[kind].ne("").mean() >= NEARLY_ALL),
        )


def _names(row: Row) -> tuple[str | None, ...]:
    """Its subject or, where nobody knows that, its group; its hash, its own name, and each of ``WHO``."""
    facts = row.recording
    who = (said(row.columns.get(kind)) for kind in WHO)
    return (facts.subject_id, facts.pcm_sha256, facts.recording_id, *who)


@dataclass(frozen=True)
class LookedFor:
    """Whether there was anything to find a leak by."""

    people: bool
    """Nearly every recording of both sides names its person, or nearly every one its group."""
    sounds: bool
    """The same files: by hash on both sides, or by what the bundle remembers."""


def looked_for(rows: pd.DataFrame, known: Known | None) -> LookedFor:
    """What could be compared with what the score was trained on."""
    known = known or Known()
    by_hash = bool(known.sounds) and "pcm_sha256" in rows and bool(rows["pcm_sha256"].fillna("").ne("").any())
    by_bundle = "in_training" in rows and bool(rows["in_training"].notna().any())
    named = {"subject_id": ~rows["subject"].str.startswith(NOBODY)}
    if "group_id" in rows:
        named["group_id"] = rows["group_id"].map(said).ne("")
    people = bool(known.subjects) and any(
        here.mean() >= NEARLY_ALL for kind, here in named.items() if kind in known.told
    )
    return LookedFor(people=people, sounds=by_hash or by_bundle)


def met(rows: pd.DataFrame, known: Known | None) -> npt.NDArray[np.bool_]:
    """(n,) which of these rows the training knew: by name, group, recording or hash, or by its bundle.

    What the bundle was trained on, ``cough batch`` has found by itself (``in_training``).
    """
    known = known or Known()
    nobody = rows["subject"].str.startswith(NOBODY)
    here = rows["subject"].str.removeprefix(NOBODY).isin(known.subjects)
    for column, names in {"group_id": known.groups, "pcm_sha256": known.sounds}.items():
        if column in rows:
            here |= rows[column].map(said).isin(names)
            nobody &= rows[column].map(said).eq("")
    # Other corpora may count their recordings alike: their names tell only where nothing else does.
    if "recording_id" in rows:
        here |= nobody & rows["recording_id"].isin(known.recordings)
    if "in_training" in rows:
        here |= rows["in_training"].eq(True)
    return np.asarray(here, bool)


def leaks(rows: pd.DataFrame, known: Known | None) -> list[str]:
    """Subjects of the rows that the training knew."""
    return subjects_of(rows, met(rows, known))


def straddling(rows: pd.DataFrame, known: Known | None) -> npt.NDArray[np.bool_]:
    """(n,) which of these rows another split of their own manifest knows (``people.in_two_splits``).

    Where nobody tells what was trained on, it may be any split but the one that is judged.
    """
    return rows["in_two_splits"].to_numpy(bool) if known is None else np.zeros(len(rows), bool)


def subjects_of(rows: pd.DataFrame, which: npt.NDArray[np.bool_]) -> list[str]:
    """The names behind some of the rows."""
    return sorted(set(map(str, rows.loc[which, "subject"])))
