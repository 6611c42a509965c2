"""Whether the sound adds anything to what heard no cough."""

from __future__ import annotations

import warnings
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from cough.evaluation.comparators import Comparator
from cough.evaluation.metrics import holm

Float: TypeAlias = npt.NDArray[np.float64]

CERTAIN = 1e-3
"""How far from 0 and 1 those themselves are taken to be, unless a score lies nearer."""


def increments(y: Float, p: Float, who: npt.NDArray[Any], found: list[Comparator]) -> list[dict[str, float]]:
    """What the audio score adds to each comparator, as p-values."""
    p_values = []
    for one in found:
        scored = np.isfinite(one.scores)
        p_values.append(_increment(y[scored], p[scored], one.scores[scored], who[scored]))
    return [
        {"p_audio_adds": p_value, "p_audio_adds_holm": adjusted}
        for p_value, adjusted in zip(p_values, holm(p_values), strict=True)
    ]


def _increment(y: Float, p: Float, s: Float, who: npt.NDArray[Any]) -> float:
    """p-value of a likelihood-ratio test: does the audio score add to this one? One row a subject."""
    import statsmodels.api as sm
    from scipy.stats import chi2
    from statsmodels.tools.sm_exceptions import ModelWarning

    people = pd.DataFrame({"who": who, "y": y, "p": _logit(p), "s": _logit(s)}).groupby("who").mean()
    if people["y"].round().nunique() < 2 or people["p"].nunique() < 2:
        return float("nan")
    outcome = people["y"].round()

    def fitted(columns: list[str]) -> Any:
        x = sm.add_constant(people[columns])
        with warnings.catch_warnings(), np.errstate(over="ignore"):
            # A score that tells all apart, or nothing: the likelihood stands, and the coefficient's sign.
            warnings.simplefilter("ignore", ModelWarning)
            return sm.GLM(outcome, x, family=sm.families.Binomial()).fit()

    both = fitted(["s", "p"])
    if both.params["p"] <= 0:  # upside down, it adds nothing that anybody could use
        return 1.0
    return float(chi2.sf(max(0.0, 2 * (both.llf - fitted(["s"]).llf)), 1))


def _logit(p: Float) -> Float:
    """Log-odds, 0 and 1 no farther out than the surest other score: the fit would follow them alone.

    Scores that are all near 0, of a rare condition, still differ.
    """
    nearest_0, nearest_1 = p[p > 0].min(initial=CERTAIN), p[p < 1].max(initial=1 - CERTAIN)
    clipped = np.clip(p, nearest_0, nearest_1)
    return np.asarray(np.log(clipped / (1 - clipped)))
