"""The honest table: what the sound of a cough is worth, beside what no cough at all would have scored.

    python -m training.report                      # the shipped bundle's COVID-19, on the call-centre set

Trains the condition of the config anew, for its out-of-fold scores, and sets side by side: six level
statistics, the spectrum between the coughs (channel and room), each voter, their mediator, and a ridge-
logistic head on EfficientAT mn04's embeddings of the same coughs' recordings. Twice: out of fold on the
training folds and on the test fold. ``Level-matched``: pairs of one positive and one negative recording with
the same propensity by the six statistics (``cough.evaluation.matching``). ``Verified``: the positives
whose status the corpus calls verified by PCR (where it calls any so), against the same negatives.
Intervals: 95 %, by groups. Writes report.json, report.md and report.png.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from cough import errors
from cough.bundle import DEFAULT_BUNDLE, ConditionSpec, load_bundle
from cough.evaluation.baselines import LEVEL_STATISTICS
from cough.evaluation.matching import propensity_match
from cough.evaluation.report import finite
from cough.manifest import Manifest
from cough.mediator import prediction_set
from training.corpus import corpus_path
from training.diagnosis import Condition, read_condition, train_condition
from training.evidence import Judged, called, margin_over_levels, measured, rarest_class, shares_of
from training.honest_table import REPORT, RESULTS, TITLES, blocks
from training.joined import read_corpora, read_teacher
from training.recordings import Recordings, collect
from training.stages import PROJECT, code_version
from training.voters import Linear, calibrate, choose_ridge, log_softmax, macro_auroc

COVID19 = PROJECT / "training" / "covid19.toml"


def teacher_embeddings(root: Path, *ids: np.ndarray) -> tuple[np.ndarray, ...]:
    """mn04's mean embedding of each recording, over all of its seconds, not the coughs alone; (n, 384) each.

    Nothing where the folder is not that of a prepared corpus whose teacher heard all of them.
    """
    try:
        corpus = read_corpora((root,))
        teacher = read_teacher(corpus)
    except errors.LayoutUnknown:  # a manifest may have fewer columns
        return ()
    row = {recording.recording_id: i for i, recording in enumerate(corpus.recordings)}
    heard = [
        [teacher.embeddings[teacher.embedding_rows == row[name]].astype(np.float64) for name in some]
        for some in ids
    ]
    if not all(len(windows) for some in heard for windows in some):
        return ()
    return tuple(np.array([windows.mean(axis=0) for windows in some]) for some in heard)


def evidence_by_id(manifest: Manifest) -> dict[str, str]:
    """What each recording's status rests on, where the manifest has a column ``covid_evidence``."""
    return {row.recording.recording_id: row.columns.get("covid_evidence") or "" for row in manifest.rows()}


def probed(
    train: Recordings, test: Recordings, features: tuple[np.ndarray, np.ndarray], n: int, *, kept_fold: str
) -> Any:
    """A calibrated ridge-logistic head on other features: probabilities out of fold and on test.

    What answers the test has not learnt from ``kept_fold``, as the voters have not.
    """
    learnt = train.folds != kept_fold
    ridge = choose_ridge(features[0][learnt], train.pick(learnt), n)
    logits = np.zeros((len(train), n))
    for fold in np.unique(train.folds):
        away = train.folds == fold
        model = Linear.fit(features[0][~away], train.labels[~away], ridge, n)
        logits[away] = model(features[0][away])
    slope, shifts = calibrate(logits, train.labels)
    asked = Linear.fit(features[0][learnt], train.labels[learnt], ridge, n)(features[1])
    return tuple(np.exp(log_softmax(slope * z + shifts)) for z in (logits, asked))


def line(
    judged: Judged, probability: np.ndarray, matched: np.ndarray, verified: np.ndarray
) -> dict[str, Any]:
    """Figures of one scorer, each with its interval.

    Parameters
    ----------
    probability : (n, n_classes)
    matched : rows of level-matched pairs
    verified : rows of negatives and verified positives
    """
    data = judged.data

    def area(rows: np.ndarray) -> float:
        return macro_auroc(data.labels[rows], probability[rows])

    def figures(rows: np.ndarray) -> dict[str, float]:
        return {
            "auroc": area(rows),
            "margin_over_levels": area(rows) - macro_auroc(data.labels[rows], judged.levels[rows]),
            **called(judged, probability, rows),
        }

    def among(name: str, rows: np.ndarray) -> dict[str, Any]:
        shares = {name: rarest_class(data.labels[rows], data.groups[rows])}
        return measured(lambda r: {name: area(rows[r])}, data.groups[rows], shares=shares)

    shares = {"auroc": rarest_class(data.labels, data.groups), **shares_of(data.labels > 0)}
    return {
        **measured(figures, data.groups, shares=shares),
        "margin_over_levels_95": list(margin_over_levels(judged, probability)),
        **among("level_matched_auroc", matched),
        **among("verified_auroc", verified),
    }


def abstention(judged: Judged, spec: ConditionSpec) -> dict[str, Any]:
    """What the rules would do if the evidence let them answer: who is left, and how often rightly."""
    sets = [prediction_set(p.tolist(), spec.mediator.conformal_quantiles) for p in judged.mediator]
    named = np.array(
        [[int(p.argmax()) for p in votes] for votes in zip(*judged.voters.values(), strict=True)]
    )
    answered = np.array(
        [len(s) == 1 and set(row) == set(s) for s, row in zip(sets, named.tolist(), strict=True)]
    )
    labels = judged.data.labels
    right = np.array([labels[i] in sets[i] for i in range(len(labels))])

    def figures(rows: np.ndarray) -> dict[str, float]:
        some = answered[rows]
        return {
            "coverage_of_sets": float(right[rows].mean()),
            "abstains_without_the_rule_of_evidence": float(1 - some.mean()),
            "accuracy_of_those_answers": float(right[rows][some].mean()) if some.any() else float("nan"),
        }

    everybody = np.ones(len(labels), bool)
    shares = {
        "coverage_of_sets": everybody,
        "abstains_without_the_rule_of_evidence": everybody,
        "accuracy_of_those_answers": answered,
    }
    found = measured(figures, judged.data.groups, shares=shares)
    if not answered.any():
        found |= {"accuracy_of_those_answers": None, "accuracy_of_those_answers_95": None}
    return {
        **found,
        "coverage_by_class": [round(float(right[labels == c].mean()), 4) for c in range(len(spec.classes))],
        "abstains_as_shipped": 1.0 if not spec.answers else found["abstains_without_the_rule_of_evidence"],
    }


def evidence_counts(evidence: Mapping[str, str], data: Recordings, classes: Sequence[str]) -> dict[str, int]:
    """How many recordings have which status, on which evidence: ``positive, pcr_lab_verified`` -> n."""
    counts = Counter(
        f"{classes[label]}, {evidence[name] or 'none stated'}"
        for name, label in zip(data.ids, data.labels, strict=True)
    )
    return dict(sorted(counts.items()))


def verified_rows(evidence: Mapping[str, str], data: Recordings) -> np.ndarray:
    """Rows of the first class, and of the others those that were verified by PCR; all where none was."""
    verified = np.array([evidence[name] == "pcr_lab_verified" for name in data.ids])
    return np.flatnonzero((data.labels == 0) | verified | (not verified[data.labels > 0].any()))


def report(
    condition: Condition, evidence: Mapping[str, str], heard: tuple[np.ndarray, ...], seed: int
) -> dict[str, Any]:
    """Every figure, out of fold and on the test fold.

    Parameters
    ----------
    evidence : by recording_id, see ``evidence_by_id``
    heard : ``teacher_embeddings`` of both, or nothing
    """
    n = len(condition.spec.classes)
    pair = (condition.out_of_fold, condition.test)
    train, test = (judged.data for judged in pair)
    mn04 = probed(train, test, heard, n, kept_fold=condition.kept_fold) if heard else (None, None)
    out: dict[str, Any] = {}
    for name, judged, theirs in zip(("out_of_fold", "test"), pair, mn04, strict=True):
        data = judged.data
        levels = pd.DataFrame(data.levels, columns=list(LEVEL_STATISTICS))
        matched = propensity_match(levels, (data.labels > 0).astype(float), data.groups, seed=seed)
        scorers = {
            "levels": np.exp(log_softmax(judged.levels)),
            "background": np.exp(log_softmax(judged.background)),
            **{f"voter {key}": p for key, p in judged.voters.items()},
            "mediator": judged.mediator,
            **({} if theirs is None else {"mn04": theirs}),
        }
        verified = verified_rows(evidence, data)
        out[name] = {
            "recordings": len(data),
            "not_of_the_first_class": int((data.labels > 0).sum()),
            "groups": len(np.unique(data.groups)),
            "by_evidence": evidence_counts(evidence, data, condition.spec.classes),
            "level_matched_pairs": len(matched.pairs),
            "balance": {
                b.name: {"before": round(b.before, 3), "after": round(b.after, 3)} for b in matched.balance
            },
            "scorers": {key: line(judged, p, matched.rows, verified) for key, p in scorers.items()},
        }
    # Not out of fold: among those rows are the ones that gave the quantiles.
    out["test"]["mediator"] = abstention(condition.test, condition.spec)
    return out


def as_markdown(facts: dict[str, Any]) -> str:
    """The whole page, its verdict first."""
    spec = facts["condition"]
    head = [f"# {spec['title']}: the honest table", f"**{facts['verdict']}**", spec["policy"]]
    made = f"Made by `python -m training.report` (code `{facts['code_version']}`)."
    return "\n\n".join([*head, *blocks(facts, heading="##"), made]) + "\n"


def draw(facts: dict[str, Any], path: Path) -> None:
    """AUROC of every scorer with its interval, out of fold and on the test fold."""
    names = list(facts["test"]["scorers"])
    figure, axes = plt.subplots(figsize=(8, 0.5 * len(names) + 1.6), layout="constrained")
    for shift, (part, label, colour) in enumerate(
        (("out_of_fold", "out of fold", "#33628d"), ("test", "test fold", "#c8743b"))
    ):
        rows = [facts[part]["scorers"][name] for name in names]
        y = np.arange(len(names))[::-1] + 0.14 - 0.28 * shift
        x = np.array([row["auroc"] for row in rows])
        ends = np.array([row["auroc_95"] for row in rows]).T
        axes.errorbar(x, y, xerr=np.abs(ends - x), fmt="o", color=colour, capsize=3, label=label)
    axes.axvline(0.5, color="0.6", lw=1, ls=":")
    axes.set_yticks(np.arange(len(names))[::-1], [TITLES.get(name, name) for name in names])
    axes.set_xlabel("AUROC, 95 % interval by groups")
    figure.suptitle(
        f"{facts['condition']['name']}: the sound of the cough beside what needs no cough", fontsize=11
    )
    figure.legend(frameon=False, loc="outside lower right", ncols=2)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=140)
    plt.close(figure)


def verdict(condition: Condition) -> str:
    """The first line, by the rule of the policy."""
    margin = condition.figures["out_of_fold"]["margin_over_levels_95"]
    if condition.spec.answers:
        return "The cough tells more than its level, length and brightness do; the condition answers."
    if margin[0] > 0:
        return f"The condition always abstains. {condition.spec.policy}"
    return (
        "On these recordings what the voters hear in the cough is not shown to tell more than how loud, long "
        f"and bright the recording is (difference in AUROC {margin[0]} to {margin[1]}), so the condition "
        "always abstains."
    )


def main() -> None:
    """Command line; ``--help`` tells."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE)
    parser.add_argument("--config", type=Path, default=COVID19)
    parser.add_argument("--corpus", type=Path, default=corpus_path())
    parser.add_argument("--out", type=Path, help="default for the shipped one: training/results/diagnosis")
    arguments = parser.parse_args()
    own = (arguments.bundle.resolve(), arguments.config.resolve()) != (DEFAULT_BUNDLE.resolve(), COVID19)
    if arguments.out is None and own:
        parser.error("say where the table goes (--out): the default is the shipped condition's")
    out = arguments.out or RESULTS
    try:
        config = read_condition(arguments.config)
        bundle = load_bundle(arguments.bundle)
        manifest = Manifest.open(arguments.corpus)
        data = collect(manifest, config, bundle)
        condition = train_condition(config, data, bundle)
        ids = (condition.out_of_fold.data.ids, condition.test.data.ids)
        heard = teacher_embeddings(arguments.corpus, *ids)
    except errors.CoughError as error:
        parser.exit(1, f"{error.code}: {error}\n")
    shipped = next((c for c in bundle.spec.conditions if c.name == config.name), None)
    trained = condition.figures["training"]
    facts = {
        "bundle_id": bundle.spec.bundle_id,
        "bundle_sha256": bundle.sha256,
        "code_version": code_version(),
        "same_voters_as_the_bundle": shipped is not None
        and all(bundle.contents.get(name) == content for name, content in condition.contents.items()),
        "files": {
            **{name: bundle.spec.files[name] for name in (bundle.spec.gate.file, bundle.spec.encoder.file)},
            **{name: hashlib.sha256(content).hexdigest() for name, content in condition.contents.items()},
        },
        "condition": condition.spec.model_dump(mode="json", include={"name", "title", "policy", "answers"}),
        "verdict": verdict(condition),
        "used": (
            f"rows of {config.where}, column {config.column}; in training "
            + ", ".join(f"{k} {v}" for k, v in trained["recordings"].items())
            + f"; left out, of training and test folds together: {trained['left_out'] or 'none'}."
        ),
        **report(condition, evidence_by_id(manifest), heard, config.seed),
    }
    facts = finite(facts)
    out.mkdir(parents=True, exist_ok=True)
    (out / REPORT.name).write_text(json.dumps(facts, indent=1, allow_nan=False) + "\n")
    (out / "report.md").write_text(as_markdown(facts))
    draw(facts, out / "report.png")
    print(as_markdown(facts))


if __name__ == "__main__":
    main()
