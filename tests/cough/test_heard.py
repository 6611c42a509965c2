"""What a bundle was trained on is known again, under any name; anything else is not."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cough import errors
from cough.audio import Waveform, decode
from cough.bundle import DEFAULT_BUNDLE, Bundle, load_bundle
from cough.heard import HEARD, fingerprint, read_heard, write_heard
from cough.screener import Screener
from training.corpus import Corpus


def listing(folder: Path, content: bytes) -> Bundle:
    """The shipped bundle as if this was what it was trained on."""
    shutil.copytree(DEFAULT_BUNDLE, folder)
    (folder / HEARD).write_bytes(content)
    table = json.loads((folder / "bundle.json").read_text())
    table["files"][HEARD] = hashlib.sha256(content).hexdigest()
    table["training"]["heard"] = HEARD
    (folder / "bundle.json").write_text(json.dumps(table))
    return load_bundle(folder)


def test_a_recording_is_known_again(tmp_path: Path, bout: np.ndarray) -> None:
    screener = Screener(listing(tmp_path / "b", write_heard([fingerprint(bout)])))
    known = Waveform.from_samples(bout, rate_hz=16_000)
    assert screener.was_trained_on(known) is True
    # Other last bits, as another processor's decoder has.
    last_bits = np.random.default_rng(0).uniform(-1e-7, 1e-7, len(bout)).astype(np.float32)
    assert screener.was_trained_on(Waveform.from_samples(bout + last_bits, rate_hz=16_000)) is True
    assert screener.was_trained_on(Waveform.from_samples(0.9 * bout, rate_hz=16_000)) is False


def test_a_bundle_that_does_not_say_knows_nothing(tmp_path: Path, bout: np.ndarray) -> None:
    bundle = listing(tmp_path / "b", write_heard([]))
    spec = bundle.spec.model_copy(update={"training": bundle.spec.training.model_copy(update={"heard": ""})})
    silent = Bundle(spec, bundle.sha256, bundle.contents)
    assert read_heard(silent) is None
    assert Screener(silent).was_trained_on(Waveform.from_samples(bout, rate_hz=16_000)) is None


@pytest.mark.parametrize("content", [b"no", b"{}", b"[1]"])
def test_a_broken_list_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(errors.BundleIncompatible):
        read_heard(listing(tmp_path / "b", content))


def test_silence_is_nobodys(tmp_path: Path) -> None:
    silence = np.zeros(16_000, np.float32)
    screener = Screener(listing(tmp_path / "b", write_heard([fingerprint(silence)])))
    assert screener.was_trained_on(Waveform.from_samples(silence, rate_hz=16_000)) is False


def test_recordings_of_one_length_are_told_apart() -> None:
    random = np.random.default_rng(1)
    assert len({fingerprint(random.standard_normal(3_200).astype(np.float32)) for _ in range(200)}) == 200


@given(st.lists(st.binary(min_size=2, max_size=64)))
def test_the_list_is_the_same_in_any_order(sounds: list[bytes]) -> None:
    prints = [fingerprint(np.frombuffer(s[: len(s) // 2 * 2], "<i2") / np.float32(32768)) for s in sounds]
    assert all(
        len(one) == 16 or not np.frombuffer(s[: len(s) // 2 * 2], "<i2").any()
        for one, s in zip(prints, sounds, strict=True)
    )
    assert write_heard(prints) == write_heard([*reversed(prints), *prints])


@pytest.mark.corpus
def test_the_shipped_bundle_knows_its_training_folds_and_no_other(screener: Screener, corpus: Corpus) -> None:
    for fold, known in ((1, True), (5, False)):
        rows = corpus.where(lambda r, fold=fold: r.fold == fold and r.is_clip)[:40]  # type: ignore[misc]
        for row in rows:
            waveform = decode(corpus.root / corpus.recordings[row].path)
            audible = bool(waveform.samples.any())  # silence is nobody's
            assert screener.was_trained_on(waveform) is (known and audible)
