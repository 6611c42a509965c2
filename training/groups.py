"""Groups of recordings that must stay on one side of a split."""

from __future__ import annotations

from collections.abc import Iterable

FREESOUND = "fs_"
"""Before the number of a Freesound original: whichever corpus cut it, its name is this."""


def united(marked: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Group -> the name of the group that it is part of, once groups that share a mark are one.

    Parameters
    ----------
    marked : (group, mark) of each recording: the hash of its sound, what it was cut from; an empty mark
        is shared with nobody
    """
    parent: dict[str, str] = {}

    def top(group: str) -> str:
        while parent[group] != group:
            group = parent[group]
        return group

    first: dict[str, str] = {}
    for group, mark in marked:
        parent.setdefault(group, group)
        if mark:
            a, b = sorted((top(first.setdefault(mark, group)), top(group)))
            parent[b] = a
    return {group: top(group) for group in parent}
