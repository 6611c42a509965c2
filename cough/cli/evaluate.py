"""``cough evaluate PREDICTIONS MANIFEST -o report/``: figures that stand beside what no audio would score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cough.cli import common
from cough.errors import CoughError

Predictions = Annotated[
    Path, typer.Argument(metavar="PREDICTIONS", help="predictions.parquet or its folder.")
]
Source = Annotated[Path, typer.Argument(metavar="MANIFEST", help="recordings.csv or its folder.")]
Output = Annotated[
    Path, typer.Option("-o", "--output", help="Folder for the page, the summary and the figures.")
]
Compare = Annotated[Path | None, typer.Option("--compare", help="Predictions of another model, same rows.")]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", help="COLUMN=VALUE of the manifest; only these rows. Repeatable."),
]
Trained = Annotated[
    Path | None,
    typer.Option("--trained-on", help="Manifest the score was trained on: subjects in both are a leak."),
]
Title = Annotated[str, typer.Option("--title", help="Heading of the report.")]


def evaluate(
    predictions: Predictions,
    source: Source,
    output: Output = Path("report"),
    compare: Compare = None,
    where: Where = None,
    trained_on: Trained = None,
    title: Title = "Cough evaluation",
    json_output: common.JsonOption = False,
) -> None:
    """Judge predictions beside levels, metadata and matched people; writes a report."""
    try:
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401
        import pandas  # noqa: F401
        import sklearn  # noqa: F401
        import statsmodels  # noqa: F401
    except ImportError:
        common.err.print("error: missing_extra: needs pip install 'cough-screening[eval]'", style="red")
        raise typer.Exit(common.USAGE) from None
    from cough.evaluation.report import finite, write_report
    from cough.evaluation.study import evaluate as study
    from cough.evaluation.table import join, only, read_predictions, subjects_of
    from cough.manifest import Manifest

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    try:
        with Progress(*columns, console=common.err, transient=True, redirect_stdout=False) as bar:
            task = bar.add_task("reading", total=None)
            table = only(join(predictions, Manifest.open(source)), where or [])
            known = subjects_of(Manifest.open(trained_on)) if trained_on else frozenset()
            other = read_predictions(compare) if compare else None
            metrics = study(
                table,
                trained_on=known,
                other=other,
                tick=lambda step: bar.update(task, description=step),
            )
            bar.update(task, description="drawing")
            write_report(metrics, output, title=title)
    except CoughError as error:
        common.report(error)
        raise typer.Exit(common.FAILED) from error
    if json_output:
        common.emit(json.dumps(finite(metrics)))
        return
    for name, condition in metrics["conditions"].items():
        if condition["judged"]:
            common.emit(f"{name}: {condition['verdict']['headline']}")
            for sentence in condition["verdict"]["sentences"]:
                common.emit(f"  {sentence}")
        else:
            common.emit(f"{name}: too few labelled recordings to judge")
    common.emit(f"written to {output}")
