"""Coswara (Bhattacharya et al. 2023); see ``data_manifests/coswara/dataset.yaml``.

https://github.com/iiscleap/Coswara-Data, frozen as https://zenodo.org/records/7188627:
``combined_data.csv`` (its columns in ``csv_labels_legend.json``) and, unpacked, one folder a person
with nine recordings. What listeners graded 0 ("bad") in ``annotations/`` is made unlabelled.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cough import errors
from cough.words import said
from training.corpora.form import Item
from training.corpora.tables import age, find_all, need, read_csv, sex

SOURCE = "coswara"
EVENTS = {
    "breathing-deep": "breathing", "breathing-shallow": "breathing", "cough-heavy": "cough",
    "cough-shallow": "cough", "counting-fast": "speech", "counting-normal": "speech",
    "vowel-a": "sustained_vowel", "vowel-e": "sustained_vowel", "vowel-o": "sustained_vowel",
}  # fmt: skip
STATUS = {
    "healthy": "negative", "positive_mild": "positive", "positive_moderate": "positive",
    "positive_asymp": "positive", "recovered_full": "recovered", "under_validation": "unknown",
    "no_resp_illness_exposed": "no_resp_illness_exposed",
    "resp_illness_not_identified": "resp_illness_not_identified",
}  # fmt: skip
BAD = "0"


def rows(root: Path) -> Iterator[Item]:
    """Nine recordings of every person in the table."""
    table = need(root, "combined_data.csv")
    grades = _grades(table.parent)
    people = {path.parent for name in EVENTS for path in find_all(root, f"{name}.wav")}
    if not people:
        raise errors.LayoutUnknown(
            f"No recording below {root}: the date folders hold split archives that extract_data.py, or "
            "cough data download, unpacks."
        )
    by_name: dict[str, list[Path]] = {}
    for folder in sorted(people):
        by_name.setdefault(folder.name, []).append(folder)
    for row in read_csv(table, ("id", "a", "covid_status", "record_date", "g")):
        person = row["id"]
        stated = said(row["covid_status"])
        status = STATUS.get(stated, "unknown" if stated else "")
        extra = {name: said(value) for name, value in row.items() if name not in _TAKEN}
        folder = by_name.get(person, [table.parent / person])[0]
        for sound, event in EVENTS.items():
            grade = grades.get(f"{person}_{sound}", "")
            yield Item(
                key=f"{person}_{sound}",
                path=folder / f"{sound}.wav",
                event="unlabelled" if grade == BAD else event,
                sublabel=f"coswara:{sound}",
                source=SOURCE,
                channel="web",
                subject=person,
                sex=sex(row["g"]),
                age=age(row["a"]),
                covid_status=status,
                covid_evidence="self_report" if status else "",
                asymptomatic={"positive_asymp": "1"}.get(stated, "0" if status == "positive" else ""),
                licence="CC BY 4.0",
                licence_class="open",
                extra={
                    "date": row["record_date"],
                    "stated_status": stated,
                    "country": row.get("l_c", ""),
                    "cough_symptom": said(row.get("cough")),
                    "quality": grade,
                    **extra,
                },
            )


def _grades(folder: Path) -> dict[str, str]:
    """``ID_SOUND`` -> 0, 1, 2."""
    return {
        row["FILENAME"]: row["QUALITY"]
        for sound in EVENTS
        for path in find_all(folder, f"{sound}_labels.csv")
        for row in read_csv(path, ("FILENAME", "QUALITY"))
    }


_TAKEN = frozenset({"id", "a", "g", "covid_status", "record_date", "l_c", "cough"})
