"""Who stands behind recordings: people whom nobody knows, people under two names, people in two splits."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cough.manifest import UNKNOWN, Row
from cough.words import said

NOBODY = "recording:"
"""Begins the stand-in for a subject whom nobody knows: the recording's group, or the recording itself."""
KEPT_TOGETHER = ("subject", "group_id", "pcm_sha256")
"""What of one name must be in one split. Digital silence has no hash: it is nobody's."""


def subject_of(row: Row) -> str:
    """Who is heard, or the stand-in."""
    facts = row.recording
    name = facts.recording_id if facts.subject_id == UNKNOWN else facts.subject_id
    return name if said(row.columns.get("subject_id")) else NOBODY + name  # a group is no person


def clusters(rows: pd.DataFrame) -> npt.NDArray[Any]:
    """(n,) whom to resample together: the subject, or the first of all who share a sound by its hash."""
    subjects = rows["subject"].to_numpy()
    sounds = rows["pcm_sha256"].to_numpy()
    heard = np.flatnonzero(sounds != "")
    people, who = np.unique(subjects, return_inverse=True)
    hashes, sound = np.unique(sounds[heard], return_inverse=True)
    n = len(people) + len(hashes)
    links = coo_array((np.ones(len(heard)), (who[heard], len(people) + sound)), shape=(n, n))
    _, component = connected_components(links, directed=False)
    # Each component has somebody in it, so that the components of people are all there are.
    _, first = np.unique(component[: len(people)], return_index=True)
    return np.asarray(people[first[component[who]]])


def in_two_splits(manifested: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """(n,) which rows of a whole manifest have a subject, a group or a sound that another split has, too.

    Where a row has no split, nobody said on which side it stands.
    """
    splits = _known(manifested["split"])
    found = np.zeros(len(manifested), bool)
    for column in KEPT_TOGETHER if splits.nunique() > 1 else ():
        if column in manifested:
            found |= splits.groupby(_known(manifested[column])).transform("nunique").gt(1).to_numpy()
    return np.asarray(found & splits.notna().to_numpy())


def _known(column: pd.Series) -> pd.Series:
    """NaN where a cell says nothing."""
    words = column.map(said)
    return words.where(words.ne(""))
