from __future__ import annotations

import pytest

from cough.bundle import load_bundle
from training.corpus import corpus_path
from training.symptoms import train_symptoms


@pytest.mark.corpus
def test_the_shipped_symptom_model_is_remade_from_the_tables() -> None:
    made = train_symptoms(corpus_path() / "metadata")
    shipped = load_bundle().spec.conditions[0].symptoms
    assert shipped is not None
    assert made.weights == pytest.approx(shipped.weights, abs=1e-4)
    assert made.evidence.auroc == pytest.approx(shipped.evidence.auroc, abs=1e-3)
    assert made.evidence.auroc > 0.87
