"""Finding and reading the tables of a corpus that somebody unpacked somewhere."""

from __future__ import annotations

import csv
import json
import math
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cough import errors
from cough.manifest import SUFFIXES
from cough.words import said


def find(root: Path, name: str, *, optional: bool = False) -> Path | None:
    """The one file of that name in ``root`` or below; the least deep of several.

    Raises
    ------
    LayoutUnknown : none, unless ``optional``; or several equally deep that are not the same
    """
    found = sorted(find_all(root, name), key=lambda path: (len(path.parts), str(path)))
    if found:
        rivals = [path for path in found if len(path.parts) == len(found[0].parts)]
        if any(path.read_bytes() != found[0].read_bytes() for path in rivals[1:]):
            folders = " and ".join(str(path.parent.relative_to(root)) for path in rivals)
            raise errors.LayoutUnknown(f"There is a {name} in {folders}: give the folder of one of them.")
        return found[0]
    if optional:
        return None
    raise errors.LayoutUnknown(
        f"There is no {name} in {root} or below; cough data info tells what the folder should look like."
    )


def need(root: Path, name: str) -> Path:
    """``find``, for what must be there."""
    path = find(root, name)
    if path is None:
        raise errors.LayoutUnknown(f"There is no {name}.")
    return path


def find_all(root: Path, pattern: str) -> Iterator[Path]:
    """Every file of that name (``*`` stands for anything) below ``root``, hidden ones left out."""
    if not root.is_dir():
        raise errors.LayoutUnknown(f"{root} is not a folder.")
    for path in root.rglob(pattern):
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(root).parts):
            yield path


def with_columns(root: Path, columns: Sequence[str], *, delimiter: str = ",") -> list[Path]:
    """Every csv in ``root`` or below that has these columns, whatever it is called; may be none.

    Raises
    ------
    LayoutUnknown : ``root`` is no folder
    """
    return [
        path
        for path in sorted(find_all(root, "*.csv"))
        if set(columns) <= set(_header(path, delimiter=delimiter))
    ]


def _header(path: Path, *, delimiter: str) -> list[str]:
    """Names of a table's columns; none where it is no table, which nobody said it is."""
    try:
        with open(path, newline="", encoding="utf-8-sig", errors="replace") as file:
            return _names(csv.reader(file, delimiter=delimiter, skipinitialspace=True))
    except csv.Error:
        return []


def _names(reader: Iterator[list[str]]) -> list[str]:
    return [name.strip() for name in next(reader, [])]


def read_csv(path: Path, required: Sequence[str] = (), *, delimiter: str = ",") -> list[dict[str, str]]:
    """Rows of a table, names and cells stripped, missing cells empty.

    Raises
    ------
    LayoutUnknown : no text, a quote out of place, or a column is missing
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            # Strict, or a quote that nobody closed would take every row after it into one cell.
            reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
            header = _names(reader)
            lacking = [name for name in required if name not in header]
            if lacking:
                raise errors.LayoutUnknown(f"{path.name} has no column {' or '.join(lacking)}.")
            blank = dict.fromkeys(header, "")
            return [
                blank | dict(zip(header, (cell.strip() for cell in row), strict=False))
                for row in reader
                if any(row)
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise errors.LayoutUnknown(f"{path.name} cannot be read as a table: {error}") from error


def read_json(path: Path) -> Any:
    """A JSON file; raises ``LayoutUnknown``."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise errors.LayoutUnknown(f"{path.name} is not JSON: {error}") from error


def audio_by_name(root: Path, *, stem: bool = False) -> dict[str, Path]:
    """Every audio file below ``root`` by its name, or by its name without extension; the first of several."""
    found: dict[str, Path] = {}
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(f for f in folders if not f.startswith((".", "__MACOSX")))
        for name in sorted(files):
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                found.setdefault(Path(name).stem if stem else name, Path(folder) / name)
    return found


def sex(value: str | None) -> str:
    """``female``, ``male``, ``other`` or empty."""
    word = said(value).lower()
    known = {"f": "female", "female": "female", "m": "male", "male": "male", "other": "other"}
    return known.get(word, "")


def age(value: str | None) -> str:
    """Years as a number, or empty; ``34.0`` is 34, what is no number is ``age_band``'s."""
    years = _number(said(value))
    return f"{years:g}" if years is not None and 0 <= years <= 120 else ""


def age_band(value: str | None) -> dict[str, str]:
    """The column of a band such as ``18-44``; none for years, of which ``cough evaluate`` knows more."""
    text = said(value)
    return {"age_band": text} if text and _number(text) is None else {}


def ticks(cells: Sequence[str | None], *, prefix: str) -> list[dict[str, str]]:
    """Cells that hold several answers, such as ``drycough,fever``, as one column for each answer of any cell.

    Parameters
    ----------
    prefix : of the columns' names

    Returns
    -------
    list : for each cell 1 or 0 by column; no column where nobody answered, 0 in all for the answer "none"
    """
    answers = [_answers(cell) for cell in cells]
    every = sorted(set().union(*(one or () for one in answers)))
    return [
        {} if one is None else {f"{prefix}{name}": str(int(name in one)) for name in every} for one in answers
    ]


def _answers(cell: str | None) -> set[str] | None:
    text = (cell or "").strip().lower()
    if text != "none" and not said(text):
        return None
    parts = (re.sub(r"[^\w]+", "_", part).strip("_") for part in re.split("[,;]", text))
    return {part for part in parts if part not in ("", "none")}


def number(row: dict[str, str], column: str) -> float:
    """A cell that must hold a number.

    Raises
    ------
    LayoutUnknown : it does not; by the first cell of its row, which names it
    """
    found = _number(row[column])
    if found is None or not math.isfinite(found):
        name = next(iter(row.values()))
        raise errors.LayoutUnknown(f"The {column} of {name} cannot be read as a number: {row[column]!r}.")
    return found


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
