"""The member that learns what a teacher hears: which recordings, from which weights on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.conftest import recording
from training.config import EncoderConfig, TrainingConfig, read_config
from training.corpus import Corpus, Teacher
from training.encoder import EncoderWindows, build_encoder, train_encoder
from training.parts import deal
from training.pipeline import distilled_jobs
from training.stages import PROJECT, save_weights
from training.waves import Waves

SHARED = {**dict.fromkeys(("labels", "waves", "libraries", "device"), ""), "teacher": "its sha256"}


def corpus_of_three_sources() -> Corpus:
    recordings = [
        recording(f"{source}{i}", ("cough", "speech")[i % 2], source=source, group_id=f"{source}{i}")
        for source in ("one", "two", "three")
        for i in range(60)
    ]
    return Corpus(root=None, recordings=tuple(recordings))  # type: ignore[arg-type]


def config_with(*overrides: str) -> TrainingConfig:
    return read_config(PROJECT / "training" / "default.toml", list(overrides))


def test_each_part_is_left_out_once_and_the_last_hears_all() -> None:
    corpus, config = corpus_of_three_sources(), config_with()
    *parts, last = distilled_jobs(corpus, (), Path("waves"), Path("cache"), config, SHARED)
    assert [job.part for job in parts] == list(range(deal(corpus, config).n_parts))
    for job in parts:
        training, unheard = job.rows(corpus)
        assert len(training) + len(unheard) == 180
        assert not {corpus.recordings[r].source for r in training} & {
            corpus.recordings[r].source for r in unheard
        }
    assert len(last.rows(corpus)[0]) == 180
    assert len({job.folder for job in (*parts, last)}) == len(parts) + 1


@pytest.mark.parametrize(("members", "teacher"), [(1, "its sha256"), (2, "")])
def test_there_is_none_of_a_single_member_or_without_a_teacher(members: int, teacher: str) -> None:
    config, shared = config_with(f"gate.members={members}"), {**SHARED, "teacher": teacher}
    assert distilled_jobs(corpus_of_three_sources(), (), Path("waves"), Path("cache"), config, shared) == []


def test_the_last_goes_on_from_one_that_left_a_part_out() -> None:
    corpus = corpus_of_three_sources()

    def last(*overrides: str) -> Path | None:
        config = config_with(*overrides)
        return distilled_jobs(corpus, (), Path("waves"), Path("cache"), config, SHARED)[-1].start

    assert last() == distilled_jobs(corpus, (), Path("waves"), Path("cache"), config_with(), SHARED)[1].folder
    assert last("gate.warm_start=false") is None


@pytest.mark.parametrize(
    ("override", "changes"),
    [
        ("distilled.loso_epochs=3", True),
        ("distilled.mix_probability=0.1", True),
        ("encoder.mix_snr_db=[0, 20]", True),
        ("gate.width=16", True),
        ("encoder.class_loss=0.5", True),
        ("gate.epochs=3", False),
        ("encoder.epochs=3", False),
        ("encoder.mix_probability=0.5", False),
        ("encoder.width=16", False),
    ],
)
def test_it_is_trained_anew_only_where_its_own_recipe_changes(override: str, changes: bool) -> None:
    corpus = corpus_of_three_sources()

    def folder(config: TrainingConfig) -> Path:
        return distilled_jobs(corpus, (), Path("waves"), Path("cache"), config, SHARED)[0].folder

    assert (folder(config_with()) != folder(config_with(override))) is changes


@pytest.mark.filterwarnings("ignore:Initializing zero-element")  # of six clips none has a class of 20
def test_an_encoder_goes_on_from_given_weights(tiny: tuple[Corpus, Waves, Teacher], tmp_path: Path) -> None:
    corpus, waves, teacher = tiny
    encoder = EncoderConfig(width=4, embedding_size=8, epochs=1, batch_size=8, learning_rate=1e-9)
    config = TrainingConfig(encoder=encoder, threads=1)
    other = build_encoder(config.model_copy(update={"seed": 99}), teacher)
    save_weights(other, tmp_path / "weights.npz")
    rows = np.arange(len(corpus.recordings))
    begun = dict(other.named_parameters())
    went_on = train_encoder(corpus, waves, teacher, rows, [], config, start=tmp_path / "weights.npz")
    anew = train_encoder(corpus, waves, teacher, rows, [], config)
    for name, weight in went_on.named_parameters():
        torch.testing.assert_close(weight, begun[name], atol=1e-6, rtol=0)
    assert not torch.allclose(anew.project.weight, begun["project.weight"], atol=1e-3)


def one_sound_a_clip(events: tuple[str, ...]) -> tuple[Corpus, Waves]:
    """Clips of 2 s; the k-th is a sine of 500 (k + 1) Hz."""
    time_s = np.arange(32_000) / 16_000
    sines = [8_000 * np.sin(2 * np.pi * 500 * (k + 1) * time_s) for k in range(len(events))]
    samples = np.concatenate(sines).astype(np.int16)
    starts = np.arange(len(events) + 1, dtype=np.int64) * 32_000
    recordings = tuple(recording(str(i), event) for i, event in enumerate(events))
    return Corpus(root=None, recordings=recordings), Waves(samples, samples, starts, "")  # type: ignore[arg-type]


def heard_by_nobody(n_recordings: int) -> Teacher:
    rows, none = np.zeros(0, np.int64), np.zeros(0)
    covered = np.zeros(n_recordings, bool)
    shape = np.zeros((0, 2), np.float16)
    return Teacher(("Cough", "Speech"), rows, none, shape, rows, none, shape, "", covered)


def test_what_lies_under_a_window_is_never_a_cough_nor_easily_taken_for_one() -> None:
    events = ("cough", "speech", "sneeze", "laughter", "music", "unlabelled")
    corpus, waves = one_sound_a_clip(events)
    rows = np.arange(len(events))
    windows = EncoderWindows(corpus, waves, heard_by_nobody(len(events)), rows, TrainingConfig())
    spectra = np.abs(np.fft.rfft(windows.crowds(200).numpy()))  # 1 Hz a bin
    heard = spectra[:, 500 * (rows + 1)] > 1_000
    assert set(np.flatnonzero(heard.any(axis=0))) == {events.index("speech"), events.index("music")}
    power = np.square(spectra).sum(axis=1)
    assert power.max() > 4 * power.min()  # some are crowds


def test_nothing_lies_under_windows_where_nothing_may() -> None:
    corpus, waves = one_sound_a_clip(("cough", "sneeze"))
    windows = EncoderWindows(corpus, waves, heard_by_nobody(2), np.arange(2), TrainingConfig())
    assert not windows.crowds(3).any()
