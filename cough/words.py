"""Words that every table writes otherwise: yes."""

from __future__ import annotations

YES = frozenset({"1", "1.0", "true", "yes"})
"""As people, pandas and spreadsheets write it."""


def is_yes(cell: object) -> bool:
    """Whether a cell says yes, in whatever case."""
    return str(cell).strip().lower() in YES
