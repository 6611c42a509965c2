"""COUGHVID v1, v2, v3 (Orlandic et al. 2021); see ``data_manifests/coughvid/dataset.yaml``.

https://zenodo.org/records/4048312 (v1), 4498364 (v2), 7024894 (v3): one folder with
``metadata_compiled.csv`` and one file a submission, ``UUID.webm``, ``.ogg`` or ``.wav``. A clip that
the authors' detector is sure of (0.8, the limit of their paper) is a cough, unless a physician found
none; the others are unlabelled, since a low score is no proof of no cough. ``status_SSL`` (v3), which a
model guessed from the audio, is kept and never used.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cough.words import said
from training.corpora.form import Item
from training.corpora.tables import age, audio_by_name, need, number, read_csv, sex

SOURCE = "coughvid"
SURE = 0.8
STATUS = {"COVID-19": "positive", "healthy": "negative", "symptomatic": "symptomatic"}


def rows(root: Path) -> Iterator[Item]:
    """Every submission of the table."""
    table = need(root, "metadata_compiled.csv")
    files = audio_by_name(table.parent, stem=True)
    for row in read_csv(table, ("uuid", "datetime", "cough_detected", "status")):
        status = STATUS.get(said(row["status"]), "")
        graded = [row.get(f"quality_{k}", "") for k in (1, 2, 3, 4)]
        sure = said(row["cough_detected"]) != "" and number(row, "cough_detected") >= SURE
        extra = {name: said(value) for name, value in row.items() if name and name not in _TAKEN}
        yield Item(
            key=row["uuid"],
            path=files.get(row["uuid"], table.parent / f"{row['uuid']}.webm"),
            event="cough" if sure and "no_cough" not in graded else "unlabelled",
            source=SOURCE,
            channel="web",
            sex=sex(row.get("gender")),
            age=age(row.get("age")),
            covid_status=status,
            covid_evidence="self_report" if status else "",
            licence="CC BY 4.0",
            licence_class="open",
            extra={"date": row["datetime"][:10]} | extra,
        )


_TAKEN = frozenset({"uuid", "age", "gender"})
