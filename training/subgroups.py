"""For whom the gate works: the cough clips by sex, age band, channel, bandwidth and length.

Sensitivity counts a subgroup's own coughs, specificity its own other sounds, AUROC its coughs against all
other sounds. Intervals: 95 %, by groups. Subgroups of fewer than ``MIN_GROUPS`` people or originals get
counts alone; "not stated" is one of them, because who states an age differs from who does not.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from cough.evaluation.metrics import auroc, group_bootstrap, sensitivity, specificity
from cough.evaluation.resampling import unanimous
from training.benchmark import table
from training.corpus import Corpus, Recording
from training.gate_table import interval, number

MIN_GROUPS = 10
AGE_BANDS = ((0, "under 30"), (30, "30 to 49"), (50, "50 and over"))
LENGTHS = ((0.0, "under 1 s"), (1.0, "1 to 5 s"), (5.0, "5 s and over"))
NOT_STATED = "not stated"


def _band_of(value: float, bands: tuple[tuple[float, str], ...]) -> str:
    return [name for least, name in bands if value >= least][-1]


def _age(recording: Recording) -> str:
    return NOT_STATED if recording.age is None else _band_of(recording.age, AGE_BANDS)


COLUMNS: dict[str, Callable[[Recording], str]] = {
    "sex": lambda r: r.sex or NOT_STATED,
    "age": _age,
    "channel": lambda r: r.channel or NOT_STATED,
    "length": lambda r: _band_of(r.duration_s, LENGTHS),
}


def subgroups(
    corpus: Corpus,
    rows: np.ndarray,
    scores: np.ndarray,
    bands: np.ndarray,
    *,
    threshold: float,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Figures of every subgroup that holds a cough, ready for JSON.

    Parameters
    ----------
    rows : (n,) rows of ``corpus.recordings``, each labelled cough or not
    scores : (n,) clip scores of the gate
    bands : (n,) str, the bandwidth that was measured (``cough.quality``)
    """
    recordings = [corpus.recordings[row] for row in rows]
    cough = np.array([r.is_cough for r in recordings], dtype=bool)
    groups = np.array([r.group_id for r in recordings])
    values = {name: np.array([of(r) for r in recordings]) for name, of in COLUMNS.items()}
    values["bandwidth, as measured"] = bands
    out = []
    for column, words in values.items():
        for word in sorted(set(words[cough].tolist())):
            own = words == word
            out.append(
                {"column": column, "value": word}
                | _figures(cough, scores, groups, own, threshold=threshold, seed=seed)
            )
    return out


def _figures(
    cough: np.ndarray, scores: np.ndarray, groups: np.ndarray, own: np.ndarray, *, threshold: float, seed: int
) -> dict[str, Any]:
    asked: dict[str, tuple[np.ndarray, Callable[[np.ndarray, np.ndarray], float]]] = {
        "sensitivity": (own & cough, partial(sensitivity, threshold=threshold)),
        "specificity": (own & ~cough, partial(specificity, threshold=threshold)),
        "auroc": ((own & cough) | ~cough, auroc),
    }
    n_groups = len(set(groups[own & cough]))
    row: dict[str, Any] = {
        "coughs": int((own & cough).sum()),
        "groups_of_coughs": n_groups,
        "others": int((own & ~cough).sum()),
    }
    for name, (kept, figure) in asked.items():
        row[name] = row[f"{name}_95"] = None
        few = len(set(groups[kept])) < MIN_GROUPS or (name != "specificity" and n_groups < MIN_GROUPS)
        if few or (name == "auroc" and cough[kept].all()):
            continue
        y, s = cough[kept].astype(int), scores[kept]
        row[name] = round(float(figure(y, s)), 4)
        bounds = group_bootstrap(
            lambda i, y=y, s=s, figure=figure: figure(y[i], s[i]),  # type: ignore[misc]
            groups[kept].tolist(),
            seed=seed,
        )
        rarer = min(len(set(groups[kept & kind])) for kind in (cough, ~cough) if (kept & kind).any())
        bounds = unanimous(*bounds, n=rarer)
        row[f"{name}_95"] = [round(bound, 4) for bound in bounds]
    return row


def as_markdown(rows: list[dict[str, Any]]) -> str:
    """The table for a page."""
    cells = [
        (
            row["column"],
            row["value"],
            row["coughs"],
            row["groups_of_coughs"],
            row["others"],
            *(
                f"{number(row[name])} {interval(row[f'{name}_95'])}".strip()
                for name in ("sensitivity", "specificity", "auroc")
            ),
        )
        for row in rows
    ]
    return table(("subgroup", "", "coughs", "groups", "others", "sensitivity", "specificity", "AUROC"), cells)
