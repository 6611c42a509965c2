"""The gate of both licence tiers, side by side.

    python -m training.tiers       # trains what does not ship -> training/results/gate/tiers.{json,md}

``all`` learns from every licensed recording, ``open`` from none that is non-commercial. The shipped bundle
stands for its tier, where config and data are its own; any other gate is trained, or taken from the cache.
Both are judged on fold 5, with and without its non-commercial clips, and by their short gates on sources that
these never heard: on those that are open throughout, and each on all that its tier has, the shipped one as
``bundle.json`` has it. The bundle of the open tier, encoder and heads with it: ``python -m training.pipeline
--licences open --out DIR``, which takes up what is trained here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cough.bundle import Bundle, load_bundle
from cough.gate import CoughGate
from training.assemble import calibrated_gate
from training.audible import audible_parts
from training.benchmark import RESULTS, TEST_FOLD, fold_rows, provenance, score_clips, table, write_result
from training.calibration import calibrate_on_heldout
from training.config import TrainingConfig
from training.corpus import Corpus, Teacher
from training.decoded import prepare_waves
from training.gate_table import TITLES, gate_table, interval, number
from training.joined import read_teacher
from training.options import chosen_config, chosen_corpus, corpus_parser
from training.parts import usable
from training.pipeline import gate_stage, shared_inputs
from training.waves import read_waves

Tier = Literal["all", "open"]
TIERS: tuple[Tier, ...] = ("all", "open")
UNHEARD = "leave_sources_out"
TESTS = {
    UNHEARD: "Short gates, on sources that they never heard: those of folds 1-4 that are open throughout",
    "fold_5": "The gates, on fold 5; of its non-commercial clips the open gate heard no other by the same "
    "source but ESC-10's",
    "fold_5_open": "The gates, on the open clips of fold 5",
}


@dataclass(frozen=True)
class TierGate:
    """One tier's gate and what its short gates made of recordings whose source they never heard."""

    gate: CoughGate
    sha256: str
    trained_on: int
    unheard: dict[str, Any]
    """``gate_table`` of the tier's labelled recordings of folds 1-4."""


def main() -> None:
    """Command line; ``--help`` tells."""
    parser = corpus_parser(__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    corpus = chosen_corpus(parser, arguments.corpus)
    teacher = read_teacher(corpus)
    shipped = load_bundle()
    configs = {tier: chosen_config(parser, arguments.config, [f'licences="{tier}"']) for tier in TIERS}
    gates = {
        tier: _shipped_gate(shipped)
        if _ships(shipped, corpus, config)
        else _trained_gate(corpus, teacher, arguments.cache, config, shipped)
        for tier, config in configs.items()
    }
    result: dict[str, Any] = {
        **provenance(corpus, shipped, seed=configs["all"].seed),
        "title": "The gate of both licence tiers",
        "tiers": {
            tier: {
                "gate_sha256": gate.sha256,
                "shipped": gate.sha256 == shipped.spec.files[shipped.spec.gate.file],
                "trained_on": gate.trained_on,
                "threshold": gate.gate.spec.threshold,
            }
            for tier, gate in gates.items()
        },
        "unheard": {tier: gate.unheard for tier, gate in gates.items()},
        "tests": {
            UNHEARD: on_the_same_sources({tier: gate.unheard for tier, gate in gates.items()}),
            **_fold_5(corpus, teacher, gates),
        },
    }
    write_result(arguments.out, "tiers", result, as_markdown(result), command="training.tiers")
    print(as_markdown(result))


def _ships(bundle: Bundle, corpus: Corpus, config: TrainingConfig) -> bool:
    """Whether the bundle is what training with this config on this corpus gave."""
    own = config.model_dump(mode="json", exclude={"tracker"})
    record = bundle.spec.training
    return (
        record.data_hash == corpus.data_hash
        and {name: value for name, value in record.config.items() if name != "tracker"} == own
        and UNHEARD in bundle.spec.metrics["gate"]
    )


def _shipped_gate(bundle: Bundle) -> TierGate:
    spec = bundle.spec
    return TierGate(
        CoughGate(bundle),
        spec.files[spec.gate.file],
        sum(spec.training.licences.values()),
        spec.metrics["gate"][UNHEARD],
    )


def _trained_gate(
    corpus: Corpus, teacher: Teacher, cache: Path, config: TrainingConfig, shipped: Bundle
) -> TierGate:
    training = usable(corpus, config)
    waves_folder = prepare_waves(corpus, cache, config)
    waves = read_waves(waves_folder)
    shared = shared_inputs(corpus, waves, teacher, training, config)
    trained, *_ = gate_stage(corpus, (corpus.root,), waves_folder, cache, config, shared)
    heldout = audible_parts(trained.heldout, waves)
    held = calibrate_on_heldout(corpus, waves, teacher, heldout, config)
    spec, onnx, _ = calibrated_gate(trained.network, held, waves, training, config)
    sha256 = hashlib.sha256(onnx).hexdigest()
    files = {**shipped.spec.files, spec.file: sha256}
    bundle = Bundle(
        shipped.spec.model_copy(update={"gate": spec, "files": files}),
        "",
        {**shipped.contents, spec.file: onnx},
    )
    return TierGate(CoughGate(bundle), sha256, len(training), held.table)


def on_the_same_sources(unheard: Mapping[Tier, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What both tiers' short gates miss and wrongly accept of the sources that are the same to both.

    A tier's recordings of a source are among those of the wider tier: as many are the same. Figures of rank
    are left out, which set a source against all others.

    Parameters
    ----------
    unheard : ``gate_table`` of each tier

    Returns
    -------
    dict : of each tier ``sources``, and ``pooled`` with ``coughs``, ``others`` and the counts and shares of
        ``ours`` and ``mn04``
    """
    tables = {tier: unheard[tier]["by_source"] for tier in TIERS}
    size = {
        tier: {source: (row["coughs"], row["others"]) for source, row in table.items()}
        for tier, table in tables.items()
    }
    same = sorted(source for source, n in size["all"].items() if size["open"].get(source) == n)
    return {
        tier: {"sources": same, "pooled": _summed([table[s] for s in same])} for tier, table in tables.items()
    }


def _summed(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Counts of several sources together, and their shares; None of what a detector was not asked."""
    total: dict[str, Any] = {kind: sum(row[kind] for row in rows) for kind in ("coughs", "others")}
    for name in ("ours", "mn04"):
        total[name] = {}
        for count, right, kind in (
            ("false_rejects", "sensitivity", "coughs"),
            ("false_accepts", "specificity", "others"),
        ):
            known = [row[name][count] for row in rows]
            wrong = None if None in known else sum(known)
            share = None if wrong is None or not total[kind] else round(1 - wrong / total[kind], 4)
            total[name] |= {count: wrong, right: share}
    return total


def _fold_5(corpus: Corpus, teacher: Teacher, gates: Mapping[Tier, TierGate]) -> dict[str, dict[str, Any]]:
    """``gate_table`` of each test on fold 5 and tier."""
    rows = fold_rows(corpus, TEST_FOLD)
    is_open = np.array([corpus.recordings[row].licence_class == "open" for row in rows])
    tests: dict[str, dict[str, Any]] = {"fold_5": {}, "fold_5_open": {}}
    for tier, gate in gates.items():
        scores = score_clips(corpus, gate.gate, rows).scores
        for name, kept in (("fold_5", np.ones_like(is_open)), ("fold_5_open", is_open)):
            tests[name][tier] = gate_table(
                corpus, teacher, rows[kept], scores[kept], threshold=gate.gate.spec.threshold
            )
    return tests


def as_markdown(result: dict[str, Any]) -> str:
    """Both tiers' pooled figures, mn04's beside them."""
    parts = [
        "\n".join(
            f"- `{name}`{' (shipped in that bundle)' if tier['shipped'] else ''}: learnt from "
            f"{tier['trained_on']} recordings, threshold "
            f"{tier['threshold']}, gate.onnx `{tier['gate_sha256'][:12]}`"
            for name, tier in result["tiers"].items()
        )
    ]
    for test, title in TESTS.items():
        pooled = {tier: result["tests"][test][tier]["pooled"] for tier in TIERS}
        of = ""
        if test == UNHEARD:
            of = f" ({', '.join(result['tests'][test]['all']['sources'])})"
        parts.append(
            f"**{title}**{of}: {pooled['all']['coughs']} coughs, {pooled['all']['others']} other sounds.\n\n"
            + _figures(
                {
                    "`all`": pooled["all"]["ours"],
                    "`open`": pooled["open"]["ours"],
                    "mn04": pooled["all"]["mn04"],
                }
            )
        )
    unheard = {tier: table["pooled"] for tier, table in result["unheard"].items()}
    size = {tier: f"{row['coughs']} coughs, {row['others']} other sounds" for tier, row in unheard.items()}
    parts.append(
        f"**Short gates, each on all that its tier has of sources that they never heard**: `all` on "
        f"{size['all']}, `open` on {size['open']}; not the same recordings, so the two do not compare.\n\n"
        + _figures(
            {
                f"{name}{of}": unheard[tier][detector]
                for tier in TIERS
                for detector, name, of in (
                    ("ours", f"`{tier}`", ""),
                    ("mn04", "mn04", f", those of `{tier}`"),
                )
            }
        )
    )
    parts.append(
        "Intervals are 95 %, by groups. mn04 stands where it finds as many coughs as `all` does, in the "
        "first table among all that `all` was tried on, in the last as the gate beside it does. "
        "Thresholds and calibration of each tier were chosen on at most a few clips a group of its own "
        "recordings in that table."
    )
    return "\n\n".join(parts)


def _figures(detectors: Mapping[str, dict[str, Any]]) -> str:
    """A table of what was measured of at least one of them."""
    rows = [
        [name, *(f"{number(d.get(key))} {interval(d.get(f'{key}_95'))}".strip() for d in detectors.values())]
        for key, name in TITLES.items()
        if any(d.get(key) is not None for d in detectors.values())
    ]
    return table(["figure", *detectors], rows)


if __name__ == "__main__":
    main()
