"""CODA TB DREAM (Huddart et al. 2024), by agreement; see ``data_manifests/coda_tb/dataset.yaml``.

``CODA_TB_Clinical_Meta_Info.csv`` (participant ... tb_status), ``CODA_TB_Solicited_Meta_Info.csv``
and, where there, ``CODA_TB_Longitudnal_Meta_Info.csv`` (participant, filename,
sound_prediction_score), ``CODA_TB_additional_variables_train.csv``; WAV files anywhere below, each named
after the millisecond of its recording.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cough.words import said
from training.corpora.form import Item
from training.corpora.tables import age, age_band, audio_by_name, find, need, read_csv, sex

SOURCE = "coda_tb"
STATUS = {"1": "positive", "1.0": "positive", "0": "negative", "0.0": "negative"}
CLIPS = {
    "solicited": "CODA_TB_Solicited_Meta_Info.csv",
    "longitudinal": "CODA_TB_Longitudnal_Meta_Info.csv",
}
_MILLISECONDS = re.compile(r"^(\d{13})-recording")
"""Begins a file's name: since 1970."""
_TAKEN = frozenset({"participant", "sex", "age", "tb_status", "filename", "Country"})


def rows(root: Path) -> Iterator[Item]:
    """Every cough of every participant."""
    clinical = need(root, "CODA_TB_Clinical_Meta_Info.csv")
    people = {row["participant"]: row for row in read_csv(clinical, ("participant", "sex", "age"))}
    more = find(root, "CODA_TB_additional_variables_train.csv", optional=True)
    for row in read_csv(more, ("participant",)) if more else ():
        people.setdefault(row["participant"], {}).update(row)
    files = audio_by_name(root)
    for channel, name in CLIPS.items():
        table = need(root, name) if channel == "solicited" else find(root, name, optional=True)
        for row in read_csv(table, ("participant", "filename")) if table else ():
            name = Path(row["filename"]).name
            path = files.get(name, root / name)
            about = people.get(row["participant"], {})
            yield Item(
                key=f"{channel}_{path.stem}",
                path=path,
                event="cough",
                source=SOURCE,
                channel=channel,
                subject=row["participant"],
                sex=sex(about.get("sex")),
                age=age(about.get("age")),
                licence="CODA TB DREAM terms (Synapse syn31472953)",
                licence_class="by_agreement",
                extra={
                    "tb_status": STATUS.get(said(about.get("tb_status")), ""),
                    "tb_evidence": "microbiological" if said(about.get("tb_status")) else "",
                    "date": _date(path.stem),
                    "country": said(about.get("Country")),
                    **age_band(about.get("age")),
                    **{name: said(value) for name, value in (about | row).items() if name not in _TAKEN},
                },
            )


def _date(stem: str) -> str:
    """Date and time (UTC) that a file's name tells, as ISO 8601; empty where it tells none."""
    found = _MILLISECONDS.match(stem)
    return datetime.fromtimestamp(int(found[1]) / 1000, UTC).isoformat(timespec="seconds") if found else ""
