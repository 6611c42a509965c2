"""What each piece of the gate's recipe is worth on corpora that it never heard.

    make ablation                                            # the table; a long run
    python -m training.ablation --only "no mixing" --only full --out runs/ablation

Each variant changes one thing of the full recipe and is trained twice, each time without one of
``JUDGED_PARTS`` of the sources (``training.loso``); its figures are those of the pooled scores of
recordings whose source the scoring gate never heard, folds 1-4, mn04's own beside them. So that some
forty gates can be trained on two cores they see less than the shipped one (``SMALL``), and only the two
parts with nine in ten of the coughs are judged: differences between rows count, not their height, and
none smaller than what another seed changes (the row "full, another seed"). Less training than this
tells nothing: after 750 steps of half-sized batches another seed alone moved the AUROC by 0.05.

Self-training and label cleaning use scores of round one (the variant "as labelled"), whose gates
never heard a recording's own source but did hear the others; the labels of training sources so
corrected carry a trace of the source on which a variant is then judged.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cough.evaluation.metrics import auroc, specificity_at_sensitivity
from training.clips import is_silent
from training.config import TrainingConfig, read_config
from training.corpus import VOCAL_HARD, Corpus, Teacher
from training.heldout import Heldout
from training.loso import N_PARTS, Job, leave_sources_out
from training.pipeline import GATE_SOURCES, chosen_config, corpus_parser, libraries, prepare_waves
from training.stages import PROJECT, code_version, source_hash
from training.waves import read_waves

RESULTS = PROJECT / "training" / "results" / "gate"
SMALL = ["gate.epochs=3", "gate.members=1"]
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
    Variant("as labelled", _NO_RELABEL, "no self-training and no label cleaning; round one"),
    Variant("full", [], "the recipe as shipped, but for one member"),
    Variant("full, another seed", ["seed=7"], "what chance alone changes"),
    Variant("no self-training", ["gate.self_training=false"], "unlabelled clips: only what mn04 is firm on"),
    Variant("no label cleaning", ["gate.label_cleaning=false"], "every clip labelled cough is learnt from"),
    Variant(
        "no frame self-training",
        ["gate.frame_self_training=false"],
        "inside coughs only the frames that mn04 hears",
    ),
    Variant("two members", ["gate.members=2"], "the mean logit of two seeds, as shipped"),
    Variant("no logit distillation", ["gate.teacher_logit_loss=0.0"], "mn04's 82 class logits not imitated"),
    Variant("no embedding distillation", ["gate.teacher_embedding_loss=0.0"], "nor mn04's embeddings"),
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
    Variant("no equalisation", ["augment.equalise_probability=0.0"], "gain is removed by the front end"),
    Variant("no masking", ["augment.spectrogram_mask_probability=0.0"], "no SpecAugment"),
    Variant("no speed change", ["augment.speed_probability=0.0"], "no faster or slower throats"),
    Variant("no hard-negative mining", ["gate.hard_negative_mining=false"], "what fools it is not repeated"),
    Variant("no synthetic sounds", ["gate.synthetic_share=0.0"], "no espeak-ng speech, no near-coughs"),
    Variant("with composed clips", ["gate.composed_share=0.15"], "coughs at known times over other sounds"),
    Variant("with mixup", ["gate.mixup_probability=0.5"], "half of the batches blended in pairs"),
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
    corpus = Corpus.read(arguments.corpus)
    teacher = Teacher.read(corpus)
    began_at = code_version()
    waves_folder = prepare_waves(corpus, arguments.cache, config)
    inputs = {
        "labels": corpus.labels_hash,
        "teacher": teacher.sha256,
        "waves": read_waves(waves_folder).sha256,
        "libraries": libraries(),
        "source": source_hash([*GATE_SOURCES, "training.loso", "training.scoring"]),
    }
    chosen = [v for v in VARIANTS if arguments.only is None or v.name in arguments.only]
    unknown = set(arguments.only or []) - {v.name for v in VARIANTS}
    if unknown:
        parser.error(f"no variant called {', '.join(sorted(unknown))}")

    def jobs(variant: Variant, parts: Iterable[int], heldout: tuple[Path, ...]) -> list[Job]:
        changed = read_config(arguments.config, ["threads=1", *SMALL, *variant.overrides])
        heard = heldout if changed.gate.listens_to_heldout else ()
        own = {**inputs, "heldout": [folder.name for folder in heard]}
        return [
            Job(part, changed, (corpus.root,), waves_folder, arguments.cache, own, heard) for part in parts
        ]

    first = tuple(leave_sources_out(jobs(VARIANTS[0], range(N_PARTS), ()), processes=arguments.processes))
    every = [job for variant in chosen for job in jobs(variant, JUDGED_PARTS, first)]
    folders = leave_sources_out(every, processes=arguments.processes)
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


def _beyond_chance(variants: list[dict[str, Any]], full: dict[str, Any] | None) -> list[str]:
    """Which rows differ from "full" by more than another seed does, in words."""
    other = next((v for v in variants if v["name"] == "full, another seed"), None)
    if full is None or other is None:
        return []
    sentences = []
    for key, title in (("auroc", "AUROC"), ("auroc_hard", "AUROC, hard")):
        chance = abs(other[key] - full[key])
        beyond = [
            f"{v['name']} ({v[key] - full[key]:+.4f})"
            for v in variants
            if v is not other and v is not full and abs(v[key] - full[key]) > chance
        ]
        sentences.append(
            f"{title}: another seed alone moves it by {chance:.4f}; "
            + (f"beyond that: {', '.join(beyond)}." if beyond else "no row goes beyond that.")
        )
    return [" ".join(sentences), ""]


def as_markdown(result: dict[str, Any]) -> str:
    """The table for a page; the second line says what a difference must exceed."""
    variants = result["variants"]
    sources = list(result["mn04"]["auroc_by_source"])
    full = next((v for v in variants if v["name"] == "full"), None)
    header = ["variant", "AUROC", "minus full", "hard", "minus full", "spec. at 95 % sens.", "hard", *sources]
    lines = [
        "# What each piece of the gate's recipe is worth on corpora that it never heard",
        "",
        f"{result['mn04']['coughs']} coughs against {result['mn04']['others']} other sounds of folds 1-4, "
        "each scored by a small gate that never heard its source; AUROC by source is that source's coughs "
        f"against all other sounds. Made by `make ablation` (code `{result['code_version']}`, data "
        f"`{result['data_hash'][:12]}`); the gates are smaller than the shipped one, so compare rows. What "
        "another seed changes is chance.",
        "",
        *_beyond_chance(variants, full),
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
    ]
    for v in [*variants, {"name": "mn04 (never trained here)", **result["mn04"]}]:
        gain = ["", ""]
        if full is not None and v["name"] not in ("full", "mn04 (never trained here)"):
            gain = [f"{v[key] - full[key]:+.4f}" for key in ("auroc", "auroc_hard")]
        cells = [
            v["name"], f"{v['auroc']:.4f}", gain[0], f"{v['auroc_hard']:.4f}", gain[1],
            f"{v['specificity_at_95']:.3f}", f"{v['specificity_at_95_hard']:.3f}",
            *(f"{v['auroc_by_source'][s]:.3f}" for s in sources),
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", *(f"- {v['name']}: {v['says']}" for v in variants), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
