"""AICovidVN 115M (Viet Nam, 2021); see ``data_manifests/aicv115m/dataset.yaml``.

Folders of the challenge's rounds side by side, each with a csv (uuid, subject_gender, subject_age,
assessment_result ...) and ``UUID.wav`` below it. Test sets come without ``assessment_result``; a sample
submission, which has nothing but invented results, is no such table.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cough import errors
from cough.words import said
from training.corpora.form import Item
from training.corpora.tables import age, age_band, audio_by_name, read_csv, sex, with_columns

SOURCE = "aicv115m"
OF_PEOPLE = ("subject_gender", "file_path")
"""A table of recordings has one of these."""
RESULT = {"1": "positive", "1.0": "positive", "0": "negative", "0.0": "negative", "unknown": "unknown"}


def rows(root: Path) -> Iterator[Item]:
    """Every uuid of every round, once; what its tables say of it taken together."""
    people: dict[tuple[str, str], dict[str, str]] = {}
    folders: dict[str, Path] = {}
    tables = {table for column in OF_PEOPLE for table in with_columns(root, ("uuid", column))}
    for table in sorted(tables):
        folders[table.parent.name] = table.parent
        for row in read_csv(table):
            known = people.setdefault((table.parent.name, row["uuid"]), {})
            known.update({name: value for name, value in row.items() if value})
    if not people:
        raise errors.LayoutUnknown(
            f"No csv with the columns uuid and {' or '.join(OF_PEOPLE)} in {root} or below."
        )
    files = {name: audio_by_name(folder, stem=True) for name, folder in folders.items()}
    for (name, uuid), row in sorted(people.items()):
        path = files[name].get(uuid, folders[name] / f"{uuid}.wav")
        result = RESULT.get(row.get("assessment_result", "").lower(), "")
        yield Item(
            key=f"{name}_{uuid}",
            path=path,
            event="cough",
            source=SOURCE,
            channel=name.removeprefix("aicv115m_"),
            sex=sex(row.get("subject_gender")),
            age=age(row.get("subject_age")),
            covid_status=result,
            covid_evidence="unverified" if result in ("positive", "negative") else "",
            licence="not stated",
            licence_class="",
            extra={
                "round": name,
                "cough_intervals": said(row.get("cough_intervals")),
                **age_band(row.get("subject_age")),
            },
        )
