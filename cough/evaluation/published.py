"""How far a model gets on two public sets with no audio at all.

From the participant tables of COUGHVID v1 (Orlandic et al. 2021) and Coswara (Bhattacharya et al.
2023), both CC BY 4.0. One protocol for all four: five folds that never split a participant
(``comparators.subject_folds``, seed 20201), the better of a logistic regression and a forest, out of
fold, AUROC over all rows.

- COUGHVID: rows with status ``COVID-19`` against ``healthy`` and ``symptomatic``. ``age, sex,
  symptoms``: age, gender, respiratory condition, fever or muscle pain. ``date and place``: day of the
  upload, latitude, longitude.
- Coswara: ``positive_*`` against ``healthy``, ``no_resp_illness_exposed`` and
  ``resp_illness_not_identified``; recovered and under validation left out. ``symptoms``: the nine
  current symptoms of the questionnaire (``COSWARA_SYMPTOMS``); a blank is "not ticked". ``date``: the day of
  the recording.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from cough.evaluation.comparators import out_of_fold, subject_folds
from cough.evaluation.metrics import auroc

SEED = 20_201
COSWARA_SYMPTOMS = ("cold", "cough", "fever", "diarrhoea", "loss_of_smell", "mp", "ftg", "st", "bd")
COSWARA_NEGATIVE = ("healthy", "no_resp_illness_exposed", "resp_illness_not_identified")


def coughvid(path: Path) -> dict[str, float]:
    """AUROC of COUGHVID's status without audio: ``age, sex, symptoms`` and ``date and place``."""
    table = pd.read_csv(path)
    table = table[table["status"].isin(["COVID-19", "healthy", "symptomatic"])].reset_index(drop=True)
    labels = (table["status"] == "COVID-19").to_numpy(float)
    table["days"] = _days(table["datetime"])
    answers = table[["age", "gender", "respiratory_condition", "fever_muscle_pain"]].astype(
        {"gender": "string", "respiratory_condition": "string", "fever_muscle_pain": "string"}
    )
    return {
        "age, sex, symptoms": _without_audio(answers.fillna({"gender": "not said"}), labels, table["uuid"]),
        "date and place": _without_audio(table[["days", "latitude", "longitude"]], labels, table["uuid"]),
    }


def coswara(path: Path) -> dict[str, float]:
    """AUROC of Coswara's status without audio: ``symptoms`` and ``date``."""
    table = pd.read_csv(path)
    positive = table["covid_status"].str.startswith("positive")
    table = table[positive | table["covid_status"].isin(COSWARA_NEGATIVE)].reset_index(drop=True)
    labels = table["covid_status"].str.startswith("positive").to_numpy(float)
    ticked = table[list(COSWARA_SYMPTOMS)].apply(
        lambda column: column.astype("string").str.lower().isin(["true", "y", "1", "1.0"]).astype(float)
    )
    return {
        "symptoms": _without_audio(ticked, labels, table["id"]),
        "date": _without_audio(pd.DataFrame({"days": _days(table["record_date"])}), labels, table["id"]),
    }


def _days(column: pd.Series) -> pd.Series:
    when = pd.to_datetime(column, errors="coerce", utc=True, format="mixed")
    return (when - pd.Timestamp("2020-01-01", tz="UTC")) / np.timedelta64(1, "D")


def _without_audio(table: pd.DataFrame, labels: npt.NDArray[np.float64], subjects: pd.Series) -> float:
    folds = subject_folds(labels, subjects.to_numpy(), seed=SEED)
    return auroc(labels, out_of_fold(table, labels, folds, seed=SEED))
