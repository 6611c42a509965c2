"""How well a bundle's gate finds single coughs: events in soundscapes, false alarms per hour.

    python -m training.soundscapes                          # the shipped bundle -> training/results/gate
    python -m training.soundscapes --bundle DIR --out DIR
    python -m training.soundscapes --sweep                  # event parameters, on fold 4

Coughs of the test fold are placed at known times (``training.scenes``) and the events that the gate
finds are matched with them (``training.event_scores``). All other sounds of the fold are heard alone
and every event in them is a false alarm. Writes ``soundscapes.json`` and ``soundscapes.md``;
``--sweep`` writes ``event_sweep.json`` and ``event_sweep.md`` instead. Needs the corpus.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from cough import errors
from cough.audio import SAMPLE_RATE_HZ
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
from training.corpus import Corpus
from training.event_scores import MISSES, judge, rate, summary
from training.event_sweep import SWEEP_FOLD, TARGET_SNR_DB, hear_fold, sweep_events
from training.gate_table import interval, number
from training.isolated import Sound
from training.joined import read_corpora
from training.scenes import SNRS_DB, SPACINGS, Palette, palette, soundscapes

PER_SNR = 60
TARGETS = {"f1": 0.90, "count_within_10_percent": 0.95}
TARGET_PER_HOUR = 2.0
LISTED = 25


def report(corpus: Corpus, bundle: Bundle, *, out: Path, per_snr: int, seed: int) -> None:
    """Measure a bundle's gate on the test fold and write everything."""
    gate = CoughGate(bundle)
    rows, n_learnt = unlearnt_rows(corpus, bundle)
    clips = listen(corpus, rows)
    sounds = palette(corpus, clips)
    if not sounds.coughs or not sounds.voices or not sounds.backgrounds:
        raise errors.CorpusTooSmall(
            f"Fold {TEST_FOLD} lacks single coughs, other voices or background sounds to make soundscapes of."
        )
    result = {
        **provenance(corpus, bundle, seed=seed),
        "title": f"Cough events in soundscapes of fold {TEST_FOLD} (test only)",
        "gate": bundle.spec.gate.model_dump(mode="json"),
        "left_out_as_learnt_from": n_learnt,
        "sounds": _inventory(sounds),
        **measure(gate, sounds, per_snr=per_snr, seed=seed),
        "false_alarms": false_alarms(corpus, gate, clips),
    }
    write_result(out, "soundscapes", result, _page(result), command="training.soundscapes")


def measure(gate: CoughGate, sounds: Palette, *, per_snr: int, seed: int) -> dict[str, Any]:
    """Figures of the gate's events on soundscapes, by spacing and SNR."""
    unheard = {cough.name for cough in sounds.coughs if not heard_alone(gate, cough)}
    sets = [(spacing, snr) for spacing in SPACINGS for snr in SNRS_DB]
    by_spacing: dict[str, dict[str, Any]] = {spacing: {} for spacing in SPACINGS}
    for spacing, snr in track(sets, description="hearing soundscapes"):
        judged = [
            judge(scape, gate.detect(scape.samples).events)
            for scape in soundscapes(sounds, snr_db=snr, spacing=spacing, n=per_snr, seed=seed)
        ]
        by_spacing[spacing][f"{snr} dB"] = summary(judged, unheard_alone=unheard, seed=seed)
    return {"unheard_alone": len(unheard), "soundscapes": by_spacing}


def heard_alone(gate: CoughGate, cough: Sound) -> bool:
    """Whether the gate finds an isolated cough with a second of digital silence around it."""
    return bool(gate.detect(np.pad(cough.samples, SAMPLE_RATE_HZ)).events)


def false_alarms(corpus: Corpus, gate: CoughGate, clips: Mapping[int, np.ndarray]) -> dict[str, Any]:
    """Events an hour in clips without a cough, each heard alone; by event class, most first."""
    events, seconds, clips_of = Counter[str](), Counter[str](), Counter[str]()
    listed: dict[str, int] = {}
    for row, samples in track(list(clips.items()), description="hearing other sounds"):
        recording = corpus.recordings[row]
        if recording.is_cough is False:
            found = len(gate.detect(samples).events)
            events[recording.event] += found
            seconds[recording.event] += len(samples) / SAMPLE_RATE_HZ
            clips_of[recording.event] += 1
            if found:
                listed[recording.recording_id] = found
    sneezes, sneeze_s = events["sneeze"], seconds["sneeze"]
    order = sorted(seconds, key=lambda event: (-events[event], event))
    return {
        "all": rate(events.total(), seconds.total()),
        "without_sneezes": rate(events.total() - sneezes, seconds.total() - sneeze_s),
        "by_event": {e: {"clips": clips_of[e], **rate(events[e], seconds[e])} for e in order},
        "recordings": dict(sorted(listed.items(), key=lambda item: (-item[1], item[0]))[:LISTED]),
    }


def sweep(corpus: Corpus, bundle: Bundle, *, out: Path, per_snr: int, seed: int) -> None:
    """Try event parameters on the sweep fold, print the best and write all."""
    gate = CoughGate(bundle)
    rows = sweep_events(hear_fold(corpus, gate, n=per_snr, seed=seed), gate.spec)
    result = {
        **provenance(corpus, bundle, seed=seed),
        "title": f"Event parameters tried on fold {SWEEP_FOLD} (trains, tunes), from {TARGET_SNR_DB} dB on",
        "gate": bundle.spec.gate.model_dump(mode="json"),
        "rows": rows,
    }
    page = _sweep_page(rows, bundle)
    write_result(out, "event_sweep", result, page, command="training.soundscapes --sweep")
    print(page)


def _inventory(sounds: Palette) -> dict[str, Any]:
    coughs = sounds.coughs
    by_group = Counter(c.group_id for c in coughs)
    lengths_s = np.array([c.end - c.start for c in coughs]) / SAMPLE_RATE_HZ
    return {
        "isolated_coughs": len(coughs),
        "groups": len(by_group),
        "of_largest_group": max(by_group.values()),
        "by_source": dict(sorted(Counter(c.source for c in coughs).items())),
        "active_s_10_50_90": np.quantile(lengths_s, [0.1, 0.5, 0.9]).round(3).tolist(),
        "voices": {name: len(voices) for name, voices in sounds.voices.items()},
        "backgrounds": {kind: len(clips) for kind, clips in sounds.backgrounds.items()},
    }


def _page(result: dict[str, Any]) -> str:
    sounds, alarms = result["sounds"], result["false_alarms"]
    some = next(iter(result["soundscapes"]["apart"].values()))
    parts = [
        f"{some['soundscapes']} soundscapes of 30-60 s for every line, 0-15 coughs in each, made from "
        f"{sounds['isolated_coughs']} isolated coughs ("
        + ", ".join(f"{source} {n}" for source, n in sounds["by_source"].items())
        + f") of {sounds['groups']} people or originals, {sounds['of_largest_group']} of them of a single "
        f"one. In silence the gate finds {sounds['isolated_coughs'] - result['unheard_alone']} of them. "
        "How they were chosen: `training/isolated.py`. How soundscapes are made, and SNR: "
        "`training/scenes.py`. *apart*: at least 0.35 s of quiet between coughs; *bouts*: at least 0.35 s "
        "from onset to onset. F1: onsets within 200 ms, matched by mir_eval, pooled; intervals are 95 %, by "
        "soundscapes, which share coughs: they say nothing about other people. Count error: events less "
        "coughs of a soundscape, on average, and its size; then the share of soundscapes within max(1, "
        "10 %), and strictly within 10 %, which the target is of.",
        _f1_table(result),
        _targets(result),
        "## Errors",
        "Missed coughs: " + "; ".join(f"*{name}*: {meaning}" for name, meaning in MISSES.items()) + ". "
        "*Unheard alone*: the gate misses them in silence too.",
        _error_table(result),
        "Recall by the quiet between a cough and its nearest neighbour, and by source:",
        _recall_table(result),
        "## False alarms",
        "Every clip of the fold that is labelled and not a cough, heard alone; intervals are 95 % (Poisson).",
        _alarm_table(alarms),
    ]
    return "\n\n".join(parts)


def _lines(result: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{spacing}, {snr}", row)
        for spacing, by_snr in result["soundscapes"].items()
        for snr, row in by_snr.items()
    ]


def _f1_table(result: dict[str, Any]) -> str:
    columns = (
        *("soundscapes", "coughs", "events", "F1", "precision", "recall"),
        *("count error", "its size", "count", "count, strict"),
    )
    return table(
        columns,
        (
            (
                name,
                row["coughs"],
                row["events"],
                f"{number(row['f1'])} {interval(row['f1_95'])}".strip(),
                number(row["precision"]),
                number(row["recall"]),
                f"{row['count_error_mean']:+.2f}",
                f"{row['count_error_mean_absolute']:.2f}",
                percent(row["count_within_10_percent_or_one"]),
                percent(row["count_within_10_percent"]),
            )
            for name, row in _lines(result)
        ),
    )


def _targets(result: dict[str, Any]) -> str:
    counted = [
        row
        for by_snr in result["soundscapes"].values()
        for snr, row in by_snr.items()
        if int(snr.split()[0]) >= TARGET_SNR_DB
    ]
    lines = []
    for figure, target in TARGETS.items():
        lowest = min(row[figure] for row in counted if row[figure] is not None)
        lines.append(
            f"{figure.replace('_', ' ')} of at least {target:g} at {TARGET_SNR_DB} dB and above: "
            f"**{'reached' if lowest >= target else 'missed'}** (lowest {lowest:.3f})"
        )
    per_hour = result["false_alarms"]["without_sneezes"]["per_hour"]
    lines.append(
        f"fewer than {TARGET_PER_HOUR:g} false alarms an hour, sneezes apart: "
        f"**{'reached' if per_hour < TARGET_PER_HOUR else 'missed'}** ({per_hour:g})"
    )
    return "Targets:\n\n" + "\n".join(f"- {line}" for line in lines)


def _error_table(result: dict[str, Any]) -> str:
    return table(
        ("soundscapes", *MISSES, "of all missed: unheard alone", "split", "other false alarms"),
        (
            (
                name,
                *row["misses"].values(),
                f"{row['missed_that_are_unheard_alone']} of {sum(row['misses'].values())}",
                row["false_alarms"].get("split", 0),
                ", ".join(f"{why} {n}" for why, n in row["false_alarms"].items() if why != "split") or "-",
            )
            for name, row in _lines(result)
        ),
    )


def _recall_table(result: dict[str, Any]) -> str:
    lines = _lines(result)
    columns = [
        (figure, name)
        for figure in ("recall_by_gap", "recall_by_source")
        for name in dict.fromkeys(name for _, row in lines for name in row[figure])
    ]
    return table(
        ("soundscapes", *(name.replace("-inf s", " s and more") for _, name in columns)),
        ((line, *(_recall_cell(row[figure].get(name)) for figure, name in columns)) for line, row in lines),
    )


def _recall_cell(row: dict[str, Any] | None) -> str:
    return f"{row['recall']:.2f} ({row['coughs']})" if row and row["coughs"] else "-"


def _alarm_table(alarms: dict[str, Any]) -> str:
    named = {"all": alarms["all"], "all but sneeze": alarms["without_sneezes"]}
    loud = {event: row for event, row in alarms["by_event"].items() if row["events"]}
    silent = [event for event, row in alarms["by_event"].items() if not row["events"]]
    rows = (
        (name, row.get("clips", "-"), f"{row['hours']:.2f}", row["events"], _rate_cell(row))
        for name, row in (named | loud).items()
    )
    page = table(("event", "clips", "hours", "events", "an hour"), rows)
    return page + (f"\n\nNone in: {', '.join(sorted(silent))}." if silent else "")


def _rate_cell(row: dict[str, Any]) -> str:
    return f"{row['per_hour']:.1f} ({row['per_hour_95'][0]:.1f} to {row['per_hour_95'][1]:.1f})"


def _sweep_page(rows: list[dict[str, Any]], bundle: Bundle) -> str:
    spec = bundle.spec.gate
    shipped = (1.0, round(spec.exit_threshold / spec.threshold, 2), spec.merge_gap_s, 0.0)
    names = ("threshold_ratio", "exit_ratio", "merge_gap_s", "split_ratio")

    def cells(row: dict[str, Any]) -> list[object]:
        misses, alarms = row["misses"], row["false_alarms"]
        mark = " (shipped)" if tuple(row[name] for name in names) == shipped else ""
        return [
            f"{row['threshold_ratio']:g}{mark}",
            *(f"{row[name]:g}" for name in names[1:]),
            *(number(row[name]) for name in ("f1", "precision", "recall")),
            percent(row["count_within_10_percent_or_one"]),
            percent(row["count_within_10_percent"]),
            *(misses[why] for why in MISSES),
            alarms.get("split", 0),
            f"{row['alarms_without_sneezes']['per_hour']:.1f}",
        ]

    columns = (
        *names,
        "F1",
        "precision",
        "recall",
        "count",
        "count, strict",
        *MISSES,
        "split",
        "alarms an hour",
    )
    return table(columns, map(cells, rows))


def main() -> None:
    """Command line; ``--help`` tells."""
    parser = bundle_parser(__doc__, RESULTS)
    parser.add_argument("--per-snr", type=int, default=PER_SNR, help="soundscapes an SNR and spacing")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sweep", action="store_true", help=f"event parameters, on fold {SWEEP_FOLD}")
    arguments = parser.parse_args()
    out = chosen_out(parser, arguments, RESULTS)
    run = sweep if arguments.sweep else report
    try:
        corpus, bundle = read_corpora((arguments.corpus,)), load_bundle(arguments.bundle)
        run(corpus, bundle, out=out, per_snr=arguments.per_snr, seed=arguments.seed)
    except errors.CoughError as error:
        parser.exit(1, f"{error.code}: {error}\n")
    print(f"written to {out}")


if __name__ == "__main__":
    main()
