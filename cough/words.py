"""Words that every table writes otherwise: yes, and that nobody said anything."""

from __future__ import annotations

YES = frozenset({"1", "1.0", "true", "yes"})
"""As people, pandas and spreadsheets write it."""
UNSAID = frozenset({"", "na", "n/a", "nan", "none", "null", "-", "unknown", "unk"})
"""What stands in a cell where nobody said."""


def is_yes(cell: object) -> bool:
    """Whether a cell says yes, in whatever case."""
    return str(cell).strip().lower() in YES


def said(cell: str | None) -> str:
    """A cell without the space around it; empty where it only says that nobody said."""
    word = (cell or "").strip()
    return "" if word.lower() in UNSAID else word
