"""How far a clip's score moves when the same sound comes through another phone, line or room.

    python -m training.robustness                           # the shipped bundle -> training/results/gate
    python -m training.robustness --bundle DIR --out DIR

Coughs of the test fold (all that can be heard) and a sample of its other sounds are scored as they are
and under every disturbance of ``training.disturbances``. Writes ``robustness.json``, ``robustness.md``
and ``robustness.png``. Needs the corpus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from cough import errors
from cough.bundle import Bundle, load_bundle
from cough.gate import CoughGate
from training.benchmark import (
    RESULTS,
    TEST_FOLD,
    bundle_parser,
    chosen_out,
    listen,
    percent,
    provenance,
    table,
    unlearnt_rows,
    write_result,
)
from training.clips import is_silent
from training.corpus import Corpus
from training.disturbances import Disturbance, cafe_noise, disturbances
from training.joined import read_corpora
from training.robustness_figure import draw_robustness
from training.scenes import BACKGROUNDS

OTHERS = 400
"""Clips without a cough, drawn once by the seed: all of them would take three times as long."""
SMALL_CHANGE = 0.05
SMALL_CHANGE_TARGET = 0.95
GAINS = ("gain_down_20", "gain_down_10", "gain_up_10", "gain_up_10_clipped")
SAME_SIDE = ("amr_12200", "opus_12000", "telephone", "cafe_10")
SAME_SIDE_TARGET = 0.95
LACKING = " For cafe-like noise, or for rooms, the fold holds no sounds."


def report(corpus: Corpus, bundle: Bundle, *, out: Path, others: int, seed: int) -> None:
    """Measure a bundle's gate on the test fold and write everything."""
    gate = CoughGate(bundle)
    rows, n_learnt = unlearnt_rows(corpus, bundle)
    clips = listen(corpus, rows)
    changes = _disturbances(corpus, clips, seed=seed)
    is_cough = {row: corpus.recordings[row].is_cough is True for row in clips}
    coughs = [row for row in clips if is_cough[row] and not is_silent(clips[row])]
    negatives = [row for row in clips if not is_cough[row] and not is_silent(clips[row])]
    drawn = np.random.default_rng([seed, 1]).permutation(len(negatives))[:others]
    sounds = {
        "coughs": [(row, clips[row]) for row in coughs],
        "others": [(negatives[i], clips[negatives[i]]) for i in sorted(drawn)],
    }
    result = {
        **provenance(corpus, bundle, seed=seed),
        "title": f"Scores under disturbances, fold {TEST_FOLD} (test only)",
        "gate": bundle.spec.gate.model_dump(mode="json"),
        "left_out_as_learnt_from": n_learnt,
        "coughs": len(coughs),
        "silent_coughs_left_out": sum(is_cough.values()) - len(coughs),
        "others": len(sounds["others"]),
        "others_in_the_fold": len(negatives),
        "disturbances": measure(gate, sounds, changes, seed=seed),
    }
    write_result(out, "robustness", result, _page(result), command="training.robustness")
    draw_robustness(result, out / "robustness.png", small_change=SMALL_CHANGE, same_side=SAME_SIDE_TARGET)


def measure(
    gate: CoughGate,
    sounds: Mapping[str, Sequence[tuple[int, np.ndarray]]],
    changes: Mapping[str, Disturbance],
    *,
    seed: int,
) -> dict[str, Any]:
    """Figures of every disturbance, ready for JSON.

    Parameters
    ----------
    sounds : by group ("coughs", "others"): row and samples of each clip; the row seeds what is random
    """
    flat = [(group, row, samples) for group, clips in sounds.items() for row, samples in clips]
    groups = np.array([group for group, _, _ in flat])
    scores = np.zeros((1 + len(changes), len(flat)))
    for i, (_, row, samples) in enumerate(track(flat, description="disturbing and scoring")):
        scores[0, i] = gate.detect(samples).cough_score
        for k, change in enumerate(changes.values()):
            disturbed = change.apply(samples, np.random.default_rng([seed, k, row]))
            scores[1 + k, i] = gate.detect(disturbed).cough_score
    threshold = gate.spec.threshold
    return {
        name: {
            "title": change.title,
            **{
                group: figures(scores[0, groups == group], scores[1 + k, groups == group], threshold)
                for group in sounds
            },
        }
        for k, (name, change) in enumerate(changes.items())
    }


def figures(before: np.ndarray, after: np.ndarray, threshold: float) -> dict[str, float | int]:
    """How scores moved.

    Parameters
    ----------
    before, after : (n,) scores of the same clips
    """
    change = np.abs(after - before)
    was, remains = before >= threshold, after >= threshold
    shares = {
        "median_change": float(np.median(change)),
        "p95_change": float(np.quantile(change, 0.95)),
        "largest_change": float(change.max()),
        "small_change": float((change < SMALL_CHANGE).mean()),
        "same_side": float((was == remains).mean()),
        "accepted_before": float(was.mean()),
        "accepted_after": float(remains.mean()),
    }
    counts = {
        "no_longer_accepted": int((was & ~remains).sum()),
        "newly_accepted": int((~was & remains).sum()),
    }
    return {name: round(value, 4) for name, value in shares.items()} | counts


def _disturbances(corpus: Corpus, clips: Mapping[int, np.ndarray], *, seed: int) -> Mapping[str, Disturbance]:
    def of(events: Sequence[str]) -> list[np.ndarray]:
        return [x for row, x in clips.items() if corpus.recordings[row].event in events and not is_silent(x)]

    rooms = corpus.where(lambda r: r.fold == TEST_FOLD and r.event == "room_impulse_response")
    voices, household = of(("speech",)), of(BACKGROUNDS["household"])
    cafe = cafe_noise(voices, household, np.random.default_rng([seed, 2])) if voices and household else None
    return disturbances(cafe, list(listen(corpus, rooms).values()))


def _page(result: dict[str, Any]) -> str:
    rows = result["disturbances"].values()
    columns = (
        "median change", "95th percentile", "largest", f"change < {SMALL_CHANGE:g}", "same side",
        "accepted: before, after",
    )  # fmt: skip

    def section(group: str) -> str:
        return table(
            (group, *columns),
            (
                (
                    row["title"],
                    *(
                        f"{row[group][name]:.3f}"
                        for name in ("median_change", "p95_change", "largest_change")
                    ),
                    percent(row[group]["small_change"]),
                    percent(row[group]["same_side"]),
                    f"{percent(row[group]['accepted_before'])}, {percent(row[group]['accepted_after'])}",
                )
                for row in rows
            ),
        )

    return "\n\n".join(
        [
            f"{result['coughs']} coughs ({result['silent_coughs_left_out']} more are silent) and "
            f"{result['others']} other clips, drawn from {result['others_in_the_fold']}. Change: of a "
            f"clip's score, without sign. Same side: of the threshold {result['gate']['threshold']:.4g}, as "
            "without the disturbance. What each disturbance is: `training/disturbances.py`."
            + ("" if {"cafe_10", "room"} <= set(result["disturbances"]) else LACKING),
            section("coughs"),
            section("others"),
            _targets(result),
            "![Score changes and clips staying on the same side](robustness.png)",
        ]
    )


def _targets(result: dict[str, Any]) -> str:
    rows = result["disturbances"]
    lines = [
        f"{rows[name]['title']}: at least {percent(SMALL_CHANGE_TARGET, decimals=0)} of coughs change by "
        f"less than {SMALL_CHANGE:g}: "
        f"**{_verdict(rows[name]['coughs']['small_change'] >= SMALL_CHANGE_TARGET)}** "
        f"({percent(rows[name]['coughs']['small_change'])} do)"
        for name in GAINS
        if name in rows
    ]
    lines += [
        f"{rows[name]['title']}: at least {percent(SAME_SIDE_TARGET, decimals=0)} of coughs stay on the same "
        f"side: **{_verdict(rows[name]['coughs']['same_side'] >= SAME_SIDE_TARGET)}** "
        f"({percent(rows[name]['coughs']['same_side'])})"
        for name in SAME_SIDE
        if name in rows
    ]
    return "Targets:\n\n" + "\n".join(f"- {line}" for line in lines)


def _verdict(reached: bool) -> str:
    return "reached" if reached else "missed"


def main() -> None:
    """Command line; ``--help`` tells."""
    parser = bundle_parser(__doc__, RESULTS)
    parser.add_argument("--others", type=int, default=OTHERS, help="clips without a cough")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    out = chosen_out(parser, arguments, RESULTS)
    try:
        corpus, bundle = read_corpora((arguments.corpus,)), load_bundle(arguments.bundle)
        report(corpus, bundle, out=out, others=arguments.others, seed=arguments.seed)
    except errors.CoughError as error:
        parser.exit(1, f"{error.code}: {error}\n")
    print(f"written to {out}")


if __name__ == "__main__":
    main()
