"""``cough screen FILE...``"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from cough.audio import decode
from cough.cli import common
from cough.errors import BundleIncompatible, InputError
from cough.mediator import ConditionAnswer
from cough.messages import NOTICE
from cough.screener import PersonResult, Screener, ScreeningResult, combine
from cough.symptoms import SymptomAnswers

Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Recordings in any common format.")]
Plot = Annotated[
    Path | None,
    typer.Option(
        "--plot", help="Draw the sound with the coughs shaded (png, svg, pdf; one FILE; extra eval)."
    ),
]

Say = Annotated[
    list[str] | None,
    typer.Option(
        "--symptom",
        help="What the person says: fever=yes, cough=no, age=44, sex=female. Repeatable. "
        f"Names: {', '.join(SymptomAnswers.model_fields)}.",
    ),
]
Prevalence = Annotated[
    float | None, typer.Option("--prevalence", help="Share of such people who have the condition, 0 to 1.")
]
Person = Annotated[
    bool,
    typer.Option("--person", help="All FILEs are of one person: one answer to each condition from them."),
]


def screen(
    files: Files,
    json_lines: common.JsonOption = False,
    person: Person = False,
    plot: Plot = None,
    symptom: Say = None,
    prevalence: Prevalence = None,
    bundle: common.BundleOption = None,
) -> None:
    """Screen recordings: is there a usable cough, and what does its sound say?"""
    if plot is not None and len(files) != 1:
        raise typer.BadParameter("takes exactly one FILE", param_hint="--plot")
    if plot is not None:
        _check_plot(plot, files[0])
    answers = _answers(symptom or [])
    if prevalence is not None and not 0 < prevalence < 1:
        raise typer.BadParameter("must lie between 0 and 1", param_hint="--prevalence")
    screener = common.open_screener(bundle)
    failed = False
    results: list[ScreeningResult] = []
    with common.progress(disable=len(files) < 5) as progress:
        for path in progress.track(files, description="screening"):
            try:
                result = screener.screen(path, symptoms=answers, prevalence=prevalence)
            except (InputError, BundleIncompatible) as error:
                failed = True
                common.fail(error, path, as_json=json_lines)
                continue
            results.append(result)
            _show(path, result, json_lines)
            if plot is not None:
                _draw(path, result, screener, plot)
    if person and results:
        _show_person(combine(screener.bundle.spec.conditions, results), len(files), json_lines)
    if results and not json_lines:
        common.emit(NOTICE)
    if failed:
        raise typer.Exit(common.FAILED)


def _answers(said: list[str]) -> SymptomAnswers | None:
    values: dict[str, object] = {}
    for one in said:
        name, separator, value = one.partition("=")
        if not separator:
            raise typer.BadParameter(f"{one!r} is not NAME=ANSWER", param_hint="--symptom")
        if name not in SymptomAnswers.model_fields:
            known = ", ".join(SymptomAnswers.model_fields)
            raise typer.BadParameter(f"there is no {name!r}; there is {known}", param_hint="--symptom")
        if name in values:
            raise typer.BadParameter(f"{name} is said twice", param_hint="--symptom")
        is_number = value.isdecimal() and len(value) < 10  # int() refuses thousands of digits
        values[name] = value if name == "sex" else int(value) if is_number else _YES.get(value, value)
    try:
        return SymptomAnswers.model_validate(values, strict=True) if values else None
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        allowed = _ALLOWED.get(name, "yes or no")
        raise typer.BadParameter(f"{name} must be {allowed}", param_hint="--symptom") from error


_YES = {"yes": True, "no": False}
_ALLOWED = {"age": "whole years from 0 to 120", "sex": "female, male or other"}
"""What may be said, where it is not yes or no."""


def _show(path: Path, result: ScreeningResult, json_lines: bool) -> None:
    if json_lines:
        body = {"file": str(path), "result": result.model_dump(mode="json")}
        common.emit(json.dumps(body))
    else:
        common.emit(verdict(path.name, result))


def _show_person(result: PersonResult, n_files: int, json_lines: bool) -> None:
    if json_lines:
        # The recordings have their own lines.
        common.emit(
            json.dumps({"person": result.model_dump(mode="json", exclude={"recordings"}), "n_files": n_files})
        )
        return
    of = f"{result.n_counted} of {n_files} recordings"
    lines = [f"the person: {result.outcome}  (coughs were measured in {of})"]
    for condition in result.conditions:
        lines += _condition_lines(condition)
    common.emit("\n".join(lines))


def _ratio(value: float | None, between: tuple[float, float] | None) -> str:
    if value is None:
        return "undefined"
    return f"{value:.2f}" + ("" if between is None else f" ({between[0]:.2f}-{between[1]:.2f})")


def _check_plot(target: Path, source: Path) -> None:
    from cough.timeline import check_figure

    common.check_target(target, option="--plot", source=source)
    with common.usage_errors():
        try:
            check_figure(target)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--plot") from error


def _draw(path: Path, result: ScreeningResult, screener: Screener, target: Path) -> None:
    from cough.figure import draw_screening

    waveform = decode(path, limits=screener.limits)
    with common.replacing(target, option="--plot") as partial:
        draw_screening(waveform, result, title=common.printable(path.name), path=partial)


def verdict(name: str, result: ScreeningResult) -> str:
    """The answer in words, a few short lines."""
    coughs = len(result.events)
    lines = [
        f"{common.printable(name)}: {result.outcome}  (cough score {result.cough_score:.2f}, "
        f"{coughs} cough{'' if coughs == 1 else 's'} in {result.quality.duration_s:.1f} s)"
    ]
    if result.events:
        spans = ", ".join(f"{e.start_s:.2f}-{e.end_s:.2f} s ({e.score:.2f})" for e in result.events)
        lines.append(f"  coughs at {spans}")
    for reason in result.reasons:
        mark = "record again" if reason.blocking else "note"
        lines.append(f"  {mark}: {reason.code}: {reason.message}")
    for condition in result.conditions:
        lines += _condition_lines(condition)
    return "\n".join(lines)


def _condition_lines(condition: ConditionAnswer) -> list[str]:
    why = f" ({', '.join(condition.abstained_because)})" if condition.abstained_because else ""
    lines = [
        f"  {condition.title}: {condition.answer}{why}; probability {condition.probability:.2f}; "
        f"on its test set AUROC {condition.evidence.auroc:.2f}, "
        f"levels alone {condition.evidence.level_only_auroc:.2f}"
    ]
    votes = ", ".join(
        f"{voter.name} {1 - next(iter(voter.probabilities.values())):.2f}" for voter in condition.voters
    )
    lines.append(f"    voters: {votes}")
    if condition.predictive_values is not None:
        values = condition.predictive_values
        lines.append(
            f"    at prevalence {values.prevalence:.3g} a call at one half would have PPV "
            f"{_ratio(values.positive, values.positive_range)}, "
            f"NPV {_ratio(values.negative, values.negative_range)}"
        )
    if condition.symptoms is not None:
        said = condition.symptoms
        shares = ", ".join(f"{name} {share:+.2f}" for name, share in said.contributions.items())
        lines.append(
            f"  {condition.title.split(',')[0]}, from the answers alone: probability "
            f"{said.probability:.2f} at prevalence {said.prevalence:.3g}; log-odds: {shares}"
        )
    if condition.fused is not None:
        heard = "both" if condition.fused.sound_counts else "answers only, the sound adds too little"
        lines.append(f"    together: probability {condition.fused.probability:.2f} ({heard})")
    return lines
