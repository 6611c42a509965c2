"""The rules: pooling, sets with coverage, unanimity, several recordings, symptoms beside the sound."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cough.bundle import Bundle, ConditionSpec, MediatorSpec
from cough.mediator import combine, decide, fuse, geometric_mean, pool, prediction_set
from cough.symptoms import SymptomAnswers, answer

probability = st.floats(0.001, 0.999)


@pytest.fixture
def spec(bundle: Bundle) -> ConditionSpec:
    """The shipped condition with two voters, allowed to answer."""
    shipped = bundle.spec.conditions[0]
    mediator = MediatorSpec(
        slope=1.0, shifts=(0.0, 0.0), conformal_coverage=0.9, conformal_quantiles=(0.3, 0.3), chosen="test"
    )
    changes = {"voters": shipped.voters[:2], "mediator": mediator, "answers": True, "base_rate": 0.5}
    return shipped.model_copy(update=changes)


def votes(spec: ConditionSpec, *positive: float) -> dict[str, np.ndarray]:
    return {v.name: np.array([1 - p, p]) for v, p in zip(spec.voters, positive, strict=True)}


@given(st.lists(probability, min_size=2, max_size=2), st.floats(0, 1), st.floats(0, 1))
def test_set_holds_what_is_close_enough(p: list[float], negative: float, positive: float) -> None:
    chosen = prediction_set(p, (negative, positive))
    assert (0 in chosen) == (1 - p[0] <= negative)
    assert (1 in chosen) == (1 - p[1] <= positive)


@given(st.lists(probability, min_size=1, max_size=5))
def test_pooling_is_the_mean_log_odds_and_knows_no_order(ps: list[float]) -> None:
    rows = [np.array([1 - p, p]) for p in ps]
    spec = MediatorSpec(
        slope=1.0, shifts=(0.0, 0.0), conformal_coverage=0.9, conformal_quantiles=(1.0, 1.0), chosen="test"
    )
    pooled = pool(spec, rows)
    assert pooled.sum() == pytest.approx(1)
    assert math.log(pooled[1] / pooled[0]) == pytest.approx(
        float(np.mean([math.log(p / (1 - p)) for p in ps])), abs=1e-6
    )
    np.testing.assert_allclose(pooled, pool(spec, rows[::-1]))
    np.testing.assert_allclose(pooled, geometric_mean(rows), atol=1e-9)


@pytest.mark.parametrize(
    ("said", "band", "answered", "why"),
    [
        ((0.9, 0.8), "telephone", "positive", ()),
        ((0.1, 0.2), "telephone", "negative", ()),
        ((0.9, 0.8), "wide", "inconclusive", ("outside_domain",)),
        ((0.9, 0.8), None, "inconclusive", ("outside_domain",)),
        ((0.99, 0.4), "telephone", "inconclusive", ("voters_disagree",)),
        ((0.45, 0.55), "telephone", "inconclusive", ("unlike_any_class", "voters_disagree")),
    ],
)
def test_who_gets_an_answer(
    spec: ConditionSpec, said: tuple[float, float], band: str, answered: str, why: tuple[str, ...]
) -> None:
    given_answer = decide(spec, votes(spec, *said), band=band)  # type: ignore[arg-type]
    assert (given_answer.answer, given_answer.abstained_because) == (answered, why)
    assert [v.probabilities["positive"] for v in given_answer.voters] == pytest.approx(said)


def test_without_evidence_there_is_never_an_answer(spec: ConditionSpec) -> None:
    mute = spec.model_copy(update={"answers": False})
    for p in (0.001, 0.5, 0.999):
        found = decide(mute, votes(mute, p, p), band="telephone")
        assert found.abstained
        assert "insufficient_evidence" in found.abstained_because


def test_two_possible_answers_are_none(spec: ConditionSpec) -> None:
    wide = spec.mediator.model_copy(update={"conformal_quantiles": (0.9, 0.9)})
    found = decide(spec.model_copy(update={"mediator": wide}), votes(spec, 0.6, 0.7), band="telephone")
    assert found.prediction_set == ("negative", "positive")
    assert found.abstained_because == ("uncertain",)


def test_recordings_of_one_person(spec: ConditionSpec) -> None:
    def one(p: float, band: str = "telephone") -> object:
        return decide(spec, votes(spec, p, p), band=band)  # type: ignore[arg-type]

    agreed = combine(spec, [one(0.8), one(0.9)])  # type: ignore[list-item]
    assert agreed.answer == "positive"
    assert 0.8 < agreed.probability < 0.9
    split = combine(spec, [one(0.8), one(0.1)])  # type: ignore[list-item]
    assert split.abstained_because == ("recordings_disagree",)
    assert set(split.prediction_set) == {"negative", "positive"}
    assert combine(spec, [one(0.8), one(0.1, "wide")]).answer == "positive"  # type: ignore[list-item]
    outside = combine(spec, [one(0.8, "wide"), one(0.9, "wide")])  # type: ignore[list-item]
    assert outside.abstained_because == ("outside_domain",)
    alone = one(0.77)
    assert combine(spec, [alone]).prediction_set == alone.prediction_set  # type: ignore[list-item,attr-defined]
    with pytest.raises(ValueError, match="no recording"):
        combine(spec, [])


def test_a_person_gets_no_answer_that_voters_contradict(spec: ConditionSpec) -> None:
    """An empty set adds nothing to a union, so that one recording decided against three others."""
    sure = spec.model_copy(
        update={"mediator": spec.mediator.model_copy(update={"conformal_quantiles": (0.2, 0.2)})}
    )
    heard = [decide(sure, votes(sure, p, p), band="telephone") for p in (0.15, 0.78, 0.78, 0.78)]
    assert [one.prediction_set for one in heard] == [("negative",), (), (), ()]
    person = combine(sure, heard)
    assert person.abstained
    assert person.abstained_because == ("unlike_any_class", "voters_disagree")


@given(st.integers(0, 10_000))
def test_the_union_covers_at_least_as_often_as_one_recording(bundle: Bundle, seed: int) -> None:
    shipped = bundle.spec.conditions[0].model_copy(update={"answers": True})
    random = np.random.default_rng(seed)
    answers = [
        decide(
            shipped,
            {v.name: np.array([1 - p, p]) for v, p in zip(shipped.voters, random.uniform(0.01, 0.99, 3))},  # noqa: B905
            band="telephone",
        )
        for _ in range(3)
    ]
    union = set(combine(shipped, answers).prediction_set)
    assert all(set(a.prediction_set) <= union for a in answers)


def test_few_test_people_leave_predictive_values_open(spec: ConditionSpec) -> None:
    measured = {
        "sensitivity": 0.9,
        "sensitivity_95": (0.8, 0.95),
        "specificity": 0.7,
        "specificity_95": (0.6, 0.8),
    }
    judged = spec.model_copy(update={"evidence": spec.evidence.model_copy(update=measured)})
    said = decide(judged, votes(judged, 0.9, 0.8), band="telephone", prevalence=0.1).predictive_values
    assert said is not None
    assert said.positive_range == pytest.approx((0.08 / (0.08 + 0.36), 0.095 / (0.095 + 0.18)))
    assert said.negative_range == pytest.approx((0.54 / (0.54 + 0.02), 0.72 / (0.72 + 0.005)))


def test_prevalence_moves_the_predictive_values_and_no_answer(spec: ConditionSpec) -> None:
    measured = {"sensitivity": 0.9, "sensitivity_95": None, "specificity": 0.7, "specificity_95": None}
    evidence = spec.evidence.model_copy(update=measured)
    judged = spec.model_copy(update={"evidence": evidence})
    rare = decide(judged, votes(judged, 0.9, 0.8), band="telephone", prevalence=0.01)
    common = decide(judged, votes(judged, 0.9, 0.8), band="telephone", prevalence=0.5)
    assert rare.predictive_values is not None
    assert common.predictive_values is not None
    assert rare.predictive_values.positive == pytest.approx(0.9 * 0.01 / (0.9 * 0.01 + 0.3 * 0.99))
    assert common.predictive_values.negative == pytest.approx(0.7 / (0.7 + 0.1))
    assert rare.predictive_values.positive_range is None
    assert rare.probability == common.probability
    assert decide(judged, votes(judged, 0.9, 0.8), band="telephone").predictive_values is None
    with pytest.raises(ValueError, match="prevalence"):
        decide(judged, votes(judged, 0.9, 0.8), band="telephone", prevalence=1.0)


def test_sound_and_symptoms_together(spec: ConditionSpec) -> None:
    assert spec.symptoms is not None
    said = answer(spec.symptoms, SymptomAnswers(loss_of_smell=True, age=30), prevalence=0.2)
    assert said is not None
    both = fuse(spec, 0.8, said)
    assert both is not None
    odds = said.probability / (1 - said.probability) * 0.8 / 0.2
    assert both.probability == pytest.approx(odds / (1 + odds))
    mute = fuse(spec.model_copy(update={"answers": False}), 0.8, said)
    assert mute is not None
    assert mute.probability == pytest.approx(said.probability)
    assert not mute.sound_counts
    assert fuse(spec, 0.8, None) is None


def test_a_set_by_these_quantiles_covers_as_promised() -> None:
    """Split-conformal sets over many draws of calibration and test people, three classes."""
    from training.voters import conformal_quantiles

    random = np.random.default_rng(0)
    covered: dict[int, list[float]] = {0: [], 1: [], 2: []}
    for _ in range(200):
        labels = random.integers(0, 3, 600)
        logits = random.standard_normal((600, 3)) + 1.3 * np.eye(3)[labels]
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        quantiles = conformal_quantiles(p[:300], labels[:300], np.arange(300), coverage=0.9)
        inside = [c in prediction_set(row.tolist(), quantiles) for row, c in zip(p[300:], labels[300:])]  # noqa: B905
        for c in covered:
            covered[c].append(float(np.mean(np.array(inside)[labels[300:] == c])))
    for values in covered.values():
        assert 0.89 < np.mean(values) < 0.925
