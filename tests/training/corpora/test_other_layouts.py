"""Corpora under other names and in other folders than their authors', and ages told as bands."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cough import errors
from tests.training.corpora.test_dirty_corpora import lines, raw
from training.corpora import dataset
from training.corpora.form import prepare


def test_covid19_sounds_is_known_by_its_columns_at_any_depth(tmp_path: Path) -> None:
    corpus = raw("covid19_sounds", tmp_path)
    prepare("covid19_sounds", corpus, tmp_path / "before")
    (corpus / "some" / "where").mkdir(parents=True)
    (corpus / "covid19_data_0426").rename(corpus / "some" / "where" / "covid19_data_0426")
    for platform in ("android", "ios", "web"):
        (table,) = corpus.rglob(f"*_{platform}_noloc.csv")
        table.rename(corpus / f"{platform}.csv")
    (corpus / "notes.csv").write_bytes(b"\xff\xfeUid;nothing of ours\n")
    made = prepare("covid19_sounds", corpus, tmp_path / "after")
    assert (made.recordings, made.problems) == (12, 0)
    moved = ("path", "upstream")
    before, after = (
        [{name: cell for name, cell in row.items() if name not in moved} for row in lines(tmp_path / folder)]
        for folder in ("before", "after")
    )
    assert before == after
    assert {row["channel"] for row in after} == {"android", "web"}


def test_covid19_sounds_with_its_task_tables_alone_is_refused(tmp_path: Path) -> None:
    corpus = raw("covid19_sounds", tmp_path)
    shutil.rmtree(corpus / "all_metadata")
    (corpus / "data_0426_en_task2.csv").write_text("uid;voice_path;cough_path;label;fold\n")
    with pytest.raises(errors.LayoutUnknown, match="columns Uid and Folder Name"):
        prepare("covid19_sounds", corpus, tmp_path / "out")
    assert any("task2" in trap for trap in dataset.dataset("covid19_sounds").traps)
