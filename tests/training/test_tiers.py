"""Both licence tiers on one page: the same rows, each tier's own scores."""

from __future__ import annotations

import dataclasses

import numpy as np

from training.gate_table import gate_table
from training.tiers import TESTS, TIERS, UNHEARD, as_markdown, on_the_same_sources

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
    tests = {**dict.fromkeys(TESTS, tables), UNHEARD: on_the_same_sources(tables)}
    page = as_markdown({"tiers": tiers, "unheard": tables, "tests": tests})
    assert page.count("(shipped in that bundle)") == 1
    assert page.count("4 coughs, 4 other sounds") == len(TESTS) + 2
    line = next(line for line in page.splitlines() if line.startswith("| AUROC |"))
    ours, other, mn04 = (cell.split()[0] for cell in line.split("|")[2:5])
    assert float(ours) == round(tables["all"]["pooled"]["ours"]["auroc"], 3)
    assert float(other) == 1.0
    assert float(mn04) == round(tables["all"]["pooled"]["mn04"]["auroc"], 3)


def test_only_sources_that_are_the_same_to_both_are_compared(parts: Parts) -> None:  # noqa: F811
    corpus, teacher, rows, scores = parts
    every = gate_table(corpus, teacher, rows, scores, threshold=0.5, resamples=20)
    of = np.array([corpus.recordings[row].source for row in rows])
    others = np.array([not corpus.recordings[row].is_cough for row in rows])
    less = np.flatnonzero(others & (of == of[others][0]))[0]
    kept = np.delete(np.arange(len(rows)), less)
    fewer = gate_table(corpus, teacher, rows[kept], scores[kept], threshold=0.0, resamples=20)
    same = on_the_same_sources({"all": every, "open": fewer})
    assert same["all"]["sources"] == same["open"]["sources"] == sorted(set(of) - {of[less]})
    at = np.isin(of, same["all"]["sources"])
    for tier, threshold in (("all", 0.5), ("open", 0.0)):
        pooled = same[tier]["pooled"]
        assert (pooled["coughs"], pooled["others"]) == (int((at & ~others).sum()), int((at & others).sum()))
        assert pooled["ours"]["false_accepts"] == int((at & others & (scores >= threshold)).sum())
        assert pooled["ours"]["false_rejects"] == int((at & ~others & (scores < threshold)).sum())


def test_where_no_source_is_the_same_or_nobody_was_asked_nothing_is_said(parts: Parts) -> None:  # noqa: F811
    corpus, teacher, rows, scores = parts
    every = gate_table(corpus, teacher, rows, scores, threshold=0.5, resamples=20)
    alone = on_the_same_sources({"all": every, "open": {**every, "by_source": {}}})["all"]
    assert alone["sources"] == []
    assert alone["pooled"]["ours"] == {
        "false_rejects": 0,
        "sensitivity": None,
        "false_accepts": 0,
        "specificity": None,
    }
    unasked = dataclasses.replace(teacher, covered=np.zeros(len(rows), dtype=bool))
    table = gate_table(corpus, unasked, rows, scores, threshold=0.5, resamples=20)
    theirs = on_the_same_sources({"all": table, "open": table})["open"]["pooled"]["mn04"]
    assert set(theirs.values()) == {None}
