"""Virufy, the clinical part (Chaudhari et al. 2020); see ``data_manifests/virufy/dataset.yaml``.

https://github.com/virufy/virufy-data: ``clinical/labels.csv``, one row a patient, and
``clinical/segmented/{pos,neg}/*.mp3``, single coughs named after the patient's recording
(``pos-0421-084-cough-m-50-0.mp3``). Where only ``clinical/original`` is there, that is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cough.words import said
from training.corpora.form import Item
from training.corpora.tables import age, find_all, need, read_csv, sex, ticks

SOURCE = "virufy"


def rows(root: Path) -> Iterator[Item]:
    """Every single cough, or every recording."""
    table = need(root, "labels.csv")
    columns = ("corona_test", "age", "gender", "cough_filename")
    patients = {Path(row["cough_filename"]).stem: row for row in read_csv(table, columns)}
    symptoms = ticks([row.get("patient_reported_symptoms") for row in patients.values()], prefix="symptom_")
    ticked = dict(zip(patients, symptoms, strict=True))
    for kind in ("segmented", "original"):
        found = [
            path
            for path in sorted(find_all(table.parent, "*.mp3"))
            if kind in path.relative_to(table.parent).parts
        ]
        for path in found:
            patient = path.stem if path.stem in patients else path.stem.rsplit("-", 1)[0]
            row = patients.get(patient)
            if row is not None:
                status = said(row["corona_test"]).lower()
                yield Item(
                    key=path.stem,
                    path=path,
                    event="cough",
                    source=SOURCE,
                    channel="hospital",
                    subject=patient,
                    sex=sex(row["gender"]),
                    age=age(row["age"]),
                    covid_status=status if status in ("positive", "negative") else "",
                    covid_evidence="pcr_lab_verified",
                    licence="CC BY-NC-SA 4.0, no redistribution",
                    licence_class="non_commercial",
                    extra={name: said(row.get(name)) for name in ("date", "medical_history", "smoker")}
                    | ticked[patient],
                )
        if found:
            return
