"""``--trained-on`` compared subjects only: where nobody knows them, the very same sounds were no leak, and a
manifest by which nothing could be found was taken as a clean one.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cough import errors
from cough.evaluation.leaks import Known, LookedFor, leaks, looked_for
from cough.manifest import Manifest


def manifest(folder: Path, text: str) -> Manifest:
    (folder / "recordings.csv").write_text(text)
    return Manifest.open(folder)


def test_the_same_sound_is_a_leak(tmp_path: Path) -> None:
    known = Known.of(manifest(tmp_path, "recording_id,path,pcm_sha256\nx,x.wav,abc\n"))
    rows = pd.DataFrame({"subject": ["p1", "p2"], "pcm_sha256": ["abc", ""]})
    assert leaks(rows, known) == ["p1"]
    assert looked_for(rows, known) == LookedFor(people=False, sounds=True)


def test_a_manifest_that_can_find_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.ManifestInvalid, match="no leak could be found"):
        Known.of(manifest(tmp_path, "recording_id,path,group_id\nx,x.wav,unknown\n"))


def test_what_was_not_looked_for_is_not_clean() -> None:
    rows = pd.DataFrame({"subject": ["p1"], "in_training": [None]})
    assert looked_for(rows, None) == LookedFor(people=False, sounds=False)
    assert leaks(rows, None) == []
