"""The table of a gate: hand-counted figures, None where nothing can be counted, mn04 at equal sensitivity."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from training.corpus import Corpus, Recording, Teacher
from training.gate_table import as_markdown, gate_table

CLIPS = (
    # event, source, group, our score, mn04's logit
    ("cough", "phones", "a", 0.9, 3.0),
    ("cough", "phones", "a", 0.8, -6.0),
    ("cough", "clinic", "b", 0.7, 2.0),
    ("cough", "clinic", "c", 0.2, 1.0),
    ("sneeze", "clinic", "d", 0.6, 2.5),
    ("sneeze", "clinic", "e", 0.1, -5.0),
    ("speech", "talks", "f", 0.3, -7.0),
    ("music", "talks", "g", 0.0, -9.0),
)

Parts = tuple[Corpus, Teacher, np.ndarray, np.ndarray]


def recording(i: int, event: str, source: str, group: str) -> Recording:
    return Recording(
        recording_id=f"r{i}",
        path=f"{i}.ogg",
        duration_s=1.0,
        event=event,
        sublabel="",
        source=source,
        channel="",
        group_id=group,
        fold=5,
        covid_status="",
        covid_evidence="",
        label_conflict=False,
        licence="CC0",
        licence_class="open",
        upstream="",
    )


@pytest.fixture
def parts() -> Parts:
    corpus = Corpus(Path("nowhere"), tuple(recording(i, *clip[:3]) for i, clip in enumerate(CLIPS)))
    rows = np.arange(len(CLIPS))
    empty = np.zeros((0, 1))
    teacher = Teacher(
        ("Cough",),
        rows,
        np.zeros(len(rows)),
        np.array([[clip[4]] for clip in CLIPS], np.float16),
        np.zeros(0, int),
        np.zeros(0),
        empty,
        "",
    )
    return corpus, teacher, rows, np.array([clip[3] for clip in CLIPS])


def test_figures_are_those_counted_by_hand(parts: Parts) -> None:
    table = gate_table(*parts, threshold=0.5, resamples=20)
    pooled = table["pooled"]
    assert (pooled["coughs"], pooled["others"], table["groups"]) == (4, 4, 7)
    assert pooled["ours"]["auroc"] == 14 / 16  # 0.9, 0.8 and 0.7 beat all four others, 0.2 beats two
    assert pooled["ours"]["auroc_hard"] == 7 / 8  # of the two sneezes, 0.2 beats one
    assert (pooled["ours"]["sensitivity"], pooled["ours"]["specificity"]) == (0.75, 0.75)
    assert (pooled["ours"]["false_rejects"], pooled["ours"]["false_accepts"]) == (1, 1)
    assert table["by_source"]["clinic"]["ours"]["auroc"] == 6 / 8  # its two coughs against all others
    assert table["by_source"]["clinic"]["ours"]["specificity"] == 0.5  # its own two sneezes
    assert table["by_event"]["sneeze"]["ours"]["auroc"] == 7 / 8  # all coughs against it
    assert "cough" not in table["by_event"]


def test_mn04_is_judged_where_it_finds_as_many_coughs(
    parts: Parts,
) -> None:
    table = gate_table(*parts, threshold=0.5, resamples=20)
    mn04 = table["pooled"]["mn04"]
    assert table["mn04_threshold"] == pytest.approx(1 / (1 + np.exp(-1.0)), abs=1e-4)
    assert (mn04["sensitivity"], mn04["specificity"], mn04["auroc"]) == (0.75, 0.75, 12 / 16)


def test_what_cannot_be_counted_is_none_and_the_table_is_json(
    parts: Parts,
) -> None:
    table = gate_table(*parts, threshold=0.5, resamples=20)
    assert table["by_source"]["phones"]["ours"]["specificity"] is None
    assert table["by_source"]["talks"]["ours"]["auroc"] is None
    assert table["by_event"]["music"]["ours"]["auroc_hard"] is None
    assert json.loads(json.dumps(table, allow_nan=False)) == table


def test_intervals_hold_their_figure_and_repeat(
    parts: Parts,
) -> None:
    pooled = gate_table(*parts, threshold=0.5, resamples=50)["pooled"]
    for figure in ("auroc", "auroc_hard"):
        low, high = pooled["ours"][f"{figure}_95"]
        assert low <= pooled["ours"][figure] <= high
        margin = pooled["ours"][figure] - pooled["mn04"][figure]
        assert pooled["margin_over_mn04"][f"{figure}_95"][0] <= margin
    assert pooled == gate_table(*parts, threshold=0.5, resamples=50)["pooled"]


def test_markdown_has_every_source_and_event(
    parts: Parts,
) -> None:
    page = as_markdown(gate_table(*parts, threshold=0.5, resamples=20))
    for name in ("clinic", "phones", "talks", "sneeze", "speech", "music"):
        assert f"| {name} |" in page
    tables = [block.split("\n") for block in page.strip().split("\n\n")[1:]]
    assert len(tables) == 4
    assert all(len({line.count("|") for line in table}) == 1 for table in tables)


def test_only_coughs_or_no_label_is_refused(
    parts: Parts,
) -> None:
    corpus, teacher, rows, scores = parts
    with pytest.raises(ValueError, match="other sounds"):
        gate_table(corpus, teacher, rows[:4], scores[:4], threshold=0.5)
    unlabelled = Corpus(corpus.root, (*corpus.recordings, recording(8, "unlabelled", "phones", "h")))
    with pytest.raises(ValueError, match="labelled"):
        gate_table(unlabelled, teacher, np.arange(9), np.append(scores, 0.5), threshold=0.5)


def test_a_source_is_judged_inside_itself_too(parts: Parts) -> None:
    corpus, teacher, rows, scores = parts
    by_source = gate_table(corpus, teacher, rows, scores, threshold=0.5, resamples=20)["by_source"]
    # clinic: coughs 0.7 and 0.2 against sneezes 0.6 and 0.1
    assert by_source["clinic"]["ours"]["auroc_inside"] == 0.75
    assert by_source["phones"]["ours"]["auroc_inside"] is None
    assert "| AUROC inside the source |" in as_markdown(
        gate_table(corpus, teacher, rows, scores, threshold=0.5)
    )
