"""From coughs to guarded answers: every voter of a bundle is asked, ``cough.mediator`` decides.

A new condition is one more ``ConditionSpec`` and its ONNX files in the bundle: no code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime as ort

from cough import errors
from cough.audio import SAMPLE_RATE_HZ, Float32
from cough.bundle import Bundle, BundleSpec, ConditionSpec, VoterSpec
from cough.encoder import cut_window
from cough.gate import CoughEvent
from cough.mediator import ConditionAnswer, Float64, decide, geometric_mean
from cough.quality import QualityReport
from cough.symptoms import SymptomAnswers
from cough.symptoms import answer as answer_symptoms

WHICH_COUGHS = ("hop_s", "score_frames", "threshold", "exit_threshold", "min_event_s", "merge_gap_s")
"""Of the gate's settings those that decide which coughs it gives, and so what voters hear."""


class Voter:
    """One model of one condition. Safe to share between threads.

    Raises
    ------
    BundleIncompatible : the graph does not take what the bundle says, or gives another shape
    """

    def __init__(self, bundle: Bundle, spec: VoterSpec, *, n_classes: int) -> None:
        self.spec = spec
        self._session: ort.InferenceSession = bundle.session(spec.file)
        self._input = self._session.get_inputs()[0].name
        self.window = round((spec.window_s or 0) * SAMPLE_RATE_HZ)
        size = bundle.spec.encoder.embedding_size if spec.hears == "embeddings" else self.window
        # Recordings come in any length.
        sizes = (size,) if size else (SAMPLE_RATE_HZ, round(2.4 * SAMPLE_RATE_HZ))
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, max(sizes)).astype(np.float32)
        probes = [probe for n in sizes for probe in (np.zeros((1, n), np.float32), noise[None, :n])]
        try:
            given = [self._run(probe) for probe in probes]
        except errors.BundleIncompatible:
            raise
        except Exception as error:  # ONNX Runtime raises half a dozen unrelated types
            raise errors.BundleIncompatible(f"{spec.file} does not take {spec.hears}.") from error
        shape = given[0].shape
        if shape != (1, n_classes):
            raise errors.BundleIncompatible(
                f"{spec.file} gives shape {shape}, not (1, {n_classes}): a probability for each class."
            )
        if not all(abs(float(p.sum()) - 1) < 1e-3 and p.min() >= 0 for p in given):  # NaN does neither
            raise errors.BundleIncompatible(f"{spec.file} gives no probabilities that add up to 1.")

    def vote(self, samples: Float32, events: Sequence[CoughEvent], embeddings: Float32) -> Float64:
        """(n_classes,) probabilities for one recording."""
        if self.spec.hears == "embeddings":
            heard = embeddings.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
            return geometric_mean(self._run(heard))
        if self.spec.hears == "recording":
            return geometric_mean(self._run(samples[None]))
        # One at a time, so that an answer never depends on what it was batched with.
        rows = [self._run(cut_window(samples, event, self.window)[None])[0] for event in events]
        return geometric_mean(rows)

    def _run(self, inputs: Float32) -> Float32:
        out: Float32 = self._session.run(None, {self._input: inputs})[0]
        if not np.isfinite(out).all():
            raise errors.BundleIncompatible(f"{self.spec.file} gives something that is no number.")
        return out


def models_of(bundle: BundleSpec, voters: Mapping[str, str]) -> dict[str, str]:
    """All that scores come from, with its sha256: gate, encoder, which coughs the gate gives, and voters.

    Parameters
    ----------
    voters : sha256 by file
    """
    settings = json.dumps({name: getattr(bundle.gate, name) for name in WHICH_COUGHS}, sort_keys=True)
    return {
        **{name: bundle.files[name] for name in (bundle.gate.file, bundle.encoder.file)},
        "gate settings": hashlib.sha256(settings.encode()).hexdigest(),
        **voters,
    }


class Diagnosis:
    """All conditions of a bundle. Safe to share between threads.

    Raises
    ------
    BundleIncompatible : a voter's graph does not fit
    """

    def __init__(self, bundle: Bundle) -> None:
        self.conditions: list[tuple[ConditionSpec, tuple[Voter, ...]]] = [
            (spec, tuple(Voter(bundle, voter, n_classes=len(spec.classes)) for voter in spec.voters))
            for spec in bundle.spec.conditions
        ]
        self._changed = {
            spec.name
            for spec in bundle.spec.conditions
            if spec.mediator.calibrated_with
            and spec.mediator.calibrated_with
            != models_of(bundle.spec, {v.file: bundle.spec.files[v.file] for v in spec.voters})
        }

    def answer(
        self,
        samples: Float32,
        events: Sequence[CoughEvent],
        embeddings: Float32,
        quality: QualityReport,
        *,
        symptoms: SymptomAnswers | None = None,
        prevalence: float | None = None,
    ) -> tuple[ConditionAnswer, ...]:
        """Answer every condition of the bundle.

        Parameters
        ----------
        samples : (n_samples,) float32 mono 16 kHz
        events : the coughs in it, at least one
        embeddings : (n_events, embedding_size) float32
        quality : says which domain the recording belongs to
        symptoms : what the person says; answered beside the sound, never mixed into it
        prevalence : share of people like this one who have the condition, between 0 and 1
        """
        if not len(events) or len(events) != len(embeddings):
            raise ValueError("each cough needs its embedding; a recording without coughs has no answer")
        answers = []
        for spec, voters in self.conditions:
            said = None
            if spec.symptoms is not None and symptoms is not None:
                said = answer_symptoms(spec.symptoms, symptoms, prevalence=prevalence)
            votes = {voter.spec.name: voter.vote(samples, events, embeddings) for voter in voters}
            answers.append(
                decide(
                    spec,
                    votes,
                    band=quality.band,
                    prevalence=prevalence,
                    symptoms=said,
                    models_changed=spec.name in self._changed,
                )
            )
        return tuple(answers)
