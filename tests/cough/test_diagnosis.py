"""Embeddings and answers: independence of neighbours, abstention, conformal sets."""

from __future__ import annotations

import numpy as np
import pytest

from cough.audio import Waveform
from cough.bundle import Bundle
from cough.diagnosis import Diagnosis
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


def test_every_answer_stands_beside_its_voters_and_evidence(bundle: Bundle, bout: np.ndarray) -> None:
    events = [event(0.5, 0.9), event(2.6, 3.0)]
    embeddings = Encoder(bundle).embed(bout, events)
    quality = assess(Waveform.from_samples(bout, rate_hz=16_000))
    for spec, answer in zip(
        bundle.spec.conditions, Diagnosis(bundle).answer(bout, events, embeddings, quality), strict=True
    ):
        assert [v.name for v in answer.voters] == [v.name for v in spec.voters]
        for voter in answer.voters:
            assert sum(voter.probabilities.values()) == pytest.approx(1)
            assert voter.evidence is not None
        assert sum(answer.probabilities.values()) == pytest.approx(1)
        assert answer.probability == pytest.approx(1 - answer.probabilities[spec.classes[0]])
        assert 0 < answer.evidence.level_only_auroc < 1
        assert answer.evidence.auroc_95[0] <= answer.evidence.auroc <= answer.evidence.auroc_95[1]
        assert answer.abstained == (answer.answer == "inconclusive") == bool(answer.abstained_because)
        if quality.band not in spec.bands:
            assert "outside_domain" in answer.abstained_because


def test_no_embedding_no_answer(bundle: Bundle, bout: np.ndarray) -> None:
    quality = assess(Waveform.from_samples(bout, rate_hz=16_000))
    with pytest.raises(ValueError, match="embedding"):
        Diagnosis(bundle).answer(
            bout, [], np.zeros((0, bundle.spec.encoder.embedding_size), np.float32), quality
        )
