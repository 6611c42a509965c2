"""``cough evaluate PREDICTIONS MANIFEST -o report/``: figures that stand beside what no audio would score."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from cough.cli import common
from cough.errors import CoughError, ManifestInvalid, ManifestMissing, MissingExtra

T = TypeVar("T")

Predictions = Annotated[
    Path, typer.Argument(metavar="PREDICTIONS", help="predictions.parquet or its folder.")
]
Source = Annotated[
    str,
    typer.Argument(
        metavar="MANIFEST",
        help="A csv, a folder with recordings.csv, or a URL of either; else a folder of audio.",
    ),
]
Output = Annotated[
    Path, typer.Option("-o", "--output", help="Folder for the page, the summary and the figures.")
]
Compare = Annotated[Path | None, typer.Option("--compare", help="Predictions of another model, same rows.")]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", help="COLUMN=VALUE of the manifest; only these rows, all of them. Repeatable."),
]
Label = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        help="NAME=COLUMN: where the manifest says whether a condition is there; by default covid_status "
        "for covid19, else NAME_status. NAME=COLUMN:WITHOUT,WITH says in which words, too, "
        "such as healthy|cold,COVID-19. Repeatable.",
    ),
]
BesideOption = Annotated[
    list[str] | None,
    typer.Option(
        "--beside",
        help="NAME=COLUMN[,COLUMN]: columns of the manifest that may tell the label without any cough and "
        "are not known by their names, such as microphone=mic_model. Repeatable.",
    ),
]
Trained = Annotated[
    str | None,
    typer.Option(
        "--trained-on",
        help="Manifest, or its URL, the score was trained on: subjects and sounds (pcm_sha256) in both are a "
        "leak; by default those that stand in two splits (or folds) of the manifest.",
    ),
]
TrainedWhere = Annotated[
    list[str] | None,
    typer.Option(
        "--trained-where",
        help="COLUMN=VALUE of that manifest, such as split=train: only these rows were trained on, and the "
        "manifest may be the same. Repeatable.",
    ),
]
Match = Annotated[
    list[str] | None,
    typer.Option(
        "--match-on",
        help="Confounder to match on instead of levels, age and sex, device and channel, source and those of "
        "--beside; also symptoms, vital signs, date, history, place. Repeatable.",
    ),
]
Title = Annotated[str, typer.Option("--title", help="Heading of the report.")]


def evaluate(
    predictions: Predictions,
    source: Source,
    output: Output = Path("report"),
    compare: Compare = None,
    label: Label = None,
    beside: BesideOption = None,
    where: Where = None,
    trained_on: Trained = None,
    trained_where: TrainedWhere = None,
    match_on: Match = None,
    title: Title = "Cough evaluation",
    json_output: common.JsonOption = False,
) -> None:
    """Judge predictions beside levels, metadata and matched people; writes a report."""
    common.need("eval", "jinja2", "matplotlib", "pandas", "sklearn", "statsmodels")
    from cough.evaluation.choices import Beside, LabelColumn
    from cough.evaluation.leaks import Known
    from cough.evaluation.report import check_out, finite, write_report
    from cough.evaluation.study import evaluate as study
    from cough.evaluation.table import GROUPS, join, only, read_predictions
    from cough.manifest import Manifest

    if trained_where and trained_on is None:
        raise typer.BadParameter("needs --trained-on", param_hint="--trained-where")
    labels = _parsed(LabelColumn.parse, label, option="--label")
    chosen = _parsed(Beside.parse, beside, option="--beside")
    matchable = list(dict.fromkeys(["levels", *GROUPS, *(one.group for one in chosen)]))
    if unknown := set(match_on or ()) - set(matchable):
        raise typer.BadParameter(
            f"there is no {', '.join(sorted(unknown))}; there is {', '.join(matchable)}",
            param_hint="--match-on",
        )
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    try:
        with common.progress(*columns) as bar:
            task = bar.add_task("reading", total=None)

            def tick(step: str) -> None:
                bar.update(task, description=step)
                if not common.err.is_terminal:
                    common.err.print(f"{step} ...", markup=False)

            check_out(output)
            table = only(join(predictions, Manifest.open(source), labels=labels, beside=chosen), where or [])
            known = Known.of(Manifest.open(trained_on), trained_where or ()) if trained_on else None
            other = read_predictions(compare) if compare else None
            metrics = study(
                table,
                trained_on=known,
                other=other,
                match_on=tuple(match_on or ()),
                tick=tick,
            )
            tick("drawing")
            write_report(metrics, output, title=title)
    except CoughError as error:
        common.report(error)
        # A manifest that cannot be read is the caller's setup, as it is to the other commands.
        setup = isinstance(error, ManifestMissing | ManifestInvalid | MissingExtra)
        raise typer.Exit(common.USAGE if setup else common.FAILED) from error
    if json_output:
        common.emit(json.dumps(finite(metrics)))
        return
    if metrics["gate"]:
        common.emit(f"gate: {' '.join(metrics['gate']['words'])}")
    else:
        common.emit(f"gate: not judged. {metrics['no_gate']}")
    for name, condition in metrics["conditions"].items():
        judged = condition["judged"]
        headline = condition["verdict"]["headline"] if judged else "too few labelled recordings to judge"
        common.emit(f"{name}: {headline}")
        for sentence in condition["verdict"]["sentences"]:
            common.emit(f"  {sentence}")
    for name in metrics["unlabelled_conditions"]:
        common.emit(f"{name}: not judged, the manifest has no label for it (--label {name}=COLUMN)")
    common.emit(f"written to {output}")


def _parsed(parse: Callable[[str], T], texts: list[str] | None, *, option: str) -> list[T]:
    try:
        return [parse(text) for text in texts or ()]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
