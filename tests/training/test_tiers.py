"""Both licence tiers on one page: the same rows, each tier's own scores."""

from __future__ import annotations

import numpy as np

from training.gate_table import gate_table
from training.tiers import TESTS, TIERS, as_markdown

from .test_gate_table import Parts, parts  # noqa: F401  (a fixture)


def test_a_page_of_both_tiers(parts: Parts) -> None:  # noqa: F811
    corpus, teacher, rows, scores = parts
    tables = {
        "all": gate_table(corpus, teacher, rows, scores, threshold=0.5, resamples=20),
        "open": gate_table(corpus, teacher, rows, np.linspace(1, 0, len(rows)), threshold=0.25, resamples=20),
    }
    tiers = {
        tier: {"gate_sha256": 64 * tier[0], "shipped": tier == "all", "trained_on": 7, "threshold": 0.5}
        for tier in TIERS
    }
    page = as_markdown({"tiers": tiers, "tests": dict.fromkeys(TESTS, tables)})
    assert page.count("(shipped in that bundle)") == 1
    assert page.count("4 coughs, 4 other sounds") == len(TESTS)
    line = next(line for line in page.splitlines() if line.startswith("| AUROC |"))
    ours, other, mn04 = (cell.split()[0] for cell in line.split("|")[2:5])
    assert float(ours) == round(tables["all"]["pooled"]["ours"]["auroc"], 3)
    assert float(other) == 1.0
    assert float(mn04) == round(tables["all"]["pooled"]["mn04"]["auroc"], 3)
