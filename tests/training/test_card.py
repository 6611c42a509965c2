"""The card, on a made-up bundle: what it must say, and what it must never carry over."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cough.bundle import DEFAULT_BUNDLE, Bundle, BundleSpec, load_bundle
from training.benchmark import provenance
from training.card import NO_TABLE, NO_TIERS, NOT_MEASURED, card, write_card
from training.card_page import as_markdown
from training.honest_table import REPORT

FILES = {name: name.encode() for name in ("gate.onnx", "encoder.onnx", "flu.onnx")}


def spec(*, answers: bool = False, licences: str = "open", auroc: float = 0.9) -> BundleSpec:
    files = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    return BundleSpec.model_validate(
        {
            "format": 2,
            "bundle_id": "made-up",
            "sample_rate_hz": 16_000,
            "files": files,
            "gate": {
                "file": "gate.onnx",
                "hop_s": 0.04,
                "context_s": 1.0,
                "score_frames": 4,
                "threshold": 0.4,
                "exit_threshold": 0.2,
                "min_event_s": 0.08,
                "merge_gap_s": 0.08,
                "threshold_chosen": "At 95 % sensitivity on 100 made-up coughs.",
                "calibration": "None.",
            },
            "encoder": {"file": "encoder.onnx", "window_s": 1.0, "embedding_size": 8},
            "conditions": [
                {
                    "name": "flu",
                    "title": "Influenza",
                    "classes": ["negative", "positive"],
                    "voters": [
                        {
                            "name": "one",
                            "hears": "embeddings",
                            "file": "flu.onnx",
                            "encoder_sha256": files["encoder.onnx"],
                            "method": "made up",
                            "calibration": "Platt.",
                        }
                    ],
                    "mediator": {
                        "slope": 1.0,
                        "shifts": [0.0, 0.0],
                        "conformal_coverage": 0.9,
                        "conformal_quantiles": [0.5, 0.5],
                        "chosen": "On half.",
                        "coverage_by_band": {"wide": [40, 0.9]},
                    },
                    "base_rate": 0.5,
                    "bands": ["wide"],
                    "answers": answers,
                    "policy": "Answers when it may.",
                    "evidence": {
                        "test_set": "made-up clinic",
                        "n_recordings": 40,
                        "n_positive": 20,
                        "auroc": 0.7,
                        "auroc_95": [0.6, 0.8],
                        "level_only_auroc": 0.65,
                        "level_only_auroc_95": [0.55, 0.75],
                        "margin_95": [-0.1, 0.2],
                    },
                }
            ],
            "training": {
                "code_version": "abc",
                "config": {"licences": licences},
                "data_hash": "d" * 64,
                "licences": {"CC0": 30, "CC BY-NC 3.0": 12},
                "seed": 7,
                "libraries": {"torch": "2"},
                "teacher": "a teacher",
                "teacher_sha256": "e" * 64,
            },
            "metrics": {
                "gate": {"fold_5": {"auroc": auroc, "coughs": 3, "by_source": {"a": {"auroc": 0.111}}}},
                "encoder": {"probe_fold_5": {"test_clips": 100, "accuracy": 0.5}},
                "flu": {"test": {"test_set": "made-up clinic", "auroc": 0.7, "auroc_95": [0.6, 0.8]}},
                "training": {"core_s": 1800},
            },
        }
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle", spec())


def write_bundle(folder: Path, description: BundleSpec) -> Path:
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    (folder / "bundle.json").write_text(description.model_dump_json())
    return folder


def result(description: BundleSpec, **changes: Any) -> dict[str, Any]:
    """What ``training.gate_report`` writes, as far as a card reads it."""
    figures = {"sensitivity": 0.94, "specificity": 0.98, "auroc": 0.987, "auroc_95": [0.971, 0.995]}
    sneeze = {"specificity": 0.5, "false_accepts": 2}
    silence = {"specificity": 1.0, "false_accepts": 0}
    phones = {"sensitivity": 0.75, "false_rejects": 1, "specificity": None}
    return {
        "bundle_id": description.bundle_id,
        "gate_sha256": description.files["gate.onnx"],
        "code_version": "def",
        "data_hash": "f" * 64,
        "title": "Gate on fold 5",
        "gate": description.gate.model_dump(mode="json"),
        "silent_coughs": 3,
        "table": {
            "groups": 9,
            "pooled": {"coughs": 4, "others": 8, "ours": figures, "mn04": figures | {"auroc": 0.912}},
            "by_source": {"phones": {"coughs": 4, "others": 0, "ours": phones, "mn04": phones}},
            "by_event": {
                "sneeze": {"coughs": 0, "others": 4, "ours": sneeze, "mn04": sneeze},
                "silence": {"coughs": 0, "others": 4, "ours": silence, "mn04": silence},
            },
        },
    } | changes


def test_subgroups_come_from_the_result_on_this_gate(folder: Path) -> None:
    bundle = load_bundle(folder)
    row = {
        "column": "sex", "value": "female", "coughs": 18, "groups_of_coughs": 12, "others": 23,
        "sensitivity": 0.9, "sensitivity_95": [0.8, 1.0], "specificity": None, "specificity_95": None,
        "auroc": 0.95, "auroc_95": [0.9, 0.99],
    }  # fmt: skip
    measured = result(bundle.spec) | {"subgroups": [row]}
    page = as_markdown(card(bundle, [measured]))
    assert "| sex | female | 18 | 12 | 23 | 0.900 (0.800 to 1.000) | - | 0.950 (0.900 to 0.990) |" in page
    other = measured | {"gate_sha256": "0" * 64}
    assert "For whom" not in as_markdown(card(bundle, [other]))


def test_first_lines_say_no_diagnosis_and_whether_heads_answer(folder: Path) -> None:
    top = as_markdown(card(load_bundle(folder), []))[:600]
    assert "not a diagnosis" in top
    assert "The head for flu does not answer: it always abstains." in top


def test_a_head_that_answers_is_said_to(tmp_path: Path) -> None:
    bundle = load_bundle(write_bundle(tmp_path / "answers", spec(answers=True)))
    assert "The head for flu answers, or abstains." in as_markdown(card(bundle, []))


def test_without_results_it_says_not_measured(folder: Path) -> None:
    page = as_markdown(card(load_bundle(folder), []))
    assert page.count(NOT_MEASURED) == 2  # under the gate and under failure modes


def test_results_of_this_bundle_are_told(folder: Path) -> None:
    page = as_markdown(card(load_bundle(folder), [result(spec())]))
    assert NOT_MEASURED not in page
    assert "0.987 (0.971 to 0.995)" in page
    assert "0.912" in page
    assert "takes 2 of 4 sneeze clips for coughs" in page
    assert "misses 1 of 4 cough clips of phones" in page
    assert "silence clips" not in page  # it refuses all of them


@pytest.mark.parametrize("stale", [{"gate_sha256": "older"}, {"gate": {"threshold": 0.3}}])
def test_stale_results_are_left_out(folder: Path, stale: dict[str, Any]) -> None:
    facts = card(load_bundle(folder), [result(spec(), **stale)])
    assert facts["gate"] == []
    assert "0.987" not in as_markdown(facts)


def test_tables_in_the_bundle_itself_are_told(tmp_path: Path) -> None:
    description = spec()
    description.metrics["gate"]["leave_sources_out"] = result(description)["table"] | {
        "note": "Shorter gates."
    }
    page = as_markdown(card(load_bundle(write_bundle(tmp_path / "loso", description)), []))
    assert "**Cough gate, leave sources out**" in page
    assert "Shorter gates." in page
    assert page.count(NOT_MEASURED) == 2  # fold 5 still is not
    assert "takes 2 of 4 sneeze clips for coughs" in page
    assert "| gate.leave_sources_out.pooled.ours.auroc | 0.987 (0.971 to 0.995) | leave sources out |" in page


def test_figures_carry_interval_and_test_set(folder: Path) -> None:
    figures = {f["figure"]: f for f in card(load_bundle(folder), [])["figures"]}
    assert figures["flu.test.auroc"]["interval_95"] == [0.6, 0.8]
    assert figures["flu.test.auroc"]["test_set"] == "made-up clinic"
    assert figures["gate.fold_5.auroc"]["test_set"] == "fold 5"
    low, high = figures["encoder.probe_fold_5.accuracy"]["interval_95"]
    assert low == pytest.approx(0.404, abs=0.001)  # Wilson, 50 of 100
    assert high == pytest.approx(0.596, abs=0.001)
    assert not any("by_source" in name for name in figures)
    page = as_markdown(card(load_bundle(folder), []))
    assert "| flu.test.auroc | 0.700 (0.600 to 0.800) | made-up clinic |" in page
    assert "| gate.fold_5.coughs | 3 | fold 5 |" in page.split("| count | number | of |")[1]


def test_coverage_of_each_class_and_the_intervals_of_a_call_are_told(tmp_path: Path) -> None:
    described = spec()
    (flu,) = described.conditions
    called = {
        "sensitivity": 0.8,
        "sensitivity_95": (0.7, 0.9),
        "specificity": 0.6,
        "specificity_95": (0.5, 0.7),
    }
    flu = flu.model_copy(update={"evidence": flu.evidence.model_copy(update=called)})
    shares = {"negative": 0.88, "negative_95": [0.8, 0.95], "positive": 0.92, "positive_95": [0.85, 0.97]}
    tested = {**described.metrics["flu"]["test"], "coverage_of_class": shares}
    metrics = {**described.metrics, "flu": {"test": tested}}
    changed = described.model_copy(update={"conditions": (flu,), "metrics": metrics})
    page = as_markdown(card(load_bundle(write_bundle(tmp_path / "classes", changed)), []))
    assert "by class: negative 0.880 (0.800 to 0.950), positive 0.920 (0.850 to 0.970)" in page
    assert "Sensitivity 0.800 (0.700 to 0.900), specificity 0.600 (0.500 to 0.700)" in page


def test_licence_tier_training_time_and_hashes(folder: Path) -> None:
    facts = card(load_bundle(folder), [])
    assert facts["licence_tier"] | {"means": ""} == {
        "name": "open",
        "means": "",
        "recordings": 42,
        "non_commercial": 12,
    }
    page = as_markdown(facts)
    assert "0.5 hours of one core" in page
    assert hashlib.sha256(b"gate.onnx").hexdigest() in page


def test_both_tiers_side_by_side(folder: Path) -> None:
    page = as_markdown(card(load_bundle(folder), [], beside=spec(licences="all", auroc=0.95)))
    assert "| gate.fold_5.auroc | 0.900 | 0.950 |" in page
    assert "this, `open`" in page
    assert "that, `all`" in page


def test_what_the_gate_does_in_soundscapes_and_under_disturbances_is_told(folder: Path) -> None:
    of = {name: result(spec())[name] for name in ("gate_sha256", "code_version", "data_hash", "gate")}
    counts = {"count_within_10_percent_or_one": 0.75, "count_within_10_percent": 0.5}
    row = {"f1": 0.875, "f1_95": [0.85, 0.9]} | counts
    scapes = {
        "title": "Coughs in soundscapes",
        "soundscapes": {"apart": {"10 dB": row}},
        "false_alarms": {"without_sneezes": {"per_hour": 41.5}},
        **of,
    }
    noise = {"title": "cafe noise", "coughs": {"same_side": 0.946, "small_change": 0.632}}
    page = as_markdown(
        card(load_bundle(folder), [scapes, {"title": "Noise", "disturbances": {"cafe": noise}, **of}])
    )
    assert "10 dB 0.875 (0.850 to 0.900)" in page
    assert "sneezes apart: 41.5" in page
    assert "cafe noise: 94.6%" in page
    assert "63.2% of scores change by less than 0.05" in page
    assert "coughs apart: 10 dB 75% (50%)" in page


@pytest.mark.parametrize(
    ("open_auroc", "said"),
    [(0.85, "do not tell them apart"), (0.6, "ranks them better"), (0.99, "ranks them worse")],
)
def test_both_tiers_gates_are_told_where_they_were_measured_beside_this_one(
    folder: Path, open_auroc: float, said: str
) -> None:
    assert NO_TIERS in as_markdown(card(load_bundle(folder), []))
    counts = [{"specificity": 1 - n / 9, "false_rejects": 1, "false_accepts": n} for n in (3, 5)]
    ranked = [
        {"auroc": auroc, "auroc_95": [auroc - 0.05, auroc + 0.05], **count}
        for auroc, count in zip((0.8, open_auroc), counts, strict=True)
    ]
    unheard, fold_5 = (
        {
            tier: {"pooled": {"coughs": 4, "others": 9, "ours": ours}}
            for tier, ours in zip(("all", "open"), figures, strict=True)
        }
        for figures in (counts, ranked)
    )
    measured = {
        "title": "Both",
        "tiers": {"all": {"shipped": True, "trained_on": 90}, "open": {"shipped": False, "trained_on": 60}},
        "tests": {"leave_sources_out": unheard, "fold_5": fold_5, "fold_5_open": fold_5},
        **{name: result(spec())[name] for name in ("gate_sha256", "code_version", "gate")},
        "data_hash": spec().training.data_hash,
    }
    page = as_markdown(card(load_bundle(folder), [{**measured, "data_hash": "another corpus"}]))
    assert NO_TIERS in page
    page = as_markdown(card(load_bundle(folder), [measured]))
    assert "`all` ships" not in page  # this one is of the tier `open`
    assert NO_TIERS not in page
    assert NOT_MEASURED in page  # tiers are not the gate's own figures
    assert said in page
    assert "| fold 5, AUROC | 0.800 (0.750 to 0.850) |" in page
    assert "| leave sources out, specificity | 0.667 | 0.444 |" in page
    assert page.count("3 and 1 (`all`), 5 and 1 (`open`)") == 2
    assert "`all` takes 3 for coughs, `open` 5, each at its own threshold; `all` has learnt from" in page
    shipped = replace(load_bundle(folder), spec=spec(licences="all"))
    assert "`all` ships because" in as_markdown(card(shipped, [measured]))
    assert "an earlier one" not in page
    earlier = {**measured, "bundle_id": "default-before", "gate_sha256": "0" * 64}
    assert "recipe of `default-before`, an earlier one" in as_markdown(card(load_bundle(folder), [earlier]))


def test_what_was_made_of_weak_labels_is_told(tmp_path: Path) -> None:
    described = spec()
    described.metrics["gate"]["labels"] = {
        "cough_clips": 900,
        "cough_clips_dropped_as_silent": 7,
        "cough_clips_dropped_as_nobody_hears_one": 5,
        "unlabelled_clips": 80,
        "unlabelled_learnt_as_cough": 30,
        "unlabelled_learnt_as_other": 20,
    }
    page = as_markdown(card(load_bundle(write_bundle(tmp_path / "labels", described)), []))
    assert "of 900 that are called cough, by label or file name, 7 are silent and in 5 neither" in page
    assert "80 without a label, 30 are learnt as coughs and 20 as other sounds" in page


def test_results_carry_the_gate_that_a_card_looks_for(bundle: Bundle) -> None:
    corpus = SimpleNamespace(data_hash="d" * 64)
    measured = provenance(corpus, bundle, seed=0)  # type: ignore[arg-type]
    assert measured["gate_sha256"] == bundle.spec.files[bundle.spec.gate.file]


def test_why_it_abstains_stands_in_the_first_lines(tmp_path: Path) -> None:
    described = spec()
    margin = {"out_of_fold": {"margin_over_levels_95": [-0.08, 0.05]}}
    metrics = {**described.metrics, "flu": {**described.metrics["flu"], **margin}}
    bundle = load_bundle(write_bundle(tmp_path / "why", described.model_copy(update={"metrics": metrics})))
    top = as_markdown(card(bundle, []))[:600]
    assert "out of fold: -0.08 to 0.05, 95 %" in top


def test_the_shipped_card_tells_of_symptoms_and_of_the_honest_table() -> None:
    page = (DEFAULT_BUNDLE / "CARD.md").read_text()
    assert "**Symptoms**, answered beside the sound" in page
    assert "### Test fold" in page
    assert NO_TABLE not in page
    assert NOT_MEASURED not in page


def test_the_honest_table_of_another_bundle_is_not_told(folder: Path) -> None:
    facts = card(load_bundle(folder), [], honest_table={"files": {"flu.network.onnx": "another"}})
    assert facts["honest_table"] is None
    assert NO_TABLE in as_markdown(facts)


def test_the_honest_table_outlives_a_condition_that_is_added() -> None:
    """It was recognised by the bundle's id, which another condition changes."""
    shipped = load_bundle()
    grown = replace(shipped, spec=shipped.spec.model_copy(update={"bundle_id": "default-and-more"}))
    assert card(grown, [], honest_table=json.loads(REPORT.read_text()))["honest_table"]


def test_card_lies_beside_and_does_not_break_the_bundle(folder: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    (results / "fold_5.json").write_text(json.dumps(result(spec())))
    write_card(folder, results=results)
    assert load_bundle(folder).spec == spec()
    assert json.loads((folder / "card.json").read_text())["gate"][0]["title"] == "Gate on fold 5"
    assert (folder / "CARD.md").read_text().startswith("# Model card: made-up\n")


def test_what_was_kept_from_another_bundle_is_told_with_its_licences(folder: Path) -> None:
    """A gate trained on non-commercial recordings, kept by a run that was allowed none, was called open."""
    bundle = load_bundle(folder)
    kept = {
        "bundle_id": "before", "code_version": "older", "data_hash": "5" * 64, "seed": 1,
        "licences": {"CC BY-NC 3.0": 12}, "tier": "all", "config": {},
    }  # fmt: skip
    training = bundle.spec.training.model_copy(update={"kept": {"gate": kept}})
    bundle = replace(bundle, spec=bundle.spec.model_copy(update={"training": training}))
    facts = card(bundle, [])
    assert facts["licence_tier"]["name"] == "all"
    page = as_markdown(facts)
    assert "The gate was not trained by this run** but kept from `before` (code `older`" in page
    assert "12 CC BY-NC 3.0" in page


def test_limits_of_a_condition_are_those_of_a_bundle_that_has_it(folder: Path) -> None:
    assert "COVID-19" not in " ".join(card(load_bundle(folder), [])["known_limits"])
    assert "COVID-19" in " ".join(card(load_bundle(), [])["known_limits"])
