"""What the voters of a condition learn from: one row a recording in which the gate found a cough.

Recordings come from any manifest (``cough.manifest``) and pass through the parts that the screener uses:
decoder, gate and encoder of the bundle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator
from rich.console import Console
from rich.progress import track

from cough import errors
from cough.audio import SAMPLE_RATE_HZ, decode
from cough.bundle import ABSTAIN, Bundle
from cough.encoder import Encoder, cut_window
from cough.evaluation.baselines import background_statistics, level_statistics
from cough.gate import CoughGate
from cough.heard import fingerprint
from cough.manifest import UNKNOWN, Manifest, Row
from cough.quality import assess
from training.corpora.form import fold_of

TAKEN = frozenset({"gate", "encoder", "training", "quality"})
"""Names of other figures in a bundle."""
WINDOW = SAMPLE_RATE_HZ
"""Samples that a voter which hears coughs is given of each: one second."""


class ConditionConfig(BaseModel):
    """One condition: which rows, what they claim, who votes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """Also that of its figures in the bundle, where some names are taken."""
    title: str
    classes: tuple[str, ...] = Field(min_length=2)
    """The first is the one without the condition."""
    column: str
    """Of the manifest; its words are the classes, other words are left out."""
    where: Mapping[str, str] = {}
    """Column -> the only word that is taken."""
    test_set: str
    """What the test fold is, in words."""
    test_fold: str = "5"
    voters: tuple[Literal["embedding", "classical", "network"], ...] = Field(
        default=("embedding", "classical", "network"), min_length=1
    )
    bands: tuple[Literal["telephone", "wide"], ...]
    coverage: float = Field(default=0.9, gt=0, lt=1)
    network_epochs: int = Field(default=8, ge=1)
    seed: int = 20201

    @model_validator(mode="after")
    def _has_a_name_of_its_own(self) -> ConditionConfig:
        if self.name in TAKEN:
            raise ValueError(f"a condition cannot be called {self.name}")
        return self

    @model_validator(mode="after")
    def _names_things_once(self) -> ConditionConfig:
        for name, given in (("classes", self.classes), ("voters", self.voters), ("bands", self.bands)):
            if len(set(given)) < len(given):
                raise ValueError(f"{name} names one twice")
        if ABSTAIN in self.classes:
            raise ValueError(f"no class can be called {ABSTAIN}: that is the answer where there is none")
        return self


@dataclass(frozen=True)
class Recordings:
    """Rows in which the gate found a cough."""

    ids: np.ndarray
    embeddings: np.ndarray
    """(n, embedding_size): mean over the recording's coughs."""
    windows: tuple[np.ndarray, ...]
    """n arrays (n_coughs, 16000) float32."""
    levels: np.ndarray
    """(n, 6) ``level_statistics``."""
    background: np.ndarray
    """(n, 17) ``background_statistics``."""
    labels: np.ndarray
    """(n,) index into the classes."""
    folds: np.ndarray
    """(n,) str."""
    groups: np.ndarray
    """(n,) str."""
    bands: np.ndarray
    """(n,) str."""
    fingerprints: np.ndarray
    """(n,) str, see ``cough.heard``."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Why a row with a label is not here -> how many."""

    def __len__(self) -> int:
        return len(self.labels)

    def pick(self, keep: np.ndarray) -> Recordings:
        """The rows where ``keep`` (n,) bool holds."""
        rows = np.flatnonzero(keep)
        columns = {
            f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("windows", "left_out")
        }
        picked = {name: column[rows] for name, column in columns.items()}
        return Recordings(windows=tuple(self.windows[i] for i in rows), **picked)


def collect(manifest: Manifest, config: ConditionConfig, bundle: Bundle) -> Recordings:
    """Decode, gate and embed the rows that the config names.

    Raises
    ------
    ManifestInvalid : a column that the config names is not there, a recording is named twice, or a class
        has no row, or no row in which a cough is found
    """
    missing = {config.column, *config.where} - set(manifest.header())
    if missing:
        raise errors.ManifestInvalid(f"The manifest has no column {' or '.join(sorted(missing))}.")
    left_out: dict[str, int] = {}
    chosen: list[tuple[Row, int]] = []
    classes = {_plain(name): i for i, name in enumerate(config.classes)}
    for row in manifest.rows():
        if any(row.columns[name] != word for name, word in config.where.items()):
            continue
        word = _plain(row.columns[config.column])
        if word in classes:
            chosen.append((row, classes[word]))
        else:
            reason = "another_word" if word else "no_word"
            left_out[reason] = left_out.get(reason, 0) + 1
    _check_named_once([row for row, _ in chosen])
    _check_complete({config.classes[label] for _, label in chosen}, config, "row", "")
    gate, encoder = CoughGate(bundle), Encoder(bundle)
    kept: dict[str, list[object]] = {f.name: [] for f in fields(Recordings) if f.name != "left_out"}
    for row, label in track(
        chosen, description=f"hearing recordings for {config.name}", console=Console(stderr=True)
    ):
        try:
            waveform = decode(Path(manifest.locate(row.recording)))
        except errors.InputError as error:
            left_out[error.code] = left_out.get(error.code, 0) + 1
            continue
        events = gate.detect(waveform.samples).events
        if not events:
            left_out["no_cough"] = left_out.get("no_cough", 0) + 1
            continue
        recording = row.recording
        group = recording.subject_id if recording.subject_id != UNKNOWN else recording.recording_id
        windows = np.stack([cut_window(waveform.samples, event, WINDOW) for event in events])
        facts = {
            "ids": recording.recording_id,
            "embeddings": encoder.embed(waveform.samples, events).mean(axis=0, dtype=np.float64),
            "windows": windows,
            "levels": level_statistics(waveform.samples),
            "background": background_statistics(waveform.samples, events),
            "labels": label,
            "folds": recording.split or str(fold_of(group)),
            "groups": group,
            "bands": assess(waveform, events).band or "unknown",
            "fingerprints": fingerprint(waveform.samples),
        }
        for name, value in facts.items():
            kept[name].append(value)
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items()))
    _check_complete(
        {config.classes[int(label)] for label in kept["labels"]},  # type: ignore[call-overload]
        config,
        "recording with a cough",
        f" Left out: {reasons}." if reasons else "",
    )
    windows_ = kept.pop("windows")
    return Recordings(
        **{name: np.array(values) for name, values in kept.items()},
        windows=tuple(windows_),  # type: ignore[arg-type]
        left_out=left_out,
    )


def _plain(word: str) -> str:
    """A class as people write it in tables: without case, and without blanks around it."""
    return word.strip().casefold()


def _check_named_once(rows: Sequence[Row]) -> None:
    counts = Counter(row.recording.recording_id for row in rows)
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        raise errors.ManifestInvalid(f"{len(twice)} recordings are named twice, {twice[0]} for one.")


def _check_complete(found: set[str], config: ConditionConfig, what: str, why: str) -> None:
    missing = [name for name in config.classes if name not in found]
    if missing:
        raise errors.ManifestInvalid(f"No {what} of {config.name} is {' or '.join(missing)}.{why}")


def check_apart(data: Recordings, name: str) -> None:
    """Refuse what would be learnt on one side of a split and judged on the other, or has two labels.

    Raises
    ------
    ManifestInvalid : a group, or a sound, in two folds; a sound of two classes
    """
    sides = (
        ("group", data.groups, data.folds, "folds"),
        ("sound", data.fingerprints, data.folds, "folds"),
        ("sound", data.fingerprints, data.labels, "classes"),
    )
    for kind, marks, of, what in sides:
        met: dict[str, set[object]] = {}
        for mark, one in zip(marks.tolist(), of.tolist(), strict=True):
            met.setdefault(mark, set()).add(one)
        torn = sorted(mark for mark, where in met.items() if len(where) > 1)
        if torn:
            ids = data.ids[data.fingerprints == torn[0]].tolist() if kind == "sound" else [torn[0]]
            raise errors.ManifestInvalid(
                f"{len(torn)} {kind}s of {name} are in two {what}, {' and '.join(map(str, ids))} for one."
            )
