"""Corpora under other names and in other folders than their authors', and ages told as bands."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cough import errors
from tests.training.corpora.layouts import LAYOUTS
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


@pytest.mark.parametrize(
    ("corpus", "table", "years"),
    [
        ("uk_covid19", "participant_metadata.csv", "34"),
        ("coda_tb", "CODA_TB_Clinical_Meta_Info.csv", "34"),
        ("aicv115m", "metadata_train_challenge.csv", "33.0"),
    ],
)
def test_an_age_told_as_a_band_is_kept(corpus: str, table: str, years: str, tmp_path: Path) -> None:
    folder = raw(corpus, tmp_path)
    (file,) = folder.rglob(table)
    prepare(corpus, folder, tmp_path / "years")
    assert "age_band" not in lines(tmp_path / "years")[0]
    file.write_text(file.read_text().replace(f",{years},", ",18-44,"))
    prepare(corpus, folder, tmp_path / "bands")
    ages = {(row["age"], row["age_band"]) for row in lines(tmp_path / "bands")}
    assert ("", "18-44") in ages
    assert all("" in pair for pair in ages)


def test_esc50_as_kaggle_lays_it_out(tmp_path: Path) -> None:
    corpus = raw("esc50", tmp_path)
    prepare("esc50", corpus, tmp_path / "before")
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    next(corpus.rglob("esc50.csv")).rename(mirror / "esc50.csv")
    next(path for path in corpus.rglob("audio")).rename(mirror / "wav")
    (mirror / "audio").mkdir()
    (mirror / "wav").rename(mirror / "audio" / "audio")
    made = prepare("esc50", mirror, tmp_path / "after")
    assert (made.recordings, made.problems) == (7, 0)
    hashes = [[row["pcm_sha256"] for row in lines(tmp_path / folder)] for folder in ("before", "after")]
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize(
    ("layout", "old", "new", "why"),
    [
        ("esc50", "2-108017-A-24.wav,2,", "2-108017-A-24.wav,,", "fold of 2-108017-A-24.wav .*''"),
        ("coughvid_v1", "0.1643", "high", "cough_detected of 0007c6f1-.* 'high'"),
    ],
)
def test_a_cell_that_is_no_number_is_named_by_its_row(
    layout: str, old: str, new: str, why: str, tmp_path: Path
) -> None:
    corpus = raw(layout, tmp_path)
    (table,) = corpus.rglob("*.csv")
    table.write_text(table.read_text().replace(old, new))
    with pytest.raises(errors.LayoutUnknown, match=why):
        prepare(LAYOUTS[layout][0], corpus, tmp_path / "out")
