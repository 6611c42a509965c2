"""Embeddings and answers: independence of neighbours, abstention, conformal sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cough.audio import Waveform
from cough.bundle import Bundle
from cough.diagnosis import Diagnosis, prediction_set
from cough.encoder import Encoder, cut_window
from cough.gate import CoughEvent
from cough.quality import assess


def event(start_s: float, end_s: float) -> CoughEvent:
    return CoughEvent(start_s=start_s, end_s=end_s, score=0.9)


def test_embeddings_have_unit_length_and_know_no_neighbours(bundle: Bundle, bout: np.ndarray) -> None:
    encoder = Encoder(bundle)
    events = [event(0.5, 0.9), event(2.6, 3.0), event(4.5, 5.0)]
    together = encoder.embed(bout, events)
    assert together.shape == (3, bundle.spec.encoder.embedding_size)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    for one, row in zip(events, together, strict=True):
        np.testing.assert_array_equal(encoder.embed(bout, [one])[0], row)
    assert np.abs(together[0] - together[1]).max() > 1e-3
    assert encoder.embed(bout, []).shape == (0, bundle.spec.encoder.embedding_size)


def test_windows_are_centred_and_padded_with_silence() -> None:
    samples = np.arange(1, 16_001, dtype=np.float32)
    window = cut_window(samples, event(0.0, 0.2), 8_000)
    assert (window[:2_400] == 0).all()
    assert window[2_400] == 1
    inside = cut_window(samples, event(0.4, 0.6), 8_000)
    np.testing.assert_array_equal(inside, samples[4_000:12_000])


def test_level_does_not_reach_the_embedding(bundle: Bundle, bout: np.ndarray) -> None:
    encoder = Encoder(bundle)
    loud = encoder.embed(bout, [event(0.5, 0.9)])
    quiet = encoder.embed(bout * np.float32(0.1), [event(0.5, 0.9)])
    np.testing.assert_allclose(loud, quiet, atol=0.02)


def test_every_answer_stands_beside_its_evidence(bundle: Bundle, bout: np.ndarray) -> None:
    embeddings = Encoder(bundle).embed(bout, [event(0.5, 0.9)])
    quality = assess(Waveform.from_samples(bout, rate_hz=16_000))
    for answer in Diagnosis(bundle).answer(embeddings, quality):
        assert 0 <= answer.probability <= 1
        assert 0 < answer.evidence.level_only_auroc < 1
        assert answer.evidence.auroc_95[0] <= answer.evidence.auroc <= answer.evidence.auroc_95[1]
        assert answer.abstained == (answer.answer == "inconclusive") == bool(answer.abstained_because)
        if quality.band == "wide":
            assert "outside_domain" in answer.abstained_because


def test_no_embedding_no_answer(bundle: Bundle, bout: np.ndarray) -> None:
    quality = assess(Waveform.from_samples(bout, rate_hz=16_000))
    with pytest.raises(ValueError, match="no embedding"):
        Diagnosis(bundle).answer(np.zeros((0, bundle.spec.encoder.embedding_size), np.float32), quality)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_set_holds_what_is_close_enough(probability: float, negative: float, positive: float) -> None:
    chosen = prediction_set(probability, (negative, positive))
    assert (0 in chosen) == (probability <= negative)
    assert (1 in chosen) == (1 - probability <= positive)
