"""What a table of figures can and cannot support, in words and by rule.

The rules, in this order; the first that applies decides the level:

1. ``leak``: the score's training shares subjects or sounds with these rows, or, where nobody tells what was
   trained on, another split of their manifest shares subjects, groups or sounds with them.
2. ``too_few``: fewer than ``MIN_SUBJECTS`` subjects in a class.
3. ``no_signal``: the interval of the audio score's AUROC reaches 0.5.
4. ``not_compared``: no comparator could be tried, or not the levels of the recordings.
5. ``not_beyond``: against some comparator the interval of the difference reaches 0, or against all of
   them together ``FIT``; or matched on the confounders the interval reaches 0.5, or no method gives pairs
   enough, or none that are alike in some confounder (``UNBALANCED``); or so many were not measured, or of
   one class so many more, that who is left may tell. What the predictions leave out was not measured.
6. ``subjects_unknown``: of more than ``UNKNOWN_SHARE`` of the recordings nobody knows who is heard, so that
   intervals may be too narrow by any factor.
7. ``beyond_comparators``: none of these. It still says nothing about comparators that are absent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

MIN_SUBJECTS = 20
CHANCE = 0.5
UNBALANCED = 0.25
"""Standardised mean difference beyond which matched people are not alike (Stuart 2010, "Matching methods for
causal inference", section 3.2)."""
SURE = 0.05
"""p-value, Holm's, from which on the sound is not said to add anything."""
UNKNOWN_SHARE = 0.05
MISSING = "missing answers"
"""The comparator that asks nothing but which cells are blank."""
TOGETHER = "all of these together"
"""The comparator of every column at once: a score that is the sum of two shortcuts beats each of them."""
FIT = 0.05
"""By how much AUROC the sound has to beat that one: fitted to other people, a dozen columns lose to a score
that needed no fit (0.02 to 0.03 to the very sum of two of them, 400 people)."""

AT_MOST = 8
"""Columns named that might have stood beside the sound, and words that are no label."""

Level: TypeAlias = Literal[
    "too_few",
    "leak",
    "no_signal",
    "not_compared",
    "not_beyond",
    "subjects_unknown",
    "beyond_comparators",
]


class Verdict(BaseModel):
    """One level and the sentences that give its reasons."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: Level
    headline: str
    sentences: tuple[str, ...]


HEADLINE: dict[Level, str] = {
    "too_few": "These data are too few to say whether the sound tells anything.",
    "leak": "The score has seen these people in training: nothing follows from it.",
    "no_signal": "These data do not support that the sound tells the condition.",
    "not_compared": "What the sound would have to beat was not there: whether it tells more is not known.",
    "not_beyond": "These data do not support that the sound tells more than what needs no cough.",
    "subjects_unknown": "The sound told more than each comparator, but who is heard is not known: it may "
    "be a few people.",
    "beyond_comparators": "On these data the sound tells more than each comparator that could be tried.",
}
IN_TWO_SPLITS = "Some of these people or sounds stand in another split, too: nothing follows from the score."
"""Instead, where nothing else tells of a leak."""


def judge(condition: dict[str, Any]) -> Verdict:
    """Apply the rules to one condition's part of ``metrics.json``."""
    audio, sentences = condition["audio"]["auroc"], []
    few = min(condition["n_subjects_positive"], condition["n_subjects_negative"]) < MIN_SUBJECTS
    low, high = audio["low"], audio["high"]
    sentences.append(
        f"The audio score alone: AUROC {audio['value']:.2f} ({low:.2f} to {high:.2f}) on "
        f"{condition['n_positive']} positive and {condition['n_negative']} negative recordings."
    )
    beaten_by, not_beaten, adds = [], [], []
    for other in condition["comparators"]:
        gap = other["audio_minus_this"]
        beaten = gap["low"] > (FIT if other["name"] == TOGETHER else 0)
        if not beaten and other["p_audio_adds_holm"] < SURE:
            adds.append(other["name"])
        if gap["high"] < 0:
            beaten_by.append(f"{other['name']} ({other['auroc']['value']:.2f})")
        elif not beaten:
            not_beaten.append(f"{other['name']} ({other['auroc']['value']:.2f})")
    if not condition["comparators"]:
        sentences.append(
            "Neither levels nor anything else that needs no cough could be tried on these rows: whether the "
            "sound tells more than such things is not known."
        )
    elif "levels" in condition["absent"]:
        sentences.append(
            "The predictions do not hold the levels of these recordings: whether the sound tells more than "
            "how loud, long and bright they are is not known."
        )
    away = condition["not_measured"]
    sentences += _left_out(condition)
    if away["selects"]:
        sentences.append(
            f"Not measured were {_shares(away, 'positive', 'negative')}: who is left may tell the label, not "
            "the sound."
        )
    unknown = condition["n_unknown_subjects"] / max(1, condition["n_measured"])
    if unknown > UNKNOWN_SHARE:
        sentences.append(
            f"Of {condition['n_unknown_subjects']} recordings nobody knows who is heard: each, or each "
            "group, counts as one person, so intervals are too narrow where people recur."
        )
    if beaten_by:
        sentences.append(f"Without any cough, {_and(beaten_by)} told the label better than the sound did.")
    if not_beaten:
        sentences.append(f"The sound was not shown to be better than {_and(not_beaten)}.")
    shortcuts = [c["name"] for c in condition["comparators"] if c["auroc"]["low"] > CHANCE]
    if shortcuts:
        sentences.append(f"The label can be told from {_and(shortcuts)}: each is a shortcut for any model.")
    if others := condition["not_beside"]:
        named = _and([f"{one['column']} ({one['auroc']['value']:.2f})" for one in others[:AT_MOST]])
        more = f" and {len(others) - AT_MOST} more" if len(others) > AT_MOST else ""
        sentences.append(
            f"Not set beside the sound, though the label can be told from each alone: {named}{more}. What is "
            "no word for the label itself belongs there (--beside NAME=COLUMN)."
        )
    unmatched = []
    for matched in condition["matched"]:
        figure = matched["auroc"]
        if figure is None:
            sentences.append(f"{matched['method'].capitalize()} matching left too few pairs to judge.")
            continue
        sentences.append(
            f"In {matched['n_pairs']} pairs matched ({matched['method']}) on {_and(matched['on'])}: "
            f"AUROC {figure['value']:.2f} ({figure['low']:.2f} to {figure['high']:.2f})."
        )
        if figure["low"] <= CHANCE:
            unmatched.append(matched["method"])
        if apart := _apart(matched):
            named = _and([f"{b['name']} ({b['after']:+.2f})" for b in apart])
            sentences.append(
                f"These pairs are not alike in {named}, differences in standard deviations: what that tells "
                "is not ruled out by them."
            )
    asked = {name for matched in condition["matched"] for name in matched["on"]}
    if asked and not any(_alike(matched, asked) for matched in condition["matched"]):
        unmatched.append("no method")
        sentences.append(f"No method of matching gave pairs that are alike in all of {_and(sorted(asked))}.")
    if condition["absent"]:
        sentences.append(
            f"Not known of these recordings, so not ruled out: {_and(condition['absent'])}. "
            "Published sets were told apart by such columns alone."
        )
    if condition["constant"]:
        sentences.append(f"The same for every recording here: {_and(condition['constant'])}.")
    if condition["leaks"]:
        sentences.append(f"{len(condition['leaks'])} subjects stand in the training of this score.")
    if doubled := len(condition["in_two_splits"]):
        sentences.append(
            f"{doubled} subjects, or groups or sounds of theirs, stand in another split of the manifest, "
            "too: a score trained on that split has heard them. If none was, say on what it was "
            "(--trained-on)."
        )
    if not condition["leaks"] and not condition["leaks_looked_for"]["people"]:
        sentences.append(
            "Whether the score was trained on any of these people is not known"
            + ("; on these files it was not." if condition["leaks_looked_for"]["sounds"] else ".")
        )
    compared = condition["compared"]
    if compared and compared["n_in_training"]:
        sentences.append(
            f"The other model was trained on {compared['n_in_training']} of these recordings: its figures "
            "here are too good."
        )
    if compared and compared["not_measured"]["selects"]:
        missed = _shares(compared["not_measured"], "positive", "negative")
        sentences.append(f"The other model did not measure {missed}: on the rest it may look too good.")
    level: Level = "beyond_comparators"
    if condition["leaks"] or condition["in_two_splits"]:
        level = "leak"
    elif few:
        level = "too_few"
    elif low <= CHANCE:
        level = "no_signal"
    elif not condition["comparators"] or "levels" in condition["absent"]:
        level = "not_compared"
    elif beaten_by or not_beaten or unmatched or away["selects"]:
        level = "not_beyond"
        if adds:
            sentences.append(f"Beside {_and(adds)} the sound does add something (likelihood ratio).")
    elif unknown > UNKNOWN_SHARE:
        level = "subjects_unknown"
    headline = IN_TWO_SPLITS if level == "leak" and not condition["leaks"] else HEADLINE[level]
    return Verdict(level=level, headline=headline, sentences=tuple(sentences))


def _apart(matched: dict[str, Any]) -> list[dict[str, Any]]:
    """What the pairs of a method are not alike in."""
    return [b for b in matched["balance"] if not abs(b["after"]) <= UNBALANCED]


def _alike(matched: dict[str, Any], asked: set[str]) -> bool:
    """Whether a method's pairs were judged, and are alike in everything that any method matched on.

    What one method balances and what another does are two sets of pairs: a shortcut may pass through both.
    """
    return matched["auroc"] is not None and set(matched["on"]) == asked and not _apart(matched)


def not_judged(condition: dict[str, Any]) -> Verdict:
    """Where a class has so few subjects, or none, that there are no figures at all."""
    return Verdict(level="too_few", headline=HEADLINE["too_few"], sentences=tuple(_left_out(condition)))


def _left_out(condition: dict[str, Any]) -> Iterator[str]:
    """Labelled recordings that no figure is of, and why."""
    if others := condition["n_other_sounds"]:
        yield (
            f"{others} labelled recordings of other sounds than coughs are left out, as the manifest names "
            "them (event)."
        )
    if unused := condition["unused_labels"]:
        words = [f"{word!r} ({n})" for word, n in list(unused.items())[:AT_MOST]]
        if others := len(unused) - len(words):
            words.append(f"{others} other words")
        yield (
            f"{sum(unused.values())} recordings are left out whose label is no class here, or is marked as "
            f"in conflict (label_conflict): {_and(words)}."
        )
    if len(classes := condition["classes"]) > 2:
        yield f"Of its {len(classes)} classes every figure is of {classes[0]} against all others together."
    yield from _not_predicted(condition)


def _not_predicted(part: dict[str, Any]) -> Iterator[str]:
    if missing := part["n_without_prediction"]:
        yield (
            f"The predictions leave out {missing} of {part['n_labelled']} labelled recordings, which count "
            "as not measured; if only some were screened, choose those (--where)."
        )


def gate_in_red(gate: dict[str, Any]) -> tuple[str, ...]:
    """What the gate's part of ``metrics.json`` says of leaks."""
    sentences = []
    if gate["n_in_training"]:
        sentences.append(
            f"The gate was trained on {gate['n_in_training']} of these recordings: "
            "its figures here are too good."
        )
    if gate["n_in_two_splits"]:
        sentences.append(
            f"The people, groups or sounds of {gate['n_in_two_splits']} of these recordings stand in another "
            "split of the manifest, too: a gate trained on that split has heard them. If none was, say on "
            "what it was (--trained-on)."
        )
    return tuple(sentences)


def gate_in_words(gate: dict[str, Any]) -> tuple[str, ...]:
    """What it says besides, beside what needs no detector."""
    sentences = list(_not_predicted(gate))
    away = gate["not_measured"]
    if away["selects"]:
        sentences.append(
            f"Not measured were {_shares(away, 'coughs', 'other sounds')}: the figures are of the rest."
        )
    figure = gate["auroc"]
    if figure is None:
        rates = (("sensitivity", "coughs were found"), ("specificity", "other sounds were taken for none"))
        for name, done in rates:
            if rate := gate[name]:
                sentences.append(
                    f"{rate['value']:.1%} ({rate['low']:.1%} to {rate['high']:.1%}) of the {done}."
                )
        return (*sentences, gate["no_auroc"])
    sentences.append(
        f"AUROC {figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f}) on "
        f"{gate['n_cough']} coughs and {gate['n_other']} other sounds."
    )
    less: list[str] = []
    as_good: list[str] = []
    better: list[str] = []
    for other in gate["comparators"]:
        gap = other["audio_minus_this"]
        kind = less if gap["low"] > 0 else better if gap["high"] < 0 else as_good
        kind.append(f"{other['name']} ({other['auroc']['value']:.2f})")
    if less:
        sentences.append(f"That is more than can be told without listening for coughs from {_and(less)}.")
    if as_good:
        sentences.append(f"It was not shown to be more than can be told from {_and(as_good)}.")
    if better:
        sentences.append(f"Coughs and other sounds are told apart better by {_and(better)}.")
    if not gate["comparators"]:
        sentences.append("Nothing was there to compare it with.")
    if gate["absent"]:
        sentences.append(f"Not known of these recordings, so not ruled out: {_and(gate['absent'])}.")
    if gate["constant"]:
        sentences.append(f"The same for every recording here: {_and(gate['constant'])}.")
    compared = gate["compared"]
    if compared and compared["n_in_training"]:
        sentences.append(
            f"The other gate was trained on {compared['n_in_training']} of these recordings: its figures "
            "here are too good."
        )
    if compared and compared["not_measured"]["selects"]:
        missed = _shares(compared["not_measured"], "coughs", "other sounds")
        sentences.append(f"The other gate did not measure {missed}: on the rest it may look too good.")
    if gate["n_in_training"] is None:
        sentences.append("Whether the gate was trained on any of these recordings is not known.")
    return tuple(sentences)


def why_no_auroc(gate: dict[str, Any]) -> str:
    """Why the gate's part has none."""
    if not gate["n_other"]:
        return "No AUROC: every recording is one of coughs, so there is nothing to tell them from."
    if not gate["n_cough"]:
        return "No AUROC: no recording is one of coughs."
    return "Too few people with a cough, or too few with another sound, to judge."


def why_no_gate(n_known: int) -> str:
    """Why there is no part of the gate, ``n_known`` being the recordings of which the sound is known."""
    if n_known:
        return f"None of the {n_known} recordings of which the manifest says what they hold was measured."
    return "The manifest says of no recording what it holds (event)."


def _shares(away: dict[str, Any], positive: str, negative: str) -> str:
    """How much was not measured of each class that is here."""
    shares = ((away["positive"], positive), (away["negative"], negative))
    return _and([f"{share:.0%} of the {kind}" for share, kind in shares if share is not None])


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
