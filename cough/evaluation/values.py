"""Words of a manifest as numbers and days."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cough.words import said

DATES = ("date", "datetime", "record_date", "submission_date")
NUMBERS = ("age", "latitude", "longitude", "reported_cough_dur")
"""Columns that hold numbers, whatever else stands in them."""
MEASURED = ("heart_rate", "temperature", "height", "weight")
"""Columns that hold numbers unless they are mostly words."""
_SLASHED = r"^(\d{1,2})[/.-]\d{1,2}[/.-]\d{2,4}"
_INSIDE = r"((?:19|20)\d{2}[-_.]\d{2}[-_.]\d{2})"
MOSTLY = 0.5
"""Share of a column's words that are numbers, or dates, from which on it is a column of such."""
ENORMOUS = 1e30
"""No number of a person or a place; the forest, which counts in single precision, takes none much larger."""


def read_values(frame: pd.DataFrame) -> None:
    """Makes numbers of ages and the like, and days of dates, in place."""
    _dates(frame)
    _ages(frame)
    for name in NUMBERS:
        if name in frame:
            frame[name] = _numbers(frame[name])
    for name in MEASURED:
        values = measures(frame[name].replace("", pd.NA)) if name in frame else None
        if values is not None:
            frame[name] = values


def measures(words: pd.Series) -> pd.Series | None:
    """A column's words as numbers, or days; NaN for others. None where they are mostly something else."""
    numbers = _numbers(words)
    if numbers.notna().sum() >= MOSTLY * words.notna().sum():
        return numbers
    days = _days(words)
    return days if days.notna().sum() >= MOSTLY * words.notna().sum() else None


def _numbers(words: pd.Series) -> pd.Series:
    """As numbers; NaN where a word is none, or an infinite or enormous one."""
    numbers = pd.to_numeric(words, errors="coerce").astype(float)
    return numbers.where(numbers.abs() < ENORMOUS)


def _days(words: pd.Series) -> pd.Series:
    """Days since 2020 began; NaN where a word is no date.

    Of 03/04/2020 the column tells which is the day: where any first number is above 12, they are days. Of a
    word that only holds a date, as names of files do, the date counts.
    """
    written = words.astype("string")
    first = pd.to_numeric(written.str.extract(_SLASHED)[0], errors="coerce")
    day_first = bool((first > 12).any())
    when = pd.to_datetime(words.astype(object), errors="coerce", utc=True, format="mixed", dayfirst=day_first)
    inside = written.where(when.isna()).str.extract(_INSIDE)[0].str.replace(r"[_.]", "-", regex=True)
    when = when.fillna(pd.to_datetime(inside.astype(object), errors="coerce", utc=True, format="%Y-%m-%d"))
    return (when - pd.Timestamp("2020-01-01", tz="UTC")) / np.timedelta64(1, "D")


def _dates(frame: pd.DataFrame) -> None:
    """The column of ``DATES`` that says most, as days, or as numbers; what is neither stays words."""
    read = []
    for name in (name for name in DATES if name in frame):
        words = frame[name].astype("string").str.strip().replace("", pd.NA)
        days, numbers = _days(words), _numbers(words)
        read.append((words, days if days.notna().sum() >= numbers.notna().sum() else numbers))
    if not read:
        return
    words, days = max(read, key=lambda one: one[0].notna().sum())
    others = words.where(days.isna()).fillna("")
    if days.notna().any():
        frame["date_days"] = days
    if others.ne("").any():
        frame["date_words"] = others.astype(object)


def _ages(frame: pd.DataFrame) -> None:
    """Ages that are no number, such as "60-69", stay words."""
    if "age" in frame and "age_band" not in frame:
        words = frame["age"].astype("string").fillna("").map(said)
        bands = words.where(pd.to_numeric(words, errors="coerce").isna(), "")
        if bands.ne("").any():
            frame["age_band"] = bands.astype(object)
