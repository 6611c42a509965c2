"""COVID-19 Sounds (Xia et al. 2021), by agreement; see ``data_manifests/covid19_sounds/dataset.yaml``.

``results_raw_20210426_lan_yamnet_{android,ios,web}_noloc.csv``, separated by semicolons and known by their
columns, and ``covid19_data_0426/UID/FOLDER NAME/FILE``, both anywhere below. On the web Uid names a form
(``form-...``) and nobody knows who came back; there each session is its own group.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from cough import errors
from cough.words import said
from training.corpora.form import Item
from training.corpora.tables import read_csv, sex, ticks, with_columns

SOURCE = "covid19_sounds"
AUDIO = "covid19_data_0426"
PLATFORMS = ("android", "ios", "web")
SOUNDS = {"Cough": "cough", "Breath": "breathing", "Voice": "speech"}
CHECKS = {"Cough": "c", "Breath": "b", "Voice": "v"}
"""What YAMNet found there where the recording is what it should be."""
STATUS = {
    "last14": "positive", "positiveLast14": "positive", "yes": "positive", "negativeNever": "negative",
    "over14": "recovered", "positiveOver14": "recovered", "negativeLast14": "recovered",
    "negativeOver14": "recovered",
}  # fmt: skip
COLUMNS = ("Uid", "Folder Name", "Date", "Sex", "Age", "Covid-Tested", "Cough filename")


def rows(root: Path) -> Iterator[Item]:
    """Every sound of every session."""
    tables = with_columns(root, COLUMNS[:2], delimiter=";")
    if not tables:
        raise errors.LayoutUnknown(f"No csv with the columns {' and '.join(COLUMNS[:2])} in {root} or below.")
    folders = [*sorted(path for path in root.rglob(AUDIO) if path.is_dir()), root]
    sessions = [
        (_platform(table), row) for table in tables for row in read_csv(table, COLUMNS, delimiter=";")
    ]
    symptoms = ticks([row.get("Symptoms") for _, row in sessions], prefix="symptom_")
    seen: set[str] = set()
    for (platform, row), ticked in zip(sessions, symptoms, strict=True):
        anonymous = row["Uid"].startswith("form-")
        stated = said(row["Covid-Tested"])
        status = STATUS.get(stated, "unknown" if stated else "")
        for sound, event in SOUNDS.items():
            path = _file(folders, row["Uid"], row["Folder Name"], row.get(f"{sound} filename", ""))
            key = f"{row['Uid']}_{row['Folder Name']}_{row.get(f'{sound} filename', '')}"
            if path is None or key in seen:  # none: the session has no such sound
                continue
            seen.add(key)
            noise = said(row.get(f"{sound} check")) not in ("", CHECKS[sound])
            yield Item(
                key=key,
                path=path,
                event="unlabelled" if noise else event,
                source=SOURCE,
                channel=platform,
                subject=None if anonymous else row["Uid"],
                group=f"{row['Uid']}/{row['Folder Name']}" if anonymous else None,
                sex=sex(row["Sex"]),
                covid_status=status,
                covid_evidence="self_report" if status else "",
                licence="COVID-19 Sounds data transfer agreement",
                licence_class="by_agreement",
                extra={
                    "date": row["Date"][:10],
                    "covid_tested": stated,
                    "age_band": said(row["Age"]),
                    "language": said(row.get("Language")),
                    "device": platform,
                    **ticked,
                    "medhistory": said(row.get("Medhistory")),
                    "smoking": said(row.get("Smoking")),
                    "check": said(row.get(f"{sound} check")),
                },
            )


def _platform(table: Path) -> str:
    words = re.split("[^a-z]+", table.stem.lower())
    return next((platform for platform in PLATFORMS if platform in words), "")


def _file(folders: Sequence[Path], uid: str, folder: str, name: str) -> Path | None:
    """The file, under whatever extension it came, in the first of the folders; None where none is named."""
    if not said(name):
        return None
    for base in folders:
        path = base / uid / folder / name
        if path.exists():
            return path
        others = sorted(path.parent.glob(f"{Path(name).stem}.*")) if path.parent.is_dir() else []
        if others:
            return others[0]
    return folders[0] / uid / folder / name
