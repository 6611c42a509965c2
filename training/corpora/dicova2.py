"""The second DiCOVA challenge (Sharma et al. 2022), by agreement; see its ``dataset.yaml``.

``Second_DiCOVA_Challenge_Dev_Data_Release/``: ``metadata.csv``, separated by spaces (SUB_ID COVID_STATUS
GENDER), ``AUDIO/{breathing,cough,speech}/SUB_ID.flac``. Its people are Coswara's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cough.words import said
from training.corpora.dicova1 import STATUS
from training.corpora.form import Item
from training.corpora.tables import need, read_csv, sex

SOURCE = "dicova2"
EVENTS = {"breathing": "breathing", "cough": "cough", "speech": "speech"}


def rows(root: Path) -> Iterator[Item]:
    """Every recording of everybody in the table."""
    table = need(root, "metadata.csv")
    for row in read_csv(table, ("SUB_ID", "COVID_STATUS", "GENDER"), delimiter=" "):
        status = STATUS.get(said(row["COVID_STATUS"]).lower(), "")
        for sound, event in EVENTS.items():
            yield Item(
                key=f"{row['SUB_ID']}_{sound}",
                path=table.parent / "AUDIO" / sound / f"{row['SUB_ID']}.flac",
                event=event,
                source=SOURCE,
                channel="web",
                subject=row["SUB_ID"],
                sex=sex(row["GENDER"]),
                covid_status=status,
                covid_evidence="self_report" if status else "",
                licence="DiCOVA 2 terms",
                licence_class="by_agreement",
            )
