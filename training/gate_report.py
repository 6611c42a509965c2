"""How good a bundle's gate is on fold 5, which nothing was trained or tuned on; mn04 beside it.

    python -m training.gate_report                          # the shipped bundle -> training/results/gate
    python -m training.gate_report --bundle DIR --out DIR --worst DIR

Writes ``fold_5.json`` and ``fold_5.md`` (the table), five figures, ``leave_sources_out.md`` (the table that
training wrote into ``bundle.json``: short gates on recordings whose source they never heard), and, into a
folder that git ignores, spectrogram sheets of the clips that the gate gets most wrong. The clips are decoded
and scored by what the service runs, so a figure here is one that users get. Needs the corpus.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cough import errors
from cough.bundle import Bundle, load_bundle
from cough.gate import CoughGate
from training.benchmark import (
    RESULTS,
    TEST_FOLD,
    bundle_parser,
    chosen_out,
    measured_by,
    provenance,
    score_clips,
    unlearnt_rows,
)
from training.corpus import Corpus, Teacher
from training.gate_figures import FIGURES, draw_all
from training.gate_sheets import draw_worst
from training.gate_table import as_markdown, gate_table, hear, number
from training.joined import read_corpora, read_teacher
from training.stages import PROJECT
from training.subgroups import as_markdown as subgroup_page
from training.subgroups import subgroups

WORST = PROJECT / "runs" / "gate_worst"


def report(corpus: Corpus, teacher: Teacher, bundle: Bundle, *, out: Path, worst: Path) -> None:
    """Measure a bundle's gate and write everything."""
    rows, n_learnt = unlearnt_rows(corpus, bundle)
    gate = CoughGate(bundle)
    scored = score_clips(corpus, gate, rows)
    scores, silent = scored.scores, scored.silent
    threshold = gate.spec.threshold
    table = gate_table(corpus, teacher, rows, scores, threshold=threshold)
    clips = hear(corpus, teacher, rows, scores, threshold=threshold)
    audible = ~(silent & clips.cough)
    without = gate_table(corpus, teacher, rows[audible], scores[audible], threshold=threshold)
    title = f"fold {TEST_FOLD} (test only)"
    result = {
        **provenance(corpus, bundle, teacher_sha256=teacher.sha256),
        "title": f"Cough gate on {title}",
        "gate": bundle.spec.gate.model_dump(mode="json"),
        "table": table,
        "subgroups": subgroups(corpus, rows, scores, scored.bands, threshold=threshold),
        "left_out_as_learnt_from": n_learnt,
        "silent_coughs": int((~audible).sum()),
        "without_silent_coughs": {"pooled": without["pooled"], "by_source": without["by_source"]},
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / f"fold_{TEST_FOLD}.json").write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
    (out / f"fold_{TEST_FOLD}.md").write_text(_page(result))
    unheard = bundle.spec.metrics["gate"].get("leave_sources_out", {})
    if "at_target_sensitivity" in unheard:  # else of an older training
        (out / "leave_sources_out.md").write_text(_unheard_page(bundle, unheard))
    draw_all(clips, out, title=f"{bundle.spec.bundle_id} on {title}")
    worst.mkdir(parents=True, exist_ok=True)
    draw_worst(corpus, gate, clips, worst)


def _page(result: dict[str, Any]) -> str:
    without = result["without_silent_coughs"]
    by_source = ", ".join(
        f"{source} {_pair(row)}" for source, row in without["by_source"].items() if row["coughs"]
    )
    lines = [
        f"# {result['title']}",
        measured_by(result, command="training.gate_report"),
        as_markdown(result["table"]).strip(),
        f"{result['silent_coughs']} of the cough clips peak below -50 dBFS: nothing can be heard, and what a "
        f"detector says of silence decides where they rank. Without them the AUROC, ours / mn04, is "
        f"{_pair(without['pooled'])} ({by_source}).",
        "## For whom",
        subgroup_page(result["subgroups"]),
        *(f"![{name}]({name}.png)" for name in FIGURES),
    ]
    return "\n\n".join(lines) + "\n"


def _unheard_page(bundle: Bundle, unheard: dict[str, Any]) -> str:
    record, wanted = bundle.spec.training, unheard["at_target_sensitivity"]
    lines = [
        "# Cough gate on sources that it never heard",
        f"From `bundle.json` of `{bundle.spec.bundle_id}`, trained by code `{record.code_version}` on data "
        f"`{record.data_hash[:16]}`. Made by `python -m training.gate_report`.",
        f"{unheard['note']} The recipe was chosen by this table, too, so a new corpus may do worse; and "
        "intervals resample people inside these sources, so they say nothing about another one. A threshold "
        f"of {wanted['threshold']}, which has the sensitivity that was asked for where it was chosen, would "
        f"give sensitivity {wanted['sensitivity']} and specificity {wanted['specificity']} here.",
        as_markdown(unheard).strip(),
    ]
    return "\n\n".join(lines) + "\n"


def _pair(row: dict[str, Any]) -> str:
    return f"{number(row['ours']['auroc'])} / {number(row['mn04']['auroc'])}"


def main() -> None:
    """Command line; ``--help`` tells."""
    parser = bundle_parser(__doc__, RESULTS)
    parser.add_argument("--worst", type=Path, default=WORST, help="not for git: shows the corpus' sound")
    arguments = parser.parse_args()
    out = chosen_out(parser, arguments, RESULTS)
    try:
        corpus = read_corpora((arguments.corpus,))
        bundle = load_bundle(arguments.bundle)
        report(corpus, read_teacher(corpus), bundle, out=out, worst=arguments.worst)
    except errors.CoughError as error:
        parser.exit(1, f"{error.code}: {error}\n")
    print(f"table and figures in {out}, the worst clips in {arguments.worst}")


if __name__ == "__main__":
    main()
