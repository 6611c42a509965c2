"""The model card of a bundle: what it is, what it is not, and every figure with where it comes from.

    python -m training.card                         # CARD.md and card.json beside the shipped bundle.json
    python -m training.card --bundle DIR --beside OTHER_TIER

Made from ``bundle.json``, from the results under ``training/results/gate`` that were measured on this
very gate, and from the honest table of ``training.report`` that was measured on this very bundle; where
there are none the card says so. ``--beside`` sets the figures of a second bundle
(another licence tier) next to this one's.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cough import errors
from cough.bundle import DEFAULT_BUNDLE, Bundle, BundleSpec, ConditionSpec, load_bundle
from cough.evaluation.metrics import wilson
from training.benchmark import RESULTS
from training.card_page import as_markdown
from training.gate_table import interval, number
from training.honest_table import REPORT
from training.stages import check_replaceable, code_version, save_bundle

NOTICE = "Research software: its answer is not a diagnosis and tells nobody that they are ill or well."
INTENDED = (
    "Finding coughs in recordings of any length that people made of themselves, and asking for another "
    "recording where none can be used.",
    "Research on what the sound of a cough carries, with the consent of those who were recorded.",
    "A baseline that can be remade from the corpus by one command and compared with.",
)
OUT_OF_SCOPE = (
    "Diagnosis, triage, treatment or reassurance of anybody; any decision about a person.",
    "Telling people apart by their cough, or listening without their knowledge.",
    "Counting coughs as a clinical endpoint: labels are of clips, single ones judged in soundscapes only.",
    "Microphones, rooms, ages and languages that the corpus does not hold, before measuring there.",
    "Any condition that has no head below, and any head on recordings outside its stated bands.",
)
TIERS = {
    "all": (
        "every licensed recording, the non-commercial ones too (ESC-50 except ESC-10, UrbanSound8K, RAVDESS: "
        "what a cough gate has to refuse). Whether such a licence binds weights is not settled: where that "
        "matters, train the tier `open`"
    ),
    "open": (
        "only recordings under open licences: no ESC-50 except ESC-10, no UrbanSound8K, no RAVDESS. They "
        "still serve for measuring"
    ),
}
KNOWN_LIMITS = (
    "Labels are weak: a clip labelled cough may hold speech, or nothing.",
    "Test clips are of other people, as far as their sources tell who is heard, but of the same sources as "
    "training: expect less on other corpora.",
)
LIMITS_OF_COVID19 = (
    "The COVID-19 recordings do not say who is heard: each counts as a person of its own, so intervals are "
    "too narrow where one person stands behind several, and somebody may be on both sides of the split.",
    "Age and sex are stated by one source of coughs only: a figure by age or sex is one of that source.",
    "The recordings that the COVID-19 condition is judged on state neither age nor sex: for whom it is wrong "
    "is not known.",
    "In the COVID-19 data channel and status go together; only call-centre recordings are judged.",
)
NOT_MEASURED = "Not measured for this bundle; `python -m training.gate_report` does it."
NO_TIERS = (
    "How the gate of the other tier does was not measured beside this one; `python -m training.tiers` does."
)
NO_TABLE = "The honest table is not measured for this bundle; `python -m training.report` does it."
ENERGY = "not measured: the machine that trained it shows no power counter; core hours are what there is"
COVID19 = "covid19"
WORST = 8
"""Events, and sources of coughs, that the card names as failure modes."""


def card(
    bundle: Bundle,
    results: list[dict[str, Any]],
    *,
    honest_table: dict[str, Any] | None = None,
    beside: BundleSpec | None = None,
) -> dict[str, Any]:
    """Everything a card says, ready for JSON.

    Parameters
    ----------
    results : contents of ``training/results/gate/*.json``; those of other bundles are left out, but for the
        tiers', of which the card then says that an earlier recipe trained them
    honest_table : contents of ``training.report``'s ``report.json``; left out where of other models
    beside : a bundle of the other licence tier
    """
    spec = bundle.spec
    if honest_table is not None and not honest_table["files"].items() <= spec.files.items():
        honest_table = None
    record = spec.training
    of_this_data = (r for r in results if "tiers" in r and r["data_hash"] == record.data_hash)
    tiers = next((_tier_facts(result, spec) for result in of_this_data), None)
    measured = [result for result in results if _is_of(result, spec) and "tiers" not in result]
    tables = [*_recorded(spec), *measured]
    return {
        "bundle_id": spec.bundle_id,
        "bundle_sha256": bundle.sha256,
        "card_code_version": code_version(),
        "notice": NOTICE,
        "answers": {c.name: c.answers for c in spec.conditions},
        "margins_over_levels_95": {c.name: _margin(spec, c.name) for c in spec.conditions},
        "intended_use": list(INTENDED),
        "out_of_scope": list(OUT_OF_SCOPE),
        "licence_tier": _tier(spec),
        "tiers": tiers,
        "no_tiers": NO_TIERS if tiers is None else None,
        "licences": record.licences,
        "kept": record.kept,
        "thresholds": _thresholds(spec),
        "gate": [_brief(result) for result in tables],
        "labels": spec.metrics["gate"].get("labels"),
        "not_measured": None if measured else NOT_MEASURED,
        "conditions": [_condition(c, spec.metrics.get(c.name, {})) for c in spec.conditions],
        "honest_table": honest_table,
        "no_honest_table": NO_TABLE if spec.conditions and honest_table is None else None,
        "subgroups": {r["title"]: r["subgroups"] for r in measured if "subgroups" in r},
        "figures": list(_figures({k: v for k, v in spec.metrics.items() if k != "training"})),
        "failure_modes": {result["title"]: _failures(result) for result in tables if "table" in result},
        "known_limits": [*KNOWN_LIMITS, *(LIMITS_OF_COVID19 if COVID19 in spec.metrics else ())],
        "beside": None if beside is None else _compare(spec, beside),
        "training": {
            "code_version": record.code_version,
            "seed": record.seed,
            "core_s": spec.metrics.get("training", {}).get("core_s"),
            "energy": ENERGY,
            "data_hash": record.data_hash,
            "teacher": record.teacher,
            "teacher_sha256": record.teacher_sha256,
            "libraries": record.libraries,
            "files": spec.files,
        },
    }


def _is_of(result: dict[str, Any], spec: BundleSpec) -> bool:
    """Whether a result was measured on these weights, at this threshold."""
    same = result.get("gate_sha256") == spec.files[spec.gate.file]
    return same and result.get("gate") in (None, spec.gate.model_dump(mode="json"))


def _recorded(spec: BundleSpec) -> list[dict[str, Any]]:
    """Tables of ``training.gate_table`` inside ``bundle.json``, in the form of a result.

    Of a gate that was kept from another bundle, what it reached on sources never heard is of that training.
    """
    this = {"code_version": spec.training.code_version, "data_hash": spec.training.data_hash}
    kept = spec.training.kept.get("gate")
    trained = this if kept is None else {key: kept[key] for key in this}
    return [
        {
            "title": f"Cough gate, {name.replace('_', ' ')}",
            **(trained if name == "leave_sources_out" else this),
            "table": node,
        }
        for name, node in spec.metrics["gate"].items()
        if isinstance(node, dict) and "by_event" in node
    ]


def _brief(result: dict[str, Any]) -> dict[str, Any]:
    """A result without its breakdowns, which stay in its own file."""
    figures = result.get("table", {})
    kept = ("title", "code_version", "data_hash", "silent_coughs")
    return (
        {key: result.get(key) for key in kept}
        | {key: figures.get(key) for key in ("groups", "note", "pooled")}
        | {"lines": [*_event_lines(result), *_robustness_lines(result)]}
    )


def _event_lines(result: dict[str, Any]) -> Iterator[str]:
    """What ``training.soundscapes`` found, if it is of that."""
    for spacing, by_snr in result.get("soundscapes", {}).items():
        rows = "; ".join(
            f"{snr} {number(row['f1'])} {interval(row['f1_95'])}".strip() for snr, row in by_snr.items()
        )
        yield f"F1 of events (onsets within 200 ms), coughs {spacing}, by signal-to-noise ratio: {rows}"
        counts = "; ".join(
            f"{snr} {row['count_within_10_percent_or_one']:.0%} ({row['count_within_10_percent']:.0%})"
            for snr, row in by_snr.items()
        )
        yield f"Soundscapes counted within 10 % or one (strictly within 10 %), coughs {spacing}: {counts}"
    if "false_alarms" in result:
        rates = result["false_alarms"]["without_sneezes"]
        yield f"False alarms an hour of sounds without a cough, sneezes apart: {rates['per_hour']:g}"


def _robustness_lines(result: dict[str, Any]) -> Iterator[str]:
    """What ``training.robustness`` found, if it is of that."""
    for row in result.get("disturbances", {}).values():
        coughs = row["coughs"]
        yield (
            f"{row['title']}: {coughs['same_side']:.1%} of coughs stay on the same side of the threshold, "
            f"{coughs['small_change']:.1%} of scores change by less than 0.05"
        )


def _tier(spec: BundleSpec) -> dict[str, Any]:
    record = spec.training
    parts = [
        record.config.get("licences", "unknown"),
        *(one.get("tier", "unknown") for one in record.kept.values()),
    ]
    # What was kept has heard what it has heard, whatever this run was allowed.
    name = parts[0] if len(set(parts)) == 1 else "all" if "all" in parts else "unknown"
    counted = spec.metrics.get("training", {}).get("non_commercial")
    if counted is None:  # of an older training
        counted = sum(n for licence, n in record.licences.items() if "-NC" in licence)
    return {
        "name": name,
        "means": TIERS.get(name, "not recorded"),
        "recordings": sum(record.licences.values()),
        "non_commercial": counted,
    }


def _tier_facts(result: dict[str, Any], spec: BundleSpec) -> dict[str, Any]:
    """Both tiers' gates by ``training.tiers``: which ships, and the pooled figures of each test."""
    return {
        "code_version": result["code_version"],
        "earlier_bundle": None if _is_of(result, spec) else result["bundle_id"],
        "shipped": next((name for name, tier in result["tiers"].items() if tier["shipped"]), None),
        "trained_on": {name: tier["trained_on"] for name, tier in result["tiers"].items()},
        "tests": {
            name: {
                "coughs": tables["all"]["pooled"]["coughs"],
                "others": tables["all"]["pooled"]["others"],
                **{tier: table["pooled"]["ours"] for tier, table in tables.items()},
            }
            for name, tables in result["tests"].items()
        },
    }


def _thresholds(spec: BundleSpec) -> dict[str, dict[str, Any]]:
    gate = spec.gate
    chosen: dict[str, dict[str, Any]] = {
        "gate": {
            "threshold": gate.threshold,
            "chosen": gate.threshold_chosen,
            "calibration": gate.calibration,
        }
    }
    for c in spec.conditions:
        chosen[c.name] = {
            "threshold": None,
            "chosen": f"{c.mediator.conformal_coverage:.0%} conformal sets. {c.mediator.chosen}",
            "calibration": " ".join(dict.fromkeys(voter.calibration for voter in c.voters)),
        }
    return chosen


def _condition(c: ConditionSpec, measured: dict[str, Any]) -> dict[str, Any]:
    """A condition's facts; ``measured`` is what ``training.diagnosis`` says of it."""
    facts = c.model_dump(mode="json", include={"name", "title", "bands", "answers", "policy", "evidence"})
    voters = [v.model_dump(mode="json", include={"name", "method", "evidence"}) for v in c.voters]
    covered = {band: {"n": n, "share": share} for band, (n, share) in c.mediator.coverage_by_band.items()}
    symptoms = None if c.symptoms is None else c.symptoms.model_dump(mode="json")
    tested = measured.get("test", {})
    of_class = tested.get("coverage_of_class", {})
    return {
        **facts,
        "voters": voters,
        "coverage_by_band": covered,
        "coverage_of_class": {name: of_class[name] for name in c.classes if name in of_class},
        "coverage_of_class_95": {name: of_class.get(f"{name}_95") for name in c.classes if name in of_class},
        "symptoms": symptoms,
        "licences": measured.get("provenance", {}).get("licences", {}),
    }


def _margin(spec: BundleSpec, name: str) -> list[float] | None:
    """Out of fold, AUROC of a condition's mediator minus that of levels, if the bundle says it."""
    measured = spec.metrics.get(name, {}).get("out_of_fold", {})
    return measured.get("margin_over_levels_95") if isinstance(measured, dict) else None


def _figures(node: dict[str, Any], *, path: str = "", test_set: str = "") -> Iterator[dict[str, Any]]:
    """Every number of ``metrics`` with its interval and test set; breakdowns by source are left out."""
    test_set = node.get("test_set", test_set)
    for key, value in node.items():
        name = f"{path}.{key}" if path else key
        if isinstance(value, dict) and not key.startswith("by_"):
            inner = key.replace("_", " ") if "fold" in key or "by_event" in value else test_set
            yield from _figures(value, path=name, test_set=inner)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            bounds = node.get(f"{key}_95") or _accuracy_95(node, key)
            yield {"figure": name, "value": value, "interval_95": bounds, "test_set": test_set}
        elif key.endswith("_95") and key.removesuffix("_95") not in node:
            yield {
                "figure": name.removesuffix("_95"),
                "value": None,
                "interval_95": value,
                "test_set": test_set,
            }


def _accuracy_95(node: dict[str, Any], key: str) -> list[float] | None:
    """Wilson's 95 % interval (1927) of an accuracy on ``test_clips`` independent clips."""
    n = node.get("test_clips")
    if not n or not key.endswith("accuracy"):
        return None
    low, high = wilson(node[key], n)
    return [round(low, 4), round(high, 4)]


def _failures(result: dict[str, Any]) -> list[str]:
    """Where the gate does worse than on the whole, worst first, in words."""
    judged = result["table"]
    pooled = judged["pooled"]["ours"]
    events = [
        (row["ours"]["specificity"], name.replace("_", " "), row["ours"]["false_accepts"], row["others"])
        for name, row in judged["by_event"].items()
        if row["ours"]["specificity"] < pooled["specificity"]
    ]
    sources = [
        (row["ours"]["sensitivity"], name, row["ours"]["false_rejects"], row["coughs"])
        for name, row in judged["by_source"].items()
        if row["coughs"] and row["ours"]["sensitivity"] < pooled["sensitivity"]
    ]
    modes = [f"takes {wrong} of {n} {name} clips for coughs" for _, name, wrong, n in sorted(events)[:WORST]]
    modes += [f"misses {wrong} of {n} cough clips of {name}" for _, name, wrong, n in sorted(sources)[:WORST]]
    if silent := result.get("silent_coughs"):
        modes.append(f"{silent} of the clips labelled cough are silent: no detector finds those")
    return modes


def _compare(spec: BundleSpec, other: BundleSpec) -> dict[str, Any]:
    """The figures that both bundles record, counts left out, side by side."""
    mine, theirs = ({f["figure"]: f for f in _figures(s.metrics)} for s in (spec, other))
    return {
        "bundle_id": other.bundle_id,
        "licence_tier": _tier(other),
        "same_data": spec.training.data_hash == other.training.data_hash,
        "figures": [
            {"figure": name, "this": mine[name], "beside": theirs[name]}
            for name in mine
            if name in theirs and not isinstance(mine[name]["value"], int)
        ],
    }


def write_card(
    folder: Path, *, results: Path = RESULTS, honest_table: Path = REPORT, beside: Path | None = None
) -> None:
    """Write ``CARD.md`` and ``card.json`` into a bundle's folder.

    Parameters
    ----------
    results : folder of ``training.gate_report``; need not exist
    honest_table : ``report.json`` of ``training.report``; need not exist
    beside : folder of a bundle of the other licence tier
    """
    measured = [json.loads(path.read_text()) for path in sorted(results.glob("*.json"))]
    other = None if beside is None else load_bundle(beside).spec
    judged = json.loads(honest_table.read_text()) if honest_table.exists() else None
    facts = card(load_bundle(folder), measured, honest_table=judged, beside=other)
    (folder / "card.json").write_text(json.dumps(facts, indent=1, allow_nan=False) + "\n")
    (folder / "CARD.md").write_text(as_markdown(facts))


def write_bundle(bundle: Bundle, out: Path) -> None:
    """The bundle's folder with its card, put in place only when whole and verified.

    Raises
    ------
    OutputUnwritable : as ``check_replaceable``
    """
    out = out.resolve()  # through a link, not over it
    check_replaceable(out)
    partial, old = (out.with_name(f".{out.name}.{kind}{os.getpid()}") for kind in ("partial", "old"))
    shutil.rmtree(partial, ignore_errors=True)
    save_bundle(bundle, partial)
    write_card(partial)
    # Killed between the two, the old one is still there, under another name.
    if out.exists():
        out.replace(old)
    partial.replace(out)
    shutil.rmtree(old, ignore_errors=True)


def main() -> None:
    """Command line; ``--help`` tells."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE, help="default: the one that ships")
    parser.add_argument("--results", type=Path, default=RESULTS, help="what training.gate_report wrote")
    parser.add_argument("--beside", type=Path, help="bundle of another licence tier")
    arguments = parser.parse_args()
    try:
        write_card(arguments.bundle, results=arguments.results, beside=arguments.beside)
    except errors.CoughError as error:
        parser.exit(1, f"{error.code}: {error}\n")
    print(f"card written to {arguments.bundle / 'CARD.md'}")


if __name__ == "__main__":
    main()
