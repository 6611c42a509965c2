"""What ``cough evaluate`` passed over in silence, or ended in a traceback at."""

from __future__ import annotations

from pathlib import Path

import pytest

from cough.evaluation import resampling
from cough.evaluation.leaks import Known
from cough.evaluation.study import evaluate
from cough.evaluation.table import NOBODY, columns_of, join
from cough.manifest import Manifest
from tests.cough.evaluation.test_study import N, comparator
from tests.known_issues.test_the_evaluation_could_be_fooled import altered


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "RESAMPLES", 60)


@pytest.mark.parametrize("yes", [True, 1, 1.0, "Yes", " TRUE"])
def test_a_conflict_of_labels_in_any_spelling(tmp_path: Path, yes: object) -> None:
    """pandas writes ``True``, which was no conflict."""
    conflict = [yes if i < 9 else "" for i in range(N)]
    predictions, path = altered(tmp_path, manifest={"label_conflict": conflict})
    manifest = Manifest.open(path)
    assert join(predictions, manifest).frame["label_covid19"].isna().sum() == 9
    claims = [label for row in manifest.rows() for label in row.labels if label.name == "covid19"]
    assert sum(claim.conflict for claim in claims) == 9


@pytest.mark.parametrize("nobody", ["n/a", "NA", "None", "Unknown", "nan", " - ", "NULL"])
def test_nobody_is_not_one_known_person(tmp_path: Path, nobody: str) -> None:
    names = [nobody if i < 60 else f"p{i}" for i in range(N)]
    predictions, path = altered(tmp_path, manifest={"subject_id": names, "pcm_sha256": nobody})
    manifest = Manifest.open(path)
    frame = join(predictions, manifest).frame
    assert frame["subject"].nunique() == N
    assert frame["subject"].str.startswith(NOBODY).sum() == 60
    known = Known.of(manifest)
    assert (len(known.subjects), known.sounds) == (N - 60, frozenset())


def test_a_manifest_with_a_column_and_another_of_its_stated_name(tmp_path: Path) -> None:
    said = {"band": "wide", "band_stated": "narrow", "codec": "opus"}
    predictions, path = altered(tmp_path, manifest=said)
    frame = join(predictions, Manifest.open(path)).frame
    assert frame.columns.is_unique
    assert set(frame["band"]) == {"wide", "telephone"}
    told = ["codec", "band", "band_stated", "band_stated_stated"]
    assert columns_of(frame, "device and channel") == told
    assert {*frame["band_stated"], *frame["band_stated_stated"]} == {"wide", "narrow"}


@pytest.mark.parametrize("cell", ["inf", "-inf", "1e300"])
def test_numbers_that_no_model_takes_are_not_known(tmp_path: Path, cell: str) -> None:
    cells = [cell if i < 3 else i % 60 for i in range(N)]
    columns = ("age", "latitude", "longitude", "reported_cough_dur")
    predictions, path = altered(tmp_path, manifest=dict.fromkeys(columns, cells))
    condition = evaluate(join(predictions, Manifest.open(path)))["conditions"]["covid19"]
    assert set(columns[1:3]) == set(comparator(condition, "place")["columns"])
