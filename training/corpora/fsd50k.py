"""FSD50K's coughs, and human sounds near to them (Fonseca et al. 2022); see its ``dataset.yaml``.

https://zenodo.org/records/4060432: ``FSD50K.ground_truth/{dev,eval}.csv`` (fname, labels, mids),
``FSD50K.metadata/{dev,eval}_clips_info_FSD50K.json`` (uploader and licence of each clip), audio in
``FSD50K.{dev,eval}_audio``. Evaluation is fold 5; both parts share no uploader.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cough import errors
from training.corpora.form import TEST_FOLD, TRAINING_FOLDS, Item
from training.corpora.tables import audio_by_name, find, read_csv, read_json
from training.groups import FREESOUND

SOURCE = "fsd50k"
EVENTS = {
    "Cough": "cough", "Sneeze": "sneeze", "Laughter": "laughter", "Giggle": "laughter",
    "Breathing": "breathing", "Gasp": "breathing", "Sigh": "breathing", "Burping_and_eructation": "burp",
    "Chewing_and_mastication": "chewing", "Crying_and_sobbing": "crying",
}  # fmt: skip
"""Label -> event, the first that a clip has."""
PARTS = {"dev": TRAINING_FOLDS, "eval": TEST_FOLD}


def rows(root: Path) -> Iterator[Item]:
    """Clips of ``EVENTS``, of the parts whose audio is there."""
    tables = {part: find(root, f"{part}.csv", optional=True) for part in PARTS}
    if not any(tables.values()):
        raise errors.LayoutUnknown(f"There is neither dev.csv nor eval.csv of FSD50K in {root} or below.")
    for part, table in tables.items():
        folder = next((p for p in sorted(root.rglob(f"FSD50K.{part}_audio")) if any(p.glob("*.wav"))), None)
        if table is None or folder is None:
            continue
        files = audio_by_name(folder, stem=True)
        clips = _clips(root, part)
        for row in read_csv(table, ("fname", "labels")):
            labels = row["labels"].split(",")
            original = f"{FREESOUND}{row['fname']}"
            event = next((event for label, event in EVENTS.items() if label in labels), None)
            if event is None:
                continue
            about = clips.get(row["fname"], {})
            licence, licence_class = _licence(about.get("license", ""))
            yield Item(
                key=row["fname"],
                path=files.get(row["fname"], folder / f"{row['fname']}.wav"),
                event=event,
                sublabel=";".join(labels),
                source=SOURCE,
                group=f"uploader_{about['uploader']}" if about.get("uploader") else original,
                folds=PARTS[part],
                licence=licence,
                licence_class=licence_class,
                extra={"original": original},
            )


def _clips(root: Path, part: str) -> dict[str, dict[str, str]]:
    path = find(root, f"{part}_clips_info_FSD50K.json", optional=True)
    return read_json(path) if path else {}


def _licence(url: str) -> tuple[str, str]:
    """What a licence's address says; where there is none, only the collection's."""
    known = (
        ("publicdomain/zero", "CC0 1.0", "open"),
        ("licenses/by-nc", "CC BY-NC", "non_commercial"),
        ("licenses/sampling", "CC Sampling+", "non_commercial"),
        ("licenses/by/", "CC BY", "open"),
    )
    for sign, name, kind in known:
        if sign in url:
            version = url.rstrip("/").rsplit("/", 1)[-1]
            return (name if name.startswith("CC0") else f"{name} {version}"), kind
    return "CC BY 4.0 as a collection, the clip's unknown", ""
