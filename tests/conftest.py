"""Shared fixtures. Everything runs on synthetic sound; tests marked ``corpus`` need real recordings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from cough.bundle import Bundle, load_bundle
from cough.screener import Screener
from training import synth
from training.corpus import Corpus, corpus_path

# Machines are noisy: how long an example takes is no property of what is tested.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

EXAMPLES = Path(__file__).resolve().parents[1] / "cough" / "examples"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs the corpus where it is absent, and say so."""
    if (corpus_path() / "recordings.csv").exists():
        return
    for item in items:
        if item.get_closest_marker("corpus"):
            item.add_marker(pytest.mark.skip(reason="no corpus at ../shared/corpus (or COUGH_CORPUS)"))


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    """The bundle that ships."""
    return load_bundle()


@pytest.fixture(scope="session")
def screener(bundle: Bundle) -> Screener:
    return Screener(bundle)


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    return Corpus.read()


@pytest.fixture(scope="session")
def bout() -> np.ndarray:
    """Six seconds with three synthetic coughs; float32 at 16 kHz."""
    return synth.cough_bout(np.random.default_rng(88)).astype(np.float32)


@pytest.fixture
def tone() -> Callable[..., np.ndarray]:
    """A sine: ``tone(seconds, hz=440, amplitude=0.5, rate_hz=16000)``."""

    def make(
        seconds: float, *, hz: float = 440.0, amplitude: float = 0.5, rate_hz: int = 16_000
    ) -> np.ndarray:
        time = np.arange(int(seconds * rate_hz)) / rate_hz
        return (amplitude * np.sin(2 * np.pi * hz * time)).astype(np.float32)

    return make
