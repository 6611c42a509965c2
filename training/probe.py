"""How much an embedding knows: linear probes, always beside the teacher's own embedding."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.progress import track
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cough.audio import SAMPLE_RATE_HZ
from cough.encoder import Encoder
from cough.gate import CoughEvent
from training.corpus import Corpus, Teacher
from training.waves import Waves


def esc50_probe(
    corpus: Corpus, waves: Waves, teacher: Teacher, encoder: Encoder, *, test_fold: int
) -> dict[str, Any]:
    """50-way accuracy on one of ESC-50's own folds of a linear layer trained on the other four.

    A clip is the mean of its one-second windows, for the encoder and for mn04 alike
    (Piczak 2015, "ESC: Dataset for Environmental Sound Classification").
    """
    rows = corpus.where(lambda r: r.source == "esc50")
    classes = np.array([corpus.recordings[r].sublabel for r in rows])
    folds = np.array([corpus.recordings[r].fold for r in rows])
    ours = np.array(
        [_clip_embedding(waves.samples(int(r)), encoder) for r in track(rows, description="probing")]
    )
    theirs = np.array(
        [teacher.embeddings[teacher.embedding_rows == r].astype(np.float32).mean(axis=0) for r in rows]
    )
    test = folds == test_fold
    return {
        "classes": len(set(classes)),
        "train_clips": int((~test).sum()),
        "test_clips": int(test.sum()),
        "accuracy": _accuracy(ours, classes, test),
        "mn04_accuracy": _accuracy(theirs, classes, test),
    }


def _clip_embedding(samples: np.ndarray, encoder: Encoder) -> np.ndarray:
    seconds = max(1, len(samples) // SAMPLE_RATE_HZ)
    windows = [CoughEvent(start_s=float(s), end_s=float(s + 1), score=0.0) for s in range(seconds)]
    return np.asarray(encoder.embed(samples, windows).mean(axis=0))


def _accuracy(features: np.ndarray, classes: np.ndarray, test: np.ndarray) -> float:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=500))
    model.fit(features[~test], classes[~test])
    return round(float((model.predict(features[test]) == classes[test]).mean()), 4)
