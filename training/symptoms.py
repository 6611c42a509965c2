"""Train the symptom voter on Coswara's participant table; check it on COUGHVID's flags.

    python -m training.symptoms --bundle cough/models/default   # train, judge, write into the bundle

Coswara (Bhattacharya et al. 2023, CC BY 4.0): one row a participant. A blank is a box that was not
ticked, so a blank trains as "no", but only where the box was there: in the first months nearly nobody
ticked half of the list (of 1,051 people two loss of smell, none fatigue), and three of those people were
positive, so that "not asked" would have meant "healthy". Rows before August 2020 are left out; diarrhoea
counts as asked from its first tick. What was not asked, and a blank age or sex, trains as the average.
So that a person who answers a few questions is not judged as the average person who answered all, every
row is learnt from several times with random answers left out. Rows whose status is recovered or under
validation are left out, too, and so are the 87 people "without an identified respiratory illness": they
were sorted by having asthma, another lung disease or trouble breathing without an infection, so that these
would pass for a sign of health (39 of the 49 ticks of asthma among the negatives are theirs). People chose
to take part and to say that they were positive; the sets of healthy and ill were gathered at different
times, so part of what symptoms tell here is who was asked when.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.model_selection import StratifiedKFold

from cough import errors
from cough.bundle import DEFAULT_BUNDLE, MANIFEST, load_bundle
from cough.evaluation.metrics import auroc, expected_calibration_error
from cough.symptoms import SymptomEvidence, SymptomSpec
from training.card import write_card
from training.corpus import corpus_path
from training.evidence import at_one_half, measured, shares_of

SEED = 20_201
COSWARA_TABLE, COUGHVID_TABLE = "coswara_metadata.csv", "coughvid_v1_metadata.csv"
COSWARA = {
    "fever": "fever",
    "cough": "cough",
    "sore_throat": "st",
    "fatigue": "ftg",
    "loss_of_smell": "loss_of_smell",
    "muscle_pain": "mp",
    "diarrhoea": "diarrhoea",
    "breathing_difficulty": "bd",
    "cold": "cold",
    "asthma": "asthma",
    "other_lung_disease": "cld",
}
"""Our name -> the column."""
NEGATIVE = ("healthy", "no_resp_illness_exposed")
ASKED_FROM = "2020-08-01"
"""The first day from which the list is taken to be whole, but for ``ASKED_LATER``."""
ASKED_LATER = {"diarrhoea": "2020-10-31"}
"""The day of the first tick."""
PARTLY_ANSWERED = 8
"""How often a row is learnt from with answers left out, each time another share of them."""
CAVEAT = (
    "Self-selected participants, from August 2020 on, when the whole list was asked; healthy and ill people "
    "were gathered at different times, and the date "
    "alone tells the status in this table with an AUROC of 0.93."
)


def train_symptoms(metadata: Path) -> SymptomSpec:
    """The additive model, with its evidence.

    Parameters
    ----------
    metadata : folder with ``coswara_metadata.csv`` and ``coughvid_v1_metadata.csv``
    """
    features, labels = _coswara(metadata / COSWARA_TABLE)
    names = list(features)
    averages = features.mean()
    centred = (features - averages).fillna(0.0).to_numpy()
    partly = _some_left_out(centred, np.random.default_rng([SEED, 1]))
    probability, from_part = np.zeros(len(labels)), np.zeros(len(labels))
    for train, test in StratifiedKFold(5, shuffle=True, random_state=SEED).split(centred, labels):
        model = _fitted(centred[train], labels[train])
        probability[test], from_part[test] = model(centred[test]), model(partly[test])
    model = _fitted(centred, labels)
    weights = dict(zip(names, model.weights, strict=True))

    def figures(rows: np.ndarray) -> dict[str, float]:
        ill, p = labels[rows], probability[rows]
        return {"auroc": auroc(ill, p), **at_one_half(ill, p)}

    evidence = SymptomEvidence(
        test_set="Coswara participants, five folds, each scored by a model of the other four",
        n_people=len(labels),
        n_positive=int(labels.sum()),
        **measured(figures, np.arange(len(labels)), shares=shares_of(labels == 1)),
        partly_answered_calibration_error=round(expected_calibration_error(labels, from_part), 4),
        elsewhere=_on_coughvid(metadata / COUGHVID_TABLE, weights, averages),
        caveat=f"{CAVEAT} Asthma was ticked by {int(features['asthma'].sum())} of them, another lung disease "
        f"by {int(features['other_lung_disease'].sum())}: what these add is uncertain.",
    )
    return SymptomSpec(
        intercept=round(model.intercept, 6),
        weights={name: round(float(w), 6) for name, w in weights.items()},
        averages={name: round(float(averages[name]), 6) for name in names},
        trained_on=f"{len(labels)} Coswara participants ({int(labels.sum())} positive), CC BY 4.0",
        base_rate=round(float(labels.mean()), 6),
        evidence=evidence,
    )


@dataclass(frozen=True)
class _Additive:
    """Log-odds = intercept + rows @ weights."""

    intercept: float
    weights: np.ndarray

    def __call__(self, centred: np.ndarray) -> np.ndarray:
        """(n, n_answers) -> (n,) probabilities."""
        return np.asarray(expit(self.intercept + centred @ self.weights))


def _fitted(centred: np.ndarray, labels: np.ndarray) -> _Additive:
    """A logistic model of rows (n, n_answers) that are whole once and ``PARTLY_ANSWERED`` times not.

    Weights by least log loss and half their squares (scikit-learn's C = 1), but from a given beginning: who
    has answered nothing is as likely to be positive as anybody. A free intercept makes of silence a sign.
    """
    random = np.random.default_rng([SEED, 2])
    rows = np.concatenate([centred, *(_some_left_out(centred, random) for _ in range(PARTLY_ANSWERED))])
    ill = np.tile(labels, PARTLY_ANSWERED + 1)
    intercept = float(logit(labels.mean()))

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        z = intercept + rows @ weights
        value = np.logaddexp(0, z).sum() - ill @ z + weights @ weights / 2
        return float(value), rows.T @ (expit(z) - ill) + weights

    found = minimize(loss, np.zeros(centred.shape[1]), jac=True, method="L-BFGS-B")
    return _Additive(intercept, found.x)


def _some_left_out(centred: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Rows of which a share, drawn for each, is the average (0)."""
    share = random.random((len(centred), 1))
    return np.asarray(centred * (random.random(centred.shape) >= share))


def _coswara(path: Path) -> tuple[pd.DataFrame, np.ndarray]:
    table = pd.read_csv(path)
    table = table[table["record_date"] >= ASKED_FROM]
    positive = table["covid_status"].str.startswith("positive")
    table = table[positive | table["covid_status"].isin(NEGATIVE)]
    labels = table["covid_status"].str.startswith("positive").to_numpy(float)
    ticked = {
        name: table[column].astype("string").str.lower().isin(["true", "y", "1"]).astype(float)
        for name, column in COSWARA.items()
    }
    for name, day in ASKED_LATER.items():
        ticked[name] = ticked[name].where(table["record_date"] >= day)
    age = pd.to_numeric(table["a"], errors="coerce")
    sex = table["g"].str.lower().map({"male": 1.0, "female": 0.0})
    return pd.DataFrame({"age": age.where(age.between(1, 110)) / 10, "sex": sex, **ticked}), labels


def _on_coughvid(path: Path, weights: dict[str, float], averages: pd.Series) -> str:
    """COUGHVID's four answers through the same weights; its one flag answers fever and muscle pain."""
    table = pd.read_csv(path)
    table = table[table["status"].isin(["COVID-19", "healthy", "symptomatic"])]
    labels = (table["status"] == "COVID-19").to_numpy(float)
    flag = table["fever_muscle_pain"].map({True: 1.0, False: 0.0, "True": 1.0, "False": 0.0})
    lung = table["respiratory_condition"].map({True: 1.0, False: 0.0, "True": 1.0, "False": 0.0})
    answers = pd.DataFrame(
        {
            "age": pd.to_numeric(table["age"], errors="coerce") / 10,
            "sex": table["gender"].map({"male": 1.0, "female": 0.0}),
            "fever": flag,
            "muscle_pain": flag,
            "other_lung_disease": lung,
        }
    )
    score = sum((weights[name] * (answers[name] - averages[name])).fillna(0.0) for name in answers)
    return (
        f"COUGHVID v1, {len(labels)} recordings ({int(labels.sum())} COVID-19), age, sex, fever or muscle "
        f"pain and respiratory condition only: AUROC {auroc(labels, np.asarray(score)):.2f}"
    )


def main() -> None:
    """Command line; the module's docstring tells."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--metadata", type=Path, default=corpus_path() / "metadata")
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE)
    parser.add_argument("--condition", default="covid19")
    arguments = parser.parse_args()
    try:
        spec = train_symptoms(arguments.metadata)
        loaded = load_bundle(arguments.bundle)
    except OSError as error:
        parser.exit(1, f"{error.filename}: {error.strerror}\n")
    except errors.CoughError as error:
        parser.exit(1, f"{error.code}: {error}\n")
    known = [c.name for c in loaded.spec.conditions]
    if arguments.condition not in known:
        parser.error(
            f"the bundle has no condition {arguments.condition}; it has {', '.join(known) or 'none'}"
        )
    conditions = tuple(
        c.model_copy(update={"symptoms": spec}) if c.name == arguments.condition else c
        for c in loaded.spec.conditions
    )
    text = json.dumps(
        loaded.spec.model_copy(update={"conditions": conditions}).model_dump(mode="json"), indent=1
    )
    partial = arguments.bundle / f".{MANIFEST}.partial"
    partial.write_text(text + "\n")
    partial.replace(arguments.bundle / MANIFEST)
    load_bundle(arguments.bundle)
    write_card(arguments.bundle)
    print(spec.model_dump_json(indent=1))


if __name__ == "__main__":
    main()
