"""What whoever evaluates may choose of a manifest: labels, columns beside the sound, rows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from cough.evaluation.verdict import MISSING, TOGETHER

OURS = ("event", "subject", "split", "group_id", "pcm_sha256", "in_two_splits")
"""Told by the manifest: predictions may not bring their own."""


@dataclass(frozen=True)
class LabelColumn:
    """Where a manifest says whether a condition is there, and in which words."""

    condition: str
    column: str
    classes: tuple[str, ...] = ()
    """The first is the one without the condition, ``|`` between words of one class; empty: those of the
    predictions."""

    @classmethod
    def parse(cls, text: str) -> LabelColumn:
        """``NAME=COLUMN`` or ``NAME=COLUMN:WITHOUT,WITH``; a class may have several words: ``healthy|cold``.

        Raises
        ------
        ValueError : it is neither
        """
        condition, _, rest = text.partition("=")
        column, separator, words = rest.partition(":")
        classes = tuple(word.strip() for word in words.split(",")) if separator else ()
        if not condition or not column or (separator and (len(set(classes)) < 2 or "" in classes)):
            raise ValueError(f"{text!r} is not NAME=COLUMN or NAME=COLUMN:WITHOUT,WITH")
        return cls(condition, column, classes)


@dataclass(frozen=True)
class Beside:
    """Columns of a manifest that may tell a label without any cough, besides those of ``GROUPS``."""

    group: str
    """A name of its own, or one of ``GROUPS``, which has these columns too then."""
    columns: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Beside:
        """``NAME=COLUMN[,COLUMN]``.

        Raises
        ------
        ValueError : it is not
        """
        group, _, rest = text.partition("=")
        group, columns = group.strip(), tuple(name.strip() for name in rest.split(","))
        if not group or "" in columns:
            raise ValueError(f"{text!r} is not NAME=COLUMN or NAME=COLUMN,COLUMN")
        if not re.fullmatch(r"[\w .-]+", group) or group in ("levels", MISSING, TOGETHER, *OURS):
            raise ValueError(
                f"{group!r} cannot be the name of a group: use letters, digits, spaces, '-', '.'"
            )
        return cls(group, columns)


@dataclass(frozen=True)
class Where:
    """A column and the word that is to stand in it."""

    column: str
    word: str

    @classmethod
    def parse(cls, text: str, columns: Iterable[str]) -> Where:
        """``COLUMN=VALUE``, the column one of ``columns``.

        Raises
        ------
        ValueError : it is not
        """
        column, separator, word = text.partition("=")
        if not separator or column not in set(columns):
            raise ValueError(f"{text!r} is not COLUMN=VALUE of a column that is here")
        return cls(column, word)

    def holds(self, cell: object) -> bool:
        """Whether a cell says so; a number, however it is written."""
        try:
            return str(cell) == self.word or float(str(cell)) == float(self.word)
        except ValueError:
            return False
