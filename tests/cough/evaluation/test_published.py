"""What two public sets say without any sound (the protocol is in ``cough.evaluation.published``)."""

from __future__ import annotations

import pytest

from cough.evaluation.published import coswara, coughvid
from training.corpus import corpus_path


@pytest.mark.corpus
def test_coughvid_without_audio() -> None:
    figures = coughvid(corpus_path() / "metadata" / "coughvid_v1_metadata.csv")
    assert figures["age, sex, symptoms"] == pytest.approx(0.67, abs=0.02)
    assert figures["date and place"] == pytest.approx(0.81, abs=0.02)


@pytest.mark.corpus
def test_coswara_without_audio() -> None:
    figures = coswara(corpus_path() / "metadata" / "coswara_metadata.csv")
    assert figures["symptoms"] == pytest.approx(0.88, abs=0.02)
    assert figures["date"] == pytest.approx(0.93, abs=0.02)
