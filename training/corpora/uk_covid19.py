"""The UK COVID-19 Vocal Audio Dataset (Budd et al. 2024), by agreement; see its ``dataset.yaml``.

``participant_metadata.csv``, ``audio_metadata.csv`` and ``train_test_splits.csv``, joined by
``participant_identifier``; WAV files anywhere below. The authors' test people, and those of their later
``long`` test set, are fold 5.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cough.words import said
from training.corpora.form import TEST_FOLD, TRAINING_FOLDS, Item
from training.corpora.tables import age, age_band, audio_by_name, find, need, read_csv, sex

SOURCE = "uk_covid19"
SOUNDS = {
    "cough_file_name": "cough",
    "three_cough_file_name": "cough",
    "exhalation_file_name": "breathing",
    "sentence_file_name": "speech",
}
STATUS = {"positive": "positive", "negative": "negative"}
LABORATORY = {"pcr": "pcr_lab_verified", "lamp": "lab_verified"}
"""Tests that a laboratory makes; the others are lateral flow (LFT) and unknown ones."""
_AGE, _SEX = "age", "gender"
_TESTED = frozenset({"test", "long"})


def rows(root: Path) -> Iterator[Item]:
    """Every sound of every participant."""
    columns = ("participant_identifier", "covid_test_result")
    people = {row[columns[0]]: row for row in read_csv(need(root, "participant_metadata.csv"), columns)}
    splits_table = find(root, "train_test_splits.csv", optional=True)
    splits = {row[columns[0]]: row for row in read_csv(splits_table, columns[:1])} if splits_table else {}
    files = audio_by_name(root)
    for row in read_csv(need(root, "audio_metadata.csv"), columns[:1]):
        person = row["participant_identifier"]
        about = people.get(person, {})
        stated = said(about.get("covid_test_result"))
        split = splits.get(person, {})
        for column, event in SOUNDS.items():
            name = Path(said(row.get(column))).name
            if not name:
                continue
            path = files.get(name, root / name)
            status = STATUS.get(stated.lower(), "unknown" if stated else "")
            yield Item(
                key=path.stem,
                path=path,
                event=event,
                sublabel=column.removesuffix("_file_name"),
                source=SOURCE,
                channel="web",
                subject=person,
                folds=TEST_FOLD if split.get("splits") in _TESTED else TRAINING_FOLDS,
                sex=sex(about.get(_SEX)),
                age=age(about.get(_AGE)),
                covid_status=status,
                covid_evidence=_evidence(about.get("covid_test_method", "")) if stated else "",
                licence="Open Government Licence v3.0 or UKHSA agreement",
                licence_class="by_agreement",
                extra={
                    "date": said(about.get("submission_date"))[:10],
                    **age_band(about.get(_AGE)),
                    **{f"split_{name}": said(v) for name, v in split.items() if name != columns[0]},
                    **{name: said(v) for name, v in about.items() if name not in (*columns, _AGE, _SEX)},
                },
            )


def _evidence(method: str) -> str:
    return next((worth for test, worth in LABORATORY.items() if test in method.lower()), "unverified")
