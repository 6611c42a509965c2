"""A model card as a page of Markdown; what it says is put together by ``training.card``."""

from __future__ import annotations

from typing import Any

from training.benchmark import table
from training.gate_table import TITLES, interval, number
from training.honest_table import blocks as honest_table
from training.subgroups import MIN_GROUPS
from training.subgroups import as_markdown as subgroup_page

SUBGROUPS = (
    f"Intervals: 95 %, by groups; no figure for fewer than {MIN_GROUPS} groups. AUROC: a subgroup's coughs "
    "against all other sounds."
)


def as_markdown(facts: dict[str, Any]) -> str:
    """The page of ``facts``, which are those of ``training.card.card``."""
    blocks = [f"# Model card: {facts['bundle_id']}", *_opening(facts)]
    blocks += ["## Intended use", _bullets(facts["intended_use"])]
    blocks += ["## Out of scope", _bullets(facts["out_of_scope"])]
    blocks += ["## Cough gate", *_gate_blocks(facts)]
    for condition in facts["conditions"]:
        blocks += [f"## {condition['title']}", *_condition_blocks(condition)]
    if facts["honest_table"]:
        name = facts["honest_table"]["condition"]["name"]
        blocks += [f"## The honest table of {name}", *honest_table(facts["honest_table"], heading="###")]
    blocks.append(facts["no_honest_table"] or "")
    blocks += ["## Thresholds, and how they were chosen"]
    for name, chosen in facts["thresholds"].items():
        value = "" if chosen["threshold"] is None else f" {chosen['threshold']}."
        blocks.append(f"**{name}**:{value} {chosen['chosen']} Calibration: {chosen['calibration']}")
    if facts["subgroups"]:
        blocks += ["## For whom the gate works", SUBGROUPS]
    for title, rows in facts["subgroups"].items():
        blocks += [f"**{title}**", subgroup_page(rows)]
    blocks += ["## Known failure modes", facts["not_measured"] or ""]
    for title, modes in facts["failure_modes"].items():
        blocks += [f"{title}, worse than the whole:", _bullets(modes)]
    blocks += ["Beyond any figure:", _bullets(facts["known_limits"])]
    blocks += ["## Data and licences", *_licence_blocks(facts)]
    if facts["beside"]:
        blocks += ["## Beside the other licence tier", *_beside_blocks(facts)]
    blocks += ["## Every figure in bundle.json", *_figure_blocks(facts["figures"])]
    blocks += ["## How it was made", *_making_blocks(facts)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _opening(facts: dict[str, Any]) -> list[str]:
    heads = [
        f"The head for {name} answers, or abstains."
        if answers
        else f"The head for {name} does not answer: it always abstains{_why(facts, name)}."
        for name, answers in facts["answers"].items()
    ]
    return [
        f"**{facts['notice']}** {' '.join(heads) or 'It has no head for any condition.'}",
        "Models for research on screening by sound: a gate that finds coughs, an encoder that describes "
        "each, a head for each condition below. Raw 16 kHz sound in, ONNX throughout.",
    ]


def _why(facts: dict[str, Any], name: str) -> str:
    margin = facts["margins_over_levels_95"].get(name)
    if margin is None:
        return ""
    if margin[0] > 0:
        return ", for want of test recordings that bear its evidence out (see what decides, below)"
    return (
        ", because what its voters hear in the cough was not shown to tell more than how loud, long and "
        f"bright the recording is (AUROC minus that of levels, out of fold: {margin[0]} to {margin[1]}, 95 %)"
    )


def _gate_blocks(facts: dict[str, Any]) -> list[str]:
    blocks = []
    for result in facts["gate"]:
        head = (
            f"**{result['title']}**, by code `{result['code_version']}`, data `{result['data_hash'][:16]}`."
        )
        pooled = result["pooled"]
        if pooled is None:
            blocks += [head, _bullets(result["lines"])]
            continue
        rows = [
            (
                title,
                *(_valued(pooled[who].get(key), pooled[who].get(f"{key}_95")) for who in ("ours", "mn04")),
            )
            for key, title in TITLES.items()
        ]
        blocks += [
            f"{head} {pooled['coughs']} cough clips, {pooled['others']} others, {result['groups']} groups. "
            "mn04 (EfficientAT, the teacher) stands at the threshold where it finds as many coughs. "
            f"Intervals: 95 %, by groups. {result['note'] or ''}".strip(),
            table(("figure", "ours", "EfficientAT mn04"), rows),
        ]
    return [*blocks, _label_line(facts["labels"]), facts["not_measured"] or ""]


def _label_line(labels: dict[str, int] | None) -> str:
    """What was made of weak labels."""
    if not labels:
        return ""
    return (
        f"Labels of the training clips: of {labels['cough_clips']} that are called cough, by label or file "
        f"name, {labels['cough_clips_dropped_as_silent']} are silent and in "
        f"{labels['cough_clips_dropped_as_nobody_hears_one']} neither the teacher nor a gate that never "
        "heard their source hears one; they are not learnt from. Of "
        f"{labels['unlabelled_clips']} without a label, {labels['unlabelled_learnt_as_cough']} are learnt as "
        f"coughs and {labels['unlabelled_learnt_as_other']} as other sounds, at half weight."
    )


def _condition_blocks(condition: dict[str, Any]) -> list[str]:
    evidence = condition["evidence"]
    rows = [
        ("sound of the cough", _valued(evidence["auroc"], evidence["auroc_95"])),
        (
            "six level statistics alone",
            _valued(evidence["level_only_auroc"], evidence["level_only_auroc_95"]),
        ),
        ("sound minus levels", interval(evidence["margin_95"])),
    ]
    rows[1:1] = [
        (f"voter `{v['name']}`: {v['method']}", _valued(v["evidence"]["auroc"], v["evidence"]["auroc_95"]))
        for v in condition["voters"]
        if v["evidence"]
    ]
    covered = "; ".join(
        f"{band} band {facts['share']:.1%} of {facts['n']}"
        for band, facts in condition["coverage_by_band"].items()
    )
    of_class = ", ".join(
        f"{name} {_valued(share, condition['coverage_of_class_95'][name])}"
        for name, share in condition["coverage_of_class"].items()
    )
    called, kept, error = (
        _valued(evidence[name], evidence[f"{name}_95"])
        for name in ("sensitivity", "specificity", "expected_calibration_error")
    )
    return [
        f"{evidence['n_recordings']} recordings, {evidence['n_positive']} of them positive: "
        f"{evidence['test_set']}. Intervals: 95 %, by groups.",
        table(("", "AUROC"), rows),
        f"Sensitivity {called}, specificity {kept} for a call at one half; expected calibration error "
        f"{error}. The conformal set held the truth in: {covered or 'not measured'}"
        f"{f'; by class: {of_class}' if of_class else ''}.",
        condition["policy"],
        *_manifest_blocks(condition["licences"]),
        *_symptom_blocks(condition["symptoms"]),
    ]


def _manifest_blocks(licences: dict[str, int]) -> list[str]:
    """Under which licences the recordings stand that were added to the bundle's own for a condition."""
    if not licences:
        return []
    counts = ", ".join(f"{n} {licence}" for licence, n in licences.items())
    return [f"Learnt and judged on a manifest of its own; licences of its recordings, as stated: {counts}."]


def _symptom_blocks(symptoms: dict[str, Any] | None) -> list[str]:
    """The voter on what the person says, which stands apart from the sound."""
    if symptoms is None:
        return []
    evidence = symptoms["evidence"]

    def figure(name: str) -> str:
        return _valued(evidence[name], evidence.get(f"{name}_95"))

    weights = ", ".join(f"{name} {weight:+.2f}" for name, weight in symptoms["weights"].items())
    return [
        f"**Symptoms**, answered beside the sound and never mixed into it. Learnt from "
        f"{symptoms['trained_on']}. AUROC {figure('auroc')}, sensitivity "
        f"{figure('sensitivity')}, specificity {figure('specificity')} at one half, "
        f"expected calibration error {figure('expected_calibration_error')}: "
        f"{evidence['test_set']}. Elsewhere: {evidence['elsewhere']}. {evidence['caveat']}",
        f"Log-odds that a yes adds (age: a decade; sex: male): {weights}.",
    ]


def _licence_blocks(facts: dict[str, Any]) -> list[str]:
    tier = facts["licence_tier"]
    return [
        f"Licence tier `{tier['name']}`: {tier['means']}. Trained and tuned on {tier['recordings']} "
        f"recordings, {tier['non_commercial']} of them under a non-commercial licence. Teacher: "
        f"{facts['training']['teacher']}.",
        table(("licence, as the source states it", "recordings"), facts["licences"].items()),
        *(_kept_block(part, of) for part, of in facts["kept"].items()),
        *_tier_blocks(facts),
    ]


def _kept_block(part: str, of: dict[str, Any]) -> str:
    """What another run trained, and on what: the licences above are of this run alone."""
    licences = ", ".join(f"{n} {licence}" for licence, n in of.get("licences", {}).items())
    return (
        f"**The {part} was not trained by this run** but kept from `{of['bundle_id']}` (code "
        f"`{of['code_version']}`, data `{of['data_hash'][:16]}`, seed {of['seed']}, tier "
        f"`{of.get('tier', 'unknown')}`), which learnt from recordings under: {licences or 'not recorded'}."
    )


def _tier_blocks(facts: dict[str, Any]) -> list[str]:
    """The gates of both tiers beside each other, and what that says of the one that ships."""
    tiers = facts["tiers"]
    if tiers is None:
        return [facts["no_tiers"]]
    trained_on, unheard = tiers["trained_on"], tiers["tests"]["leave_sources_out"]
    rows = [
        (
            f"{name.replace('_', ' ')}, {TITLES[key]}",
            *(_valued(test[tier].get(key), test[tier].get(f"{key}_95")) for tier in ("all", "open")),
        )
        for name, test in tiers["tests"].items()
        for key in ("auroc", "auroc_hard", "sensitivity", "specificity")
        if key in test["all"]
    ]
    earlier = tiers["earlier_bundle"]
    return [
        ""
        if earlier is None
        else f"Not of this bundle: trained by the recipe of `{earlier}`, an earlier one.",
        f"Both tiers' gates, by code `{tiers['code_version']}`: `all` learnt from {trained_on['all']} "
        f"recordings, `open` from {trained_on['open']}. On the same recordings of sources that neither's "
        f"short gates had heard ({unheard['coughs']} coughs, {unheard['others']} others) false "
        f"accepts and false rejects, each at its own threshold, are {_mistakes(unheard)}."
        + _why_this_tier(tiers, facts["licence_tier"]["name"]),
        table(("", "`all`", "`open`"), rows),
    ]


def _why_this_tier(tiers: dict[str, Any], name: str) -> str:
    """What the test fold says of both tiers, and why one ships, if it is one of the two and this one."""
    fold, shipped = tiers["tests"].get("fold_5"), tiers["shipped"]
    if fold is None or shipped is None:
        return ""
    other = "open" if shipped == "all" else "all"
    mine, theirs = fold[shipped]["false_accepts"], fold[other]["false_accepts"]
    return (
        f" Of {fold['others']} other sounds of fold 5 `{shipped}` takes {mine} for coughs, `{other}` "
        f"{theirs}, each at its own threshold; `all` has learnt from the sources of the non-commercial ones "
        f"among them, `open` has not.{_open_clips(tiers)}"
        + (
            " `all` ships because it has heard more kinds of other sounds."
            if shipped == name == "all"
            else ""
        )
    )


def _open_clips(tiers: dict[str, Any]) -> str:
    fold = tiers["tests"].get("fold_5_open")
    if fold is None:
        return ""
    return (
        f" On the open clips of that fold false accepts and false rejects are {_mistakes(fold)}; "
        f"{_which_ranks_better(fold['all'], fold['open'])}."
    )


def _mistakes(test: dict[str, Any]) -> str:
    return ", ".join(
        f"{test[tier]['false_accepts']} and {test[tier]['false_rejects']} (`{tier}`)"
        for tier in ("all", "open")
    )


def _which_ranks_better(every: dict[str, Any], only_open: dict[str, Any]) -> str:
    (low, high), (other_low, other_high) = every["auroc_95"], only_open["auroc_95"]
    if low > other_high:
        return "`all` ranks them better"
    if high < other_low:
        return "`all` ranks them worse"
    return "the intervals of their AUROC overlap: these recordings do not tell them apart"


def _beside_blocks(facts: dict[str, Any]) -> list[str]:
    other, mine = facts["beside"], facts["licence_tier"]
    tier = other["licence_tier"]
    data = "the same" if other["same_data"] else "other"
    rows = [
        (f["figure"], *(_valued(f[side]["value"], f[side]["interval_95"]) for side in ("this", "beside")))
        for f in other["figures"]
    ]
    return [
        f"`{other['bundle_id']}` is of tier `{tier['name']}`: {tier['means']}. Trained and tuned on "
        f"{tier['recordings']} recordings, measured on {data} data.",
        table(("figure", f"this, `{mine['name']}`", f"that, `{tier['name']}`"), rows),
    ]


def _figure_blocks(figures: list[dict[str, Any]]) -> list[str]:
    counts = [f for f in figures if isinstance(f["value"], int)]
    measured = [f for f in figures if f not in counts]
    rows = [(f["figure"], _valued(f["value"], f["interval_95"]), f["test_set"] or "-") for f in measured]
    return [
        "In brackets: 95 % interval, where one was taken.",
        table(("figure", "value", "test set"), rows),
        table(("count", "number", "of"), [(f["figure"], f["value"], f["test_set"] or "-") for f in counts]),
    ]


def _making_blocks(facts: dict[str, Any]) -> list[str]:
    training = facts["training"]
    took = training["core_s"]
    rows = [
        ("training code", f"`{training['code_version']}`"),
        ("seed", training["seed"]),
        (
            "training, epochs alone",
            "not recorded" if took is None else f"{took / 3600:.1f} hours of one core",
        ),
        ("energy", training["energy"]),
        ("data", f"`{training['data_hash']}`"),
        ("teacher's outputs", f"`{training['teacher_sha256']}`"),
        ("bundle.json", f"`{facts['bundle_sha256']}`"),
        *((name, f"`{digest}`") for name, digest in training["files"].items()),
        ("libraries", ", ".join(f"{name} {version}" for name, version in training["libraries"].items())),
    ]
    return ["`make train` remakes it from the corpus. Hashes are sha256.", table(("", ""), rows)]


def _valued(value: float | int | None, bounds: list[float] | None) -> str:
    return f"{'' if value is None else number(value)} {interval(bounds)}".strip() or "-"


def _bullets(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
