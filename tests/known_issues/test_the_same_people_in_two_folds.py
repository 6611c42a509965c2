"""ghchen participants p1-p4 are groups 1-4 again, in other folds: test coughs had been trained on."""

from __future__ import annotations

import pytest

from training.config import TrainingConfig
from training.corpus import TWIN_GROUPS, Corpus
from training.parts import usable


@pytest.mark.corpus
def test_twins_are_neither_trained_nor_tested(corpus: Corpus) -> None:
    assert sum(r.group_id in TWIN_GROUPS for r in corpus.recordings) == 32
    rows = usable(corpus, TrainingConfig())
    assert not TWIN_GROUPS & {corpus.recordings[r].group_id for r in rows}
    assert not any(r.is_clip for r in corpus.recordings if r.group_id in TWIN_GROUPS)
