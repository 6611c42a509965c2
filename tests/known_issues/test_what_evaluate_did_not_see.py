"""What ``cough evaluate`` passed over in silence, or ended in a traceback at, in manifests as people write them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cough.evaluation.table import join
from cough.manifest import Manifest
from tests.cough.evaluation.test_study import N
from tests.known_issues.test_the_evaluation_could_be_fooled import altered


@pytest.mark.parametrize("yes", [True, 1, 1.0, "Yes", " TRUE"])
def test_a_conflict_of_labels_in_any_spelling(tmp_path: Path, yes: object) -> None:
    """pandas writes ``True``, which was no conflict."""
    conflict = [yes if i < 9 else "" for i in range(N)]
    predictions, path = altered(tmp_path, manifest={"label_conflict": conflict})
    manifest = Manifest.open(path)
    assert join(predictions, manifest).frame["label_covid19"].isna().sum() == 9
    claims = [label for row in manifest.rows() for label in row.labels if label.name == "covid19"]
    assert sum(claim.conflict for claim in claims) == 9
