"""The whole road of an evaluator on the corpus' fold 5: ``cough batch``, then ``cough evaluate`` twice.

    make worked-example        # or: python -m training.worked_example RUNS OUT

Once on everything, where channel and status are confounded, and once inside the call centre. Only the
summaries, the figures' data and one drawing are kept in the project; no audio and no row of a person.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

from cough.evaluation.figures import draw
from cough.evaluation.report import METRICS, SUMMARY
from training.corpus import corpus_path

TEST_FOLD = "5"
STUDIES = {
    "fold_5": ("Fold 5 of the corpus: everything", ()),
    "call_centre": ("Fold 5 of the corpus: the call centre", ("channel=call-center",)),
}
"""Name -> title and which rows."""


def main() -> None:
    """Run both studies; exits with the status of the first command that fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, help="folder for predictions and whole reports")
    parser.add_argument("out", type=Path, help="folder for what is kept")
    arguments = parser.parse_args()
    runs, out = arguments.runs, arguments.out
    runs.mkdir(parents=True, exist_ok=True)
    manifest = write_manifest(runs / "fold_5.csv")
    _cough("batch", manifest, "-o", runs / "predictions")
    for name, (title, where) in STUDIES.items():
        chosen = [word for condition in where for word in ("--where", condition)]
        options = ("-o", runs / name, "--title", title, *chosen)
        metrics = _cough("evaluate", runs / "predictions", manifest, *options, "--json")
        (out / name).mkdir(parents=True, exist_ok=True)
        for file in (SUMMARY, METRICS):
            shutil.copy(runs / name / file, out / name / file)
        if name == "call_centre":
            _draw(metrics, out / name / "auroc.svg")


def write_manifest(path: Path) -> Path:
    """The rows of the test fold, paths made absolute."""
    root = corpus_path()
    with open(root / "recordings.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["fold"] == TEST_FOLD]
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({**row, "path": str((root / row["path"]).resolve())} for row in rows)
    return path


def _cough(*arguments: str | Path) -> str:
    command = [sys.executable, "-c", "from cough.cli import main; main()", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout


def _draw(metrics: str, path: Path) -> None:
    drawing = next(d for d in draw(json.loads(metrics)) if d.name.endswith("-auroc") and "gate" not in d.name)
    path.write_text(drawing.svg)


if __name__ == "__main__":
    main()
