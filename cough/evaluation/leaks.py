"""Whether the people or the sounds that a score is judged on stood in its training."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from cough import errors
from cough.evaluation.table import NOBODY
from cough.manifest import UNKNOWN, Manifest


@dataclass(frozen=True)
class Known:
    """Whom and what a training knew."""

    subjects: frozenset[str] = frozenset()
    sounds: frozenset[str] = frozenset()
    """``pcm_sha256`` of its recordings."""

    @classmethod
    def of(cls, manifest: Manifest) -> Known:
        """Everybody and everything that a training manifest names.

        Raises
        ------
        ManifestInvalid : neither a subject nor a hash: nothing could be found, so nothing may be promised
        """
        recordings = [row.recording for row in manifest.rows()]
        subjects = frozenset(r.subject_id for r in recordings) - {UNKNOWN}
        sounds = frozenset(r.pcm_sha256 for r in recordings if r.pcm_sha256)
        if not subjects and not sounds:
            raise errors.ManifestInvalid(
                "The training manifest names neither subjects nor pcm_sha256: no leak could be found by it."
            )
        return cls(subjects, sounds)


def looked_for(rows: pd.DataFrame, known: Known | None) -> bool:
    """Whether anything is known about what the score was trained on."""
    return known is not None or ("in_training" in rows and bool(rows["in_training"].notna().any()))


def leaks(rows: pd.DataFrame, known: Known | None) -> list[str]:
    """Subjects of these rows whom the training knew, by name, by the hash of a sound, or by its bundle.

    What the bundle was trained on, ``cough batch`` has found by itself (``in_training``).
    """
    known = known or Known()
    met = rows["subject"].str.removeprefix(NOBODY).isin(known.subjects)
    if "pcm_sha256" in rows:
        met |= rows["pcm_sha256"].isin(known.sounds)
    if "in_training" in rows:
        met |= rows["in_training"].eq(True)
    return sorted(set(map(str, rows.loc[met.to_numpy(bool), "subject"])))
