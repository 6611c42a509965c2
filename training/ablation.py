"""What each piece of the gate's recipe is worth on corpora that it never heard.

    make ablation                                            # the table; a long run
    python -m training.ablation --only "no mixing" --only full --out runs/ablation

Each variant changes one thing of the full recipe and is trained twice, each time without one of
``JUDGED_PARTS`` of the sources (``training.loso``); its figures are those of the pooled scores of
recordings whose source the scoring gate never heard, folds 1-4, mn04's own beside them. So that some
forty gates can be trained on two cores (53 s an epoch, two at a time) they see less than the shipped one
(``SMALL``), and only the two parts with nine in ten of the coughs are judged: differences between rows
count, not their height, and none smaller than what chance changes. That is why the full recipe is trained
from three seeds: rows are compared with their mean, and chance is how far one of them is from another.
Less training than this tells nothing: with 3 epochs another seed alone moved the AUROC by 0.03.

Self-training and label cleaning use scores of the short gates of ``make train`` (trained first where they
are not there yet), which never heard a recording's own source but did hear the others; the labels of
training sources so corrected carry a trace of the source on which a variant is then judged. Going on from
a short gate's weights (``gate.warm_start``) has no row: it is more epochs, paid for by those gates.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cough.evaluation.metrics import auroc, specificity_at_sensitivity
from training.benchmark import RESULTS
from training.clips import is_silent
from training.config import TrainingConfig, read_config
from training.corpus import VOCAL_HARD, Corpus
from training.decoded import prepare_waves
from training.device import device
from training.heldout import Heldout
from training.joined import read_teacher
from training.loso import Job
from training.options import chosen_config, chosen_corpus, corpus_parser
from training.pipeline import GATE_SOURCES, libraries, loso_jobs
from training.stages import PROJECT, code_version, run_apart, source_hash
from training.waves import read_waves

SMALL = ["gate.epochs=8", "gate.members=1"]
SEEDS = ("full", "full, another seed", "full, a third seed")
"""The same recipe three times: what chance alone changes."""
FIGURES = {
    "auroc": "AUROC",
    "auroc_hard": "AUROC, hard",
    "specificity_at_95": "specificity at 95 % sensitivity",
    "specificity_at_95_hard": "the same, hard",
}
JUDGED_PARTS = (0, 1)
"""Call centre and Telegram; phone coughs of 0.3 s; each with speech and other sounds of its own."""
_NO_RELABEL = [f"gate.{k}=false" for k in ("self_training", "frame_self_training", "label_cleaning")]


@dataclass(frozen=True)
class Variant:
    """One change of the recipe."""

    name: str
    overrides: list[str]
    says: str


VARIANTS = (
    Variant(SEEDS[0], [], "the recipe as shipped, labelled member alone"),
    Variant(SEEDS[1], ["seed=21201"], "what chance alone changes"),
    Variant(SEEDS[2], ["seed=7"], "what chance alone changes"),
    Variant("as labelled", _NO_RELABEL, "no self-training of clips or frames, no label cleaning"),
    Variant("no embedding distillation", ["gate.teacher_embedding_loss=0.0"], "mn04's embeddings not copied"),
    Variant("no logit distillation", ["gate.teacher_logit_loss=0.0"], "nor its 82 class logits"),
    Variant("no masking", ["augment.spectrogram_mask_probability=0.0"], "no SpecAugment"),
    Variant("no equalisation", ["augment.equalise_probability=0.0"], "gain is removed by the front end"),
    Variant(
        "no telephone, no codecs",
        [f"augment.{k}_probability=0.0" for k in ("telephone", "low_pass", "codec")],
        "no band limits; no AMR-NB, Opus, AAC, MP3 or mu-law round trips",
    ),
    Variant("no rooms", ["augment.room_probability=0.0"], "no impulse responses"),
    Variant(
        "no mixing",
        ["augment.mix_probability=0.0", "augment.noise_probability=0.0"],
        "no second sound and no noise under the first",
    ),
    Variant("no synthetic sounds", ["gate.synthetic_share=0.0"], "no espeak-ng speech, no near-coughs"),
    Variant("no hard-negative mining", ["gate.hard_negative_mining=false"], "what fools it is not repeated"),
    Variant("with mixup", ["gate.mixup_probability=0.5"], "half of the batches blended in pairs"),
    Variant("no self-training", ["gate.self_training=false"], "unlabelled clips: only what mn04 is firm on"),
    Variant("no label cleaning", ["gate.label_cleaning=false"], "every clip labelled cough is learnt from"),
    Variant(
        "no frame self-training",
        ["gate.frame_self_training=false"],
        "inside coughs only the frames that mn04 hears",
    ),
    Variant("no speed change", ["augment.speed_probability=0.0"], "no faster or slower throats"),
    Variant("with composed clips", ["gate.composed_share=0.15"], "coughs at known times over other sounds"),
)  # fmt: skip


def main() -> None:
    """Command line; ``--help`` tells."""
    parser = corpus_parser(__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="these variants alone")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--out", type=Path, help=f"default: {RESULTS.relative_to(PROJECT)}; needed with --only"
    )
    arguments = parser.parse_args()
    if arguments.only and arguments.out is None:
        parser.error("--only needs --out: it would leave a part in the place of the whole table")
    out = arguments.out or RESULTS
    config = chosen_config(parser, arguments.config)
    corpus = chosen_corpus(parser, arguments.corpus)
    teacher = read_teacher(corpus)
    began_at = code_version()
    waves_folder = prepare_waves(corpus, arguments.cache, config)
    shared = {
        "labels": corpus.labels_hash,
        "teacher": teacher.sha256,
        "waves": read_waves(waves_folder).sha256,
        "libraries": libraries(),
        "device": device().type,
    }
    source = source_hash([*GATE_SOURCES, "training.loso", "training.scoring"])
    chosen = [v for v in VARIANTS if arguments.only is None or v.name in arguments.only]
    unknown = set(arguments.only or []) - {v.name for v in VARIANTS}
    if unknown:
        parser.error(f"no variant called {', '.join(sorted(unknown))}")

    def jobs(variant: Variant, parts: Iterable[int], heldout: tuple[Path, ...]) -> list[Job]:
        changed = read_config(arguments.config, ["threads=1", *SMALL, *variant.overrides])
        heard = heldout if changed.gate.listens_to_heldout else ()
        own = {**shared, "source": source, "heldout": [folder.name for folder in heard]}
        return [
            Job(part, changed, (corpus.root,), waves_folder, arguments.cache, own, heard) for part in parts
        ]

    short = loso_jobs(corpus, (corpus.root,), waves_folder, arguments.cache, config, shared)
    first = tuple(run_apart(short, processes=arguments.processes))
    every = [job for variant in chosen for job in jobs(variant, JUDGED_PARTS, first)]
    folders = run_apart(every, processes=arguments.processes)
    waves = read_waves(waves_folder)
    n_judged = len(JUDGED_PARTS)
    rows = {
        variant.name: figures(
            corpus, waves_folder, Heldout.read(folders[i * n_judged : (i + 1) * n_judged]), config
        )
        for i, variant in enumerate(chosen)
    }
    some = Heldout.read(folders[:n_judged])
    labelled = judged(corpus, some.rows, waves)
    result = {
        "code_version": began_at,
        "data_hash": corpus.data_hash,
        "base": {"overrides": SMALL, "seed": config.seed},
        "variants": [
            {"name": v.name, "says": v.says, "overrides": v.overrides} | rows[v.name] for v in chosen
        ],
        "mn04": summary(corpus, labelled, teacher.clip_scores(len(corpus.recordings))[labelled]),
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "ablation.json").write_text(json.dumps(result, indent=1) + "\n")
    (out / "ablation.md").write_text(as_markdown(result))
    print(as_markdown(result))


def judged(corpus: Corpus, rows: np.ndarray, waves: Any) -> np.ndarray:
    """Those of the rows that have a label which the clip can bear out: not silent ones; sorted."""
    return np.sort(
        [
            r for r in rows
            if corpus.recordings[r].is_cough is not None and not is_silent(waves.samples(int(r)))
        ]
    )  # fmt: skip


def figures(corpus: Corpus, waves_folder: Path, heldout: Heldout, config: TrainingConfig) -> dict[str, Any]:
    """Figures of one variant from the scores of its gates."""
    rows = judged(corpus, heldout.rows, read_waves(waves_folder))
    scores = heldout.clip_scores(len(corpus.recordings), config.gate.score_frames)
    return summary(corpus, rows, scores[rows])


def summary(corpus: Corpus, rows: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    """Pooled AUROC and specificity at 95 % sensitivity, all and hard, and AUROC by source of coughs."""
    recordings = [corpus.recordings[r] for r in rows]
    cough = np.array([r.is_cough for r in recordings], dtype=int)
    near = np.array([r.is_cough or r.event in VOCAL_HARD for r in recordings])
    source = np.array([r.source for r in recordings])
    sources = [s for s in np.unique(source) if cough[source == s].sum() >= 20]
    return {
        "coughs": int(cough.sum()),
        "others": int((1 - cough).sum()),
        "auroc": round(auroc(cough, scores), 4),
        "auroc_hard": round(auroc(cough[near], scores[near]), 4),
        "specificity_at_95": round(specificity_at_sensitivity(cough, scores, target=0.95), 4),
        "specificity_at_95_hard": round(
            specificity_at_sensitivity(cough[near], scores[near], target=0.95), 4
        ),
        "auroc_by_source": {
            str(s): round(auroc(cough[(source == s) | (cough == 0)], scores[(source == s) | (cough == 0)]), 4)
            for s in sources
        },
    }


def _of_seeds(variants: list[dict[str, Any]], key: str) -> list[float]:
    return [v[key] for v in variants if v["name"] in SEEDS]


def _beyond_chance(variants: list[dict[str, Any]]) -> list[str]:
    """Which rows differ from the mean of the seeds by more than these differ among themselves, in words."""
    if not set(SEEDS) <= {v["name"] for v in variants}:
        return []
    sentences = []
    for key, title in FIGURES.items():
        seeds = _of_seeds(variants, key)
        chance = max(seeds) - min(seeds)
        beyond = [
            f"{v['name']} ({v[key] - np.mean(seeds):+.4f})"
            for v in variants
            if v["name"] not in SEEDS and abs(v[key] - np.mean(seeds)) > chance
        ]
        sentences.append(
            f"{title}: three seeds of one recipe lie {chance:.4f} apart; "
            + (f"beyond that: {', '.join(beyond)}." if beyond else "no row goes beyond that.")
        )
    return [*(f"- {sentence}" for sentence in sentences), ""]


def _left_out(trained: set[str]) -> list[str]:
    names = [variant.name for variant in VARIANTS if variant.name not in trained]
    return [f"Not trained for this table: {', '.join(names)}.", ""] if names else []


def as_markdown(result: dict[str, Any]) -> str:
    """The table for a page; the list above it says what a difference must exceed."""
    variants, mn04 = result["variants"], {"name": "mn04 (never trained here)", **result["mn04"]}
    sources = list(mn04["auroc_by_source"])
    header = ["variant"]
    for title in FIGURES.values():
        header += [title, "minus full"]
    lines = [
        "# What each piece of the gate's recipe is worth on corpora that it never heard",
        "",
        f"{mn04['coughs']} coughs against {mn04['others']} other sounds of folds 1-4, each scored by a small "
        "gate that never heard its source; AUROC by source is that source's coughs against all other sounds. "
        f"Made by `make ablation` (code `{result['code_version']}`, data `{result['data_hash'][:12]}`); the "
        "gates are smaller than the shipped one, so compare rows. *Minus full*: less the mean of the seeds "
        "of the full recipe. What these differ by is chance.",
        "",
        *_beyond_chance(variants),
        *_left_out({v["name"] for v in variants}),
        "| " + " | ".join([*header, *sources]) + " |",
        "|" + "---|" * (len(header) + len(sources)),
    ]
    for v in [*variants, mn04]:
        cells = [v["name"]]
        for key in FIGURES:
            seeds = _of_seeds(variants, key)
            compared = seeds and v is not mn04 and v["name"] not in SEEDS
            cells += [f"{v[key]:.4f}", f"{v[key] - np.mean(seeds):+.4f}" if compared else ""]
        cells += [f"{v['auroc_by_source'][s]:.3f}" for s in sources]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", *(f"- {v['name']}: {v['says']}" for v in variants), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
