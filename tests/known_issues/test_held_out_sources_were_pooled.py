"""Leave one source out showed the sound's AUROC over all sources at once: a score that knows no more than
the source looked good, while the comparators were "too few". Sites were not held out at all.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from cough.evaluation.parts import splits, subgroups


def test_a_score_that_only_knows_the_source_is_chance_in_each() -> None:
    rng = np.random.default_rng(0)
    n = 120
    source = np.repeat(["a", "b"], n // 2)
    y = (rng.random(n) < np.where(source == "a", 0.8, 0.2)).astype(float)
    p = np.where(source == "a", 0.9, 0.1) + rng.uniform(-0.05, 0.05, n)
    rows = pd.DataFrame({"source": source, "site": np.tile(["s", "t", ""], n // 3)})
    found = splits(rows, y, p, np.arange(n).astype(str))
    by_part = {(part["split"], part["held_out"]): part["audio"] for part in found}
    for name in ("a", "b"):
        figure = by_part["leave one source out", name]
        assert figure["low"] < 0.5 < figure["high"]
    assert {key[1] for key in by_part if key[0] == "leave one site out"} == {"s", "t", "not stated"}


def test_a_thousand_devices_are_not_a_thousand_lines() -> None:
    n = 100
    rows = pd.DataFrame({"device": [f"phone {i}" for i in range(n)], "age": np.linspace(0, 99, n)})
    y, p = np.tile([0.0, 1.0], n // 2), np.full(n, 0.5)
    found = subgroups(rows, y, p, np.arange(n).astype(str))
    devices = [part for part in found if part["column"] == "device"]
    assert len(devices) == 13
    assert sum(part["n_positive"] + part["n_negative"] for part in devices) == n
    ages = {part["value"] for part in found if part["column"] == "age_band"}
    assert ages == {"0-17", "18-39", "40-59", "60 and over"}
