"""Values that make no sense together, and lengths without end, passed the bundle's checks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cough import errors
from cough.bundle import DEFAULT_BUNDLE, load_bundle


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("gate", {"exit_threshold": 0.99}),
        ("gate", {"hop_s": 1e-9}),
        ("gate", {"hop_s": float("inf")}),
        ("gate", {"hop_s": 0.04003}),
        ("gate", {"merge_gap_s": 0.0}),
        ("encoder", {"window_s": float("inf")}),
        ("mediator", {"conformal_quantiles": [7, -3]}),
        ("condition", {"classes": ["same", "same"]}),
        ("condition", {"classes": ["negative", "inconclusive"]}),
        ("bundle", {"metrics": {}}),
        ("files", {"a\0b": "0" * 64}),
        ("files", {"": "0" * 64}),
    ],
    ids=str,
)
def test_is_refused(tmp_path: Path, part: str, change: dict[str, Any]) -> None:
    folder = Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle"))
    table = json.loads((folder / "bundle.json").read_text())
    condition = table["conditions"][0]
    places = {"bundle": table, "condition": condition, "mediator": condition["mediator"]}
    target = places.get(part) or table[part]
    target.update(change)
    (folder / "bundle.json").write_text(json.dumps(table))
    with pytest.raises(errors.BundleIncompatible):
        load_bundle(folder)
