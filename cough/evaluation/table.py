"""Predictions beside what the manifest knows: one table, one row a recording."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from cough import errors
from cough.bundle import ABSTAIN
from cough.evaluation.baselines import LEVEL_STATISTICS
from cough.evaluation.choices import OURS, Beside, LabelColumn, Where
from cough.evaluation.people import in_two_splits, subject_of
from cough.evaluation.values import MEASURED, measures, read_values
from cough.manifest import LABELS, Manifest
from cough.predictions import prediction_schema
from cough.words import YES, is_yes, said

POSITIVE = YES | {"positive"}
NEGATIVE = frozenset({"negative", "0", "0.0", "false", "no", "healthy"})
"""Words that need no list of classes."""
NO_EVENT = frozenset({"", "unlabelled", "room_impulse_response"})
"""Events of rows that the gate cannot be judged by."""
COUGHS = frozenset({"", "cough", "unlabelled"})
"""Events of rows that a condition is judged by: a vowel that the same person held is none."""
SYMPTOMS = (
    *("fever", "cough_symptom", "sore_throat", "st", "fatigue", "ftg", "loss_of_smell", "muscle_pain", "mp"),
    *("diarrhoea", "bd", "breathing_difficulty", "cold", "asthma", "cld", "fever_muscle_pain"),
    *("respiratory_condition", "symptoms", "hemoptysis", "night_sweats", "weight_loss", "reported_cough_dur"),
    "patient_reported_symptoms",
)
SYMPTOM_PREFIXES = ("symptom_", "respiratory_condition_")
"""Begin the columns of a corpus that has one for each answer (UK COVID-19)."""
TICKS = YES | {"y", "x"}
"""What a form writes for a box that was ticked; one that was not may stay blank."""
LEVELS = tuple(f"level_{name}" for name in LEVEL_STATISTICS)
GROUPS: dict[str, tuple[str, ...]] = {
    "age and sex": ("age", "age_band", "sex", "gender"),
    "symptoms": SYMPTOMS,
    "date": ("date_days", "date_words"),
    "history": (
        *("smoker", "smoking", "um", "vacc", "ht", "diabetes", "ihd", "medical_history", "medhistory"),
        *("HIVstatus", "tb_prior", "tb_prior_Pul", "tb_prior_Extrapul", "tb_prior_Unknown"),
        *("smoker_status", "smoke_lweek", "vaccination_status"),
    ),
    "vital signs": MEASURED,
    "place": (
        *("latitude", "longitude", "country", "region", "region_name", "site", "nationality"),
        *("l_s", "l_l", "state", "locality", "city"),
    ),
    "device and channel": (
        *("channel", "device", "codec", "container", "source_rate_hz", "band", "quality_bandwidth_hz"),
    ),
    "source": ("source", "recruitment_source"),
}
"""What may tell a label without any cough: name -> the columns it may stand in, ``STATED`` or not."""
FACTS: dict[str, dict[str, tuple[str, ...]]] = {
    "age and sex": {"age": ("age", "age_band"), "sex": ("sex", "gender")},
    "date": {"date": GROUPS["date"]},
    "place": {
        "place within a country": tuple(c for c in GROUPS["place"] if c not in ("country", "nationality"))
    },
    "device and channel": {"device": ("device",), "channel": ("channel",)},
    "source": {"source": ("source",)},
}
"""What must be told before a group of columns is known. The other groups are lists without an end: that one
symptom is the same for everybody says nothing of the rest."""
CHOSEN = "chosen:"
"""Begins the copy of a column that the caller put into a group: ``chosen:<group>:<column>``."""
NO_PREDICTION = "no_prediction"
"""Error code of a row that the predictions leave out."""
STATED = "_stated"
"""Ends the name of a manifest's column where the predictions have one of that name, too; twice where the
manifest has one of that name itself."""
NEARLY_ALL = 0.95


@dataclass(frozen=True)
class Table:
    """The rows of a manifest, and what was predicted for them."""

    frame: pd.DataFrame
    """``subject``, ``in_two_splits``, predictions, every manifest column; for each condition
    ``label_<condition>`` and ``said_<condition>``, the answer: 0 (of the first class), 1 (of another) or NaN;
    ``unused_<condition>``, the word that is no label: of no class, or of a row that says ``label_conflict``.
    A row without a prediction has failed: its ``error_code`` is ``NO_PREDICTION``."""
    conditions: dict[str, str]
    """Those of the predictions that the manifest has a label for -> its column."""
    unlabelled: tuple[str, ...]
    """Those that it has none for."""
    stated: dict[str, str]
    """Columns of the manifest, labels left out -> what they are called in ``frame``."""
    manifest_sha256: str
    n_manifest: int
    manifest_columns: dict[str, str]
    """Every column of the manifest, and ``subject`` and ``split`` -> what they are called in ``frame``."""
    classes: dict[str, tuple[str, ...]]
    """Of each condition with a label, the first the one without it; empty where nobody named them."""
    where: tuple[str, ...] = ()
    """The conditions that chose the rows (``only``); empty: all of them."""


def join(
    predictions: str | os.PathLike[str],
    manifest: Manifest,
    *,
    labels: Iterable[LabelColumn] = (),
    beside: Iterable[Beside] = (),
) -> Table:
    """Join by ``recording_id``: every row of the manifest, in its order, and no prediction of others.

    Parameters
    ----------
    labels : of conditions whose label is not where it is looked for otherwise: in the column of
        ``manifest.LABELS``, else in ``<condition>_status``
    beside : columns that are to stand beside the sound, besides those that do by their names

    Raises
    ------
    PredictionsInvalid : no parquet, a column missing, an id twice, no recording in common, a condition
        of ``labels`` that is not there, or an answer that is no class
    ManifestInvalid : no recording, or one twice; a column of ``labels`` or ``beside`` that is not there, or
        one of ``labels`` that says nothing
    """
    frame = read_predictions(predictions)
    conditions = sorted(c.removesuffix("_probability") for c in frame.columns if c.endswith("_probability"))
    told = _told(labels, conditions, manifest)
    lines = []
    for row in manifest.rows():
        facts = row.recording
        ours = {"subject": subject_of(row), "split": facts.split, "pcm_sha256": facts.pcm_sha256 or ""}
        lines.append({**row.columns, **ours})
    manifested = pd.DataFrame(lines)
    if manifested.empty:
        raise errors.ManifestInvalid("The manifest names no recording.")
    if manifested["recording_id"].duplicated().any():
        raise errors.ManifestInvalid("The manifest names a recording twice: run cough data validate.")
    # By the whole manifest: whether a box was ever answered with "no" must not depend on who was measured,
    # nor whether somebody also stands elsewhere on which rows are chosen.
    if own := [c for c in manifested if c.startswith(CHOSEN)]:
        raise errors.ManifestInvalid(f"The manifest has a column {own[0]}: such names are kept for --beside.")
    manifested = answers(manifested).assign(in_two_splits=in_two_splits(manifested))
    found: dict[str, LabelColumn] = {}
    for name in conditions:
        label = told.get(name) or LabelColumn(name, LABELS[name][0] if name in LABELS else f"{name}_status")
        if name in told or (label.column in manifested and manifested[label.column].ne("").any()):
            found[name] = label if label.classes else replace(label, classes=_classes(frame, name))
    manifested = manifested.assign(**_chosen(manifested, beside, {one.column for one in found.values()}))
    labelled: dict[str, pd.Series] = {}
    for name, label in found.items():
        labelled[f"label_{name}"], labelled[f"unused_{name}"] = _labels(manifested, label, must=name in told)
    computed = {
        "date_days",
        "date_words",
        *(f"{kind}_{name}" for kind in ("label", "said", "unused") for name in conditions),
    }
    manifested = manifested.drop(columns=[c for c in manifested if c in computed]).assign(**labelled)
    frame = frame.assign(**{f"said_{name}": _said(frame, label) for name, label in found.items()})
    # What a recording is, the manifest says: predictions that brought their own date or source hid it.
    measured = prediction_schema(tuple(conditions)).names
    frame = frame.drop(columns=[c for c in frame if c in manifested and c not in {*measured, *computed}])
    names = _set_apart(manifested, frame)
    joined = frame.merge(
        manifested.rename(columns=names), on="recording_id", how="right", validate="one_to_one"
    )
    predicted = joined["recording_id"].isin(frame["recording_id"])
    if not predicted.any():
        raise errors.PredictionsInvalid("The predictions and the manifest have no recording in common.")
    # Whoever leaves failures out of a table would be judged by the rest.
    joined["error_code"] = joined["error_code"].astype(object).where(predicted, NO_PREDICTION)
    if "source" in joined:
        joined["source"] = joined["source"].astype(object).fillna("").astype(str)
    read_values(joined)
    unlabelled = tuple(c for c in conditions if c not in found)
    columns = {name: names.get(label.column, label.column) for name, label in found.items()}
    labels_too = computed | {label.column for label in found.values()}
    stated = {name: names.get(name, name) for name in manifest.header() if name not in labels_too}
    header = ["subject", "split", *(name for name in manifest.header() if name not in computed)]
    called = {name: column for name in header if (column := names.get(name, name)) in joined}
    classes = {name: label.classes for name, label in found.items()}
    return Table(joined, columns, unlabelled, stated, manifest.sha256(), len(manifested), called, classes)


def _set_apart(manifested: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, str]:
    """New names of the manifest's columns that the predictions have, too: none is lost, and none is twice."""
    names: dict[str, str] = {}
    taken = {*predictions, *manifested}
    for column in manifested:
        if column != "recording_id" and column in predictions:
            names[column] = f"{column}{STATED}"
            while names[column] in taken:
                names[column] += STATED
            taken.add(names[column])
    return names


def _told(labels: Iterable[LabelColumn], conditions: list[str], manifest: Manifest) -> dict[str, LabelColumn]:
    told = {label.condition: label for label in labels}
    for label in told.values():
        if label.condition not in conditions:
            raise errors.PredictionsInvalid(
                f"The predictions have no condition {label.condition}: {', '.join(conditions) or 'none'}."
            )
        if label.column not in manifest.header():
            raise errors.ManifestInvalid(f"The manifest has no column {label.column}.")
    return told


def _chosen(manifested: pd.DataFrame, beside: Iterable[Beside], labels: set[str]) -> dict[str, pd.Series]:
    """Copies of the caller's columns, numbers and dates as numbers."""
    found = {}
    for one in beside:
        for name in one.columns:
            if name not in manifested:
                raise errors.ManifestInvalid(f"The manifest has no column {name}.")
            if name in labels:
                raise errors.ManifestInvalid(f"{name} is a label: it cannot stand beside the sound.")
            words = manifested[name].astype("string").str.strip().replace("", pd.NA)
            if words.isna().all():
                raise errors.ManifestInvalid(f"{name} is blank in every row: it can tell nothing.")
            values = measures(words)
            if values is None:
                found[f"{CHOSEN}{one.group}:{name}"] = words.fillna("").astype(object)
                continue
            found[f"{CHOSEN}{one.group}:{name}"] = values
            others = words.where(values.isna()).fillna("")
            if others.ne("").any():
                found[f"{CHOSEN}{one.group}:{name} in words"] = others.astype(object)
    return found


def _classes(frame: pd.DataFrame, condition: str) -> tuple[str, ...]:
    """Those that the predictions name, the first the one without the condition; empty: not named."""
    column = frame.get(f"{condition}_classes", pd.Series(dtype=object)).dropna()
    return tuple(map(str, column.iloc[0])) if len(column) else ()


def _labels(manifested: pd.DataFrame, label: LabelColumn, *, must: bool) -> tuple[pd.Series, pd.Series]:
    """0, 1 or NaN a row, ``must`` one of them be known?; and the words that are no label, empty elsewhere."""
    binary = manifested[label.column].map(lambda word: _binary(word, label.classes))
    if must and binary.isna().all():
        words = ", ".join(label.classes) or "positive, negative"
        raise errors.ManifestInvalid(
            f"No cell of {label.column} is a class of {label.condition} ({words}): "
            f"say --label {label.condition}={label.column}:WITHOUT,WITH."
        )
    if "label_conflict" in manifested:
        binary[manifested["label_conflict"].map(is_yes)] = np.nan
    return binary, manifested[label.column].map(said).where(binary.isna(), "")


def _said(frame: pd.DataFrame, label: LabelColumn) -> pd.Series:
    answers = frame[f"{label.condition}_answer"]
    binary = answers.map(lambda word: _binary(word, label.classes), na_action="ignore").astype(float)
    odd = answers[binary.isna() & answers.notna() & answers.ne(ABSTAIN)]
    if len(odd):
        raise errors.PredictionsInvalid(
            f"{label.condition}_answer holds {odd.iloc[0]!r}, which is no class of it: "
            f"say --label {label.condition}={label.column}:WITHOUT,WITH."
        )
    return binary


def read_predictions(path: str | os.PathLike[str]) -> pd.DataFrame:
    """A ``predictions.parquet``, or the folder that holds it.

    Raises
    ------
    PredictionsInvalid : none is there, or it is no table of predictions
    """
    path = Path(path)
    try:
        path = path / "predictions.parquet" if path.is_dir() else path
        frame = pd.read_parquet(path)
    except FileNotFoundError as error:
        raise errors.PredictionsInvalid(f"There are no predictions at {path}.") from error
    except (OSError, ValueError) as error:
        raise errors.PredictionsInvalid(f"{path.name} is no parquet table.") from error
    missing = {"recording_id", "cough_score", "n_events", "outcome", "error_code"} - set(frame.columns)
    if missing:
        raise errors.PredictionsInvalid(f"{path.name} has no column {', '.join(sorted(missing))}.")
    own = [c for c in frame if c in OURS or str(c).startswith(("label_", "said_", "unused_", CHOSEN))]
    if own:
        raise errors.PredictionsInvalid(f"{path.name} has a column {own[0]}, which the manifest is to say.")
    frame["recording_id"] = frame["recording_id"].astype(str)
    for name in ("outcome", "error_code"):  # through CSV, nothing becomes an empty word
        words = frame[name].astype(object)
        frame[name] = words.where(words.notna() & words.astype(str).str.strip().ne(""), None)
    if frame["recording_id"].duplicated().any():
        raise errors.PredictionsInvalid(f"{path.name} names a recording twice.")
    for name in ("n_events", *(c for c in LEVELS if c in frame)):
        values = pd.to_numeric(frame[name], errors="coerce")
        if values.notna().sum() != frame[name].notna().sum() or np.isinf(values).any():
            raise errors.PredictionsInvalid(f"{name} of {path.name} holds other things than numbers.")
        frame[name] = values
    if "in_training" in frame and not frame["in_training"].dropna().isin([True, False]).all():
        raise errors.PredictionsInvalid(f"in_training of {path.name} holds other things than true and false.")
    for name in (c for c in frame if c == "cough_score" or str(c).endswith("_probability")):
        if (
            str(name).endswith("_probability")
            and f"{str(name).removesuffix('_probability')}_answer" not in frame
        ):
            raise errors.PredictionsInvalid(f"{path.name} has {name} and no answer beside it.")
        values = pd.to_numeric(frame[name], errors="coerce")
        if values.notna().sum() != frame[name].notna().sum() or not values.dropna().between(0, 1).all():
            raise errors.PredictionsInvalid(f"{name} of {path.name} holds other things than probabilities.")
        frame[name] = values
    if (frame["cough_score"].isna() & frame["error_code"].isna()).any():
        raise errors.PredictionsInvalid(
            f"{path.name} has a recording with neither cough_score nor error_code."
        )
    if (frame["n_events"].isna() & frame["cough_score"].notna()).any():
        raise errors.PredictionsInvalid(f"{path.name} has a recording with cough_score and without n_events.")
    return frame


def _binary(word: object, classes: tuple[str, ...]) -> float:
    said = str(word).strip().lower()
    for i, name in enumerate(classes):
        if said in name.lower().split("|"):
            return float(i > 0)
    if said in POSITIVE | NEGATIVE:
        return float(said in POSITIVE)
    return float("nan")


def columns_of(frame: pd.DataFrame, group: str) -> list[str]:
    """The columns of a group that are here."""
    if group == "levels":
        return [c for c in LEVELS if c in frame]
    more = [c for c in frame if c.startswith(SYMPTOM_PREFIXES)] if group == "symptoms" else []
    chosen = [c for c in frame if c.startswith(f"{CHOSEN}{group}:")]
    return [*_stated(frame, GROUPS.get(group, ())), *more, *chosen]


def _stated(frame: pd.DataFrame, names: Iterable[str]) -> list[str]:
    """Those of these columns that are here, and the manifest's where the predictions have such, too."""
    return [c for times in range(3) for name in names if (c := f"{name}{STATED * times}") in frame]


def chosen_groups(frame: pd.DataFrame) -> tuple[str, ...]:
    """The groups that the caller put columns into (``Beside``)."""
    return tuple(dict.fromkeys(c.split(":")[1] for c in frame if c.startswith(CHOSEN)))


def chosen_columns(frame: pd.DataFrame) -> set[str]:
    """The columns of the manifest that the caller put into groups."""
    return {c.split(":", 2)[2] for c in frame if c.startswith(CHOSEN)}


def answers(frame: pd.DataFrame) -> pd.DataFrame:
    """The same with every box that a source ticks or leaves blank made ``True`` or ``False``.

    Coswara's tables hold nothing but ``True`` for a symptom: a blank there is "not ticked". Where a source
    also has another word, as COUGHVID has ``False``, a blank is nobody's answer and stays blank.
    """
    sources = frame["source"].fillna("").astype(str) if "source" in frame else pd.Series("", frame.index)
    frame = frame.copy()
    for name in columns_of(frame, "symptoms"):
        words = frame[name].astype("string").str.strip().str.lower().fillna("").astype(object)
        ticked = words.isin(TICKS)
        boxes = (ticked | words.eq("")).groupby(sources).transform("all")
        boxes &= ticked.groupby(sources).transform("any")
        if boxes.any():
            frame[name] = frame[name].astype(object).where(~boxes, np.where(ticked, "True", "False"))
    return frame


def events(frame: pd.DataFrame) -> pd.Series:
    """What each recording holds, as one word in lower case; empty where nobody said."""
    if "event" not in frame:
        return pd.Series("", frame.index)
    return frame["event"].astype(str).map(said).str.lower()


def features(frame: pd.DataFrame, group: str) -> pd.DataFrame | None:
    """The columns of a group that vary here; None where there are none."""
    table = frame[columns_of(frame, group)].replace("", np.nan)
    here = [c for c in table if table[c].nunique() > 1]
    return table[here] if here else None


def has_levels(frame: pd.DataFrame) -> bool:
    """Whether all level statistics are here, of nearly every recording, and say something."""
    if not set(LEVELS) <= set(frame.columns):
        return False
    levels = frame[list(LEVELS)]
    return bool(levels.notna().mean().min() >= NEARLY_ALL and levels.nunique().max() > 1)


def same_or_unknown(frame: pd.DataFrame, group: str) -> tuple[list[str], list[str]]:
    """What of a group is the same for every recording, and so cannot tell the label; what is not known.

    The group by its name where one of both holds for all of it, else those of its ``FACTS``.
    """
    facts = FACTS.get(group, {} if group in GROUPS else {group: columns_of(frame, group)})
    columns = {fact: frame[_stated(frame, names)].replace("", np.nan) for fact, names in facts.items()}
    still = {fact: table for fact, table in columns.items() if not table.nunique().gt(1).any()}
    same = [fact for fact, table in still.items() if (table.notna().all() & table.nunique().eq(1)).any()]
    unknown = [fact for fact in still if fact not in same]
    if features(frame, group) is not None or (same and unknown):
        return same, unknown
    return ([group], []) if same else ([], [group])


def only(table: Table, conditions: list[str]) -> Table:
    """The rows where every ``column=value`` of the manifest holds.

    Not of the predictions: who failed must not be chosen away.

    Raises
    ------
    PredictionsInvalid : no such column, or no row left
    """
    frame = table.frame
    for condition in conditions:
        try:
            where = Where.parse(condition, table.manifest_columns)
        except ValueError as error:
            raise errors.PredictionsInvalid(f"{error}.") from error
        cells = frame[table.manifest_columns[where.column]]
        frame = frame[[where.holds(cell) for cell in cells]]
    if frame.empty:
        raise errors.PredictionsInvalid("No recording is left.")
    return replace(table, frame=frame.reset_index(drop=True), where=(*table.where, *conditions))
