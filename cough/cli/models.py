"""``cough models``"""

from __future__ import annotations

from typing import Any

from cough.bundle import load_bundle
from cough.cli import common
from cough.screener import Screener


def models(json_lines: common.JsonOption = False, bundle: common.BundleOption = None) -> None:
    """Verify the model bundle and say what is in it, how it was trained and what it reaches."""
    with common.usage_errors():
        loaded = load_bundle(bundle)
        Screener(loaded)  # whether its graphs are what it says
    spec = loaded.spec
    if json_lines:
        common.emit(spec.model_dump_json())
        return
    common.emit(f"bundle         {spec.bundle_id}  (verified)")
    common.emit(f"trained by     code {spec.training.code_version}, seed {spec.training.seed}")
    common.emit(f"training data  {spec.training.data_hash[:16]}...")
    for licence, count in spec.training.licences.items():
        common.emit(f"  {count:5} recordings under {licence}")
    for name, digest in spec.files.items():
        common.emit(f"{name:14} {len(loaded.contents[name]) / 1e6:.2f} MB  sha256 {digest[:16]}...")
    common.emit(f"gate           threshold {spec.gate.threshold}: {spec.gate.threshold_chosen}")
    if words := _of_gate(spec.metrics["gate"]):
        common.emit(f"{'':14} {words}")
    for condition in spec.conditions:
        evidence = condition.evidence
        common.emit(
            f"{condition.name:14} AUROC {evidence.auroc:.2f} ({evidence.auroc_95[0]:.2f}-"
            f"{evidence.auroc_95[1]:.2f}), levels alone {evidence.level_only_auroc:.2f} "
            f"({evidence.level_only_auroc_95[0]:.2f}-{evidence.level_only_auroc_95[1]:.2f}), "
            f"on {evidence.n_recordings} recordings: {evidence.test_set}"
        )
        common.emit(f"{'':14} {condition.policy}")


def _of_gate(metrics: Any) -> str:
    """What the gate reaches, as this project's training writes it; empty where it is written otherwise."""
    try:
        judged = metrics["fold_5"]
        ours, (low, high) = judged["ours"], judged["ours"]["auroc_95"]
        return (
            f"AUROC {ours['auroc']:.3f} ({low:.3f}-{high:.3f}), "
            f"sensitivity {ours['sensitivity']:.3f}, specificity {ours['specificity']:.3f}, on "
            f"{judged['coughs']} cough clips and {judged['others']} others. {judged['note']}"
        )
    except (KeyError, TypeError, ValueError):
        return ""
