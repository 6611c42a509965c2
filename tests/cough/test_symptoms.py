from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from typer.testing import CliRunner

from cough.bundle import Bundle
from cough.cli import app
from cough.screener import Screener
from cough.symptoms import SymptomAnswers, SymptomSpec, answer
from tests.conftest import EXAMPLES

YES_NO = [name for name in SymptomAnswers.model_fields if name not in ("age", "sex")]
ANSWERS = st.builds(
    SymptomAnswers,
    age=st.none() | st.integers(0, 120),
    sex=st.sampled_from([None, "female", "male", "other"]),
    **{name: st.none() | st.booleans() for name in YES_NO},
)


@pytest.fixture(scope="session")
def spec(bundle: Bundle) -> SymptomSpec:
    found = bundle.spec.conditions[0].symptoms
    assert found is not None
    return found


def log_odds(p: float) -> float:
    return math.log(p / (1 - p))


@given(said=ANSWERS, prevalence=st.floats(0.001, 0.9))
def test_contributions_and_prevalence_add_up_to_the_probability(
    spec: SymptomSpec, said: SymptomAnswers, prevalence: float
) -> None:
    result = answer(spec, said, prevalence=prevalence)
    if result is None:
        assert not set(said.values())
        return
    # What the answer holds is enough to add it up; a caller of the service has nothing else.
    expected = result.baseline + sum(result.contributions.values())
    assert log_odds(result.probability) == pytest.approx(expected, abs=1e-6)
    for value in (result.positive_predictive_value, result.negative_predictive_value):
        assert value is None or 0 <= value <= 1
    assert result.called == (answer(spec, said).probability >= 0.5)  # type: ignore[union-attr]


def test_predictive_values_are_of_those_who_answer_the_whole_list(spec: SymptomSpec) -> None:
    whole = dict.fromkeys(YES_NO, False)
    said = answer(spec, SymptomAnswers(**whole), prevalence=0.05)
    assert said is not None
    assert not said.called
    e = spec.evidence
    called = e.sensitivity * 0.05 + (1 - e.specificity) * 0.95
    assert said.positive_predictive_value == pytest.approx(e.sensitivity * 0.05 / called)
    assert said.negative_predictive_value == pytest.approx(e.specificity * 0.95 / (1 - called))
    assert e.sensitivity_95 is not None and said.positive_predictive_range is not None
    low, high = said.positive_predictive_range
    assert low < said.positive_predictive_value < high
    # Sensitivity and specificity are not those of one answer alone.
    part = answer(spec, SymptomAnswers(age=40, fever=True), prevalence=0.05)
    assert part is not None
    assert part.positive_predictive_value is part.negative_predictive_value is None


def test_an_illness_of_the_lung_is_no_sign_of_health(spec: SymptomSpec) -> None:
    """People who were sorted by such an illness are not among the negatives (``training.symptoms``)."""
    ill = SymptomAnswers(fever=True, cough=True, other_lung_disease=True)
    without = answer(spec, ill.model_copy(update={"other_lung_disease": None}))
    with_it = answer(spec, ill)
    assert without is not None
    assert with_it is not None
    assert with_it.probability > without.probability - 0.1
    assert abs(spec.weights["asthma"]) < 1


@given(said=ANSWERS, name=st.sampled_from(YES_NO))
def test_an_answer_left_out_changes_no_other_share(
    spec: SymptomSpec, said: SymptomAnswers, name: str
) -> None:
    """Missing is missing: the others' contributions stay, and the probability moves by its own alone."""
    full = said.model_copy(update={name: True})
    without = said.model_copy(update={name: None})
    a, b = answer(spec, full), answer(spec, without)
    assert a is not None
    shares = {k: v for k, v in a.contributions.items() if k != name}
    assert shares == (b.contributions if b else {})


def test_nothing_said_is_no_answer(spec: SymptomSpec) -> None:
    assert answer(spec, SymptomAnswers()) is None
    assert answer(spec, SymptomAnswers(sex="other")) is None


def test_dates_and_places_are_no_features(spec: SymptomSpec) -> None:
    assert set(spec.weights) == set(SymptomAnswers.model_fields)
    with pytest.raises(ValidationError):
        SymptomAnswers.model_validate({"date": "2020-04-01"})


def test_a_prevalence_lies_between_0_and_1(spec: SymptomSpec) -> None:
    for wrong in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="prevalence"):
            answer(spec, SymptomAnswers(fever=True), prevalence=wrong)


def test_the_sound_is_answered_as_before(screener: Screener) -> None:
    path = EXAMPLES / "synthetic_cough.m4a"
    (plain,) = screener.screen(path).conditions
    (said,) = screener.screen(path, symptoms=SymptomAnswers(fever=True, age=50), prevalence=0.1).conditions
    assert plain.symptoms is None
    beside = dict.fromkeys(("symptoms", "fused", "predictive_values"))
    assert said.model_copy(update=beside) == plain
    assert said.symptoms is not None
    assert said.symptoms.prevalence == 0.1


def test_what_was_turned_away_has_no_answer_at_all(screener: Screener) -> None:
    result = screener.screen(EXAMPLES / "synthetic_noise.ogg", symptoms=SymptomAnswers(fever=True))
    assert result.conditions == ()


@pytest.mark.parametrize("wrong", ["fever", "fever=maybe", "age=old", "age=200", "sex=F", "headache=yes"])
def test_the_command_refuses_what_is_no_answer(wrong: str) -> None:
    result = CliRunner().invoke(app, ["screen", str(EXAMPLES / "synthetic_cough.m4a"), "--symptom", wrong])
    assert result.exit_code == 2


def test_the_command_refuses_two_answers_to_one_question() -> None:
    said = ["--symptom", "fever=yes", "--symptom", "fever=no"]
    result = CliRunner().invoke(app, ["screen", str(EXAMPLES / "synthetic_cough.m4a"), *said])
    assert result.exit_code == 2
    assert "fever is said twice" in result.stderr


def test_the_command_says_each_share() -> None:
    arguments = [
        "--symptom",
        "fever=yes",
        "--symptom",
        "age=44",
        "--symptom",
        "sex=female",
        "--prevalence",
        "0.05",
    ]
    result = CliRunner().invoke(app, ["screen", str(EXAMPLES / "synthetic_cough.m4a"), *arguments])
    assert result.exit_code == 0
    assert "from the answers alone" in result.stdout
    assert all(name in result.stdout for name in ("fever +", "age ", "sex +"))
