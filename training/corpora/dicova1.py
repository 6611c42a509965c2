"""DiCOVA 2021, track 1 (Muguli et al. 2021), by agreement; see ``data_manifests/dicova1/dataset.yaml``.

``DiCOVA_Train_Val_Data_Release/``: ``metadata.csv`` (File_name, Covid_status p/n, Gender m/f,
Nationality), ``AUDIO/FILE_NAME.flac``, ``LISTS/``. One recording a person, all of them from Coswara.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cough.words import said
from training.corpora.form import Item
from training.corpora.tables import audio_by_name, need, read_csv, sex

SOURCE = "dicova1"
STATUS = {"p": "positive", "n": "negative"}


def rows(root: Path) -> Iterator[Item]:
    """Every recording of the table."""
    table = need(root, "metadata.csv")
    files = audio_by_name(table.parent, stem=True)
    for row in read_csv(table, ("File_name", "Covid_status", "Gender")):
        name = Path(row["File_name"]).stem
        status = STATUS.get(said(row["Covid_status"]).lower(), "")
        yield Item(
            key=name,
            path=files.get(name, table.parent / "AUDIO" / f"{name}.flac"),
            event="cough",
            source=SOURCE,
            channel="web",
            subject=name.removesuffix("_cough"),
            sex=sex(row["Gender"]),
            covid_status=status,
            covid_evidence="self_report" if status else "",
            licence="DiCOVA 2021 terms",
            licence_class="by_agreement",
            extra={"nationality": said(row.get("Nationality"))},
        )
