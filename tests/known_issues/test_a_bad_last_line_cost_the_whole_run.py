"""A bad cell was met when its shard's turn came; mending it changed the hash, and all was to do again."""

from __future__ import annotations

from pathlib import Path

import pytest

from cough import errors
from cough.run import Run
from tests.conftest import EXAMPLES


def test_a_bad_cell_is_found_before_the_work(tmp_path: Path) -> None:
    good = [f"{i},{EXAMPLES / 'synthetic_noise.ogg'},5.0" for i in range(70)]
    lines = ["recording_id,path,duration_s", *good, "last,x.wav,soon"]
    (tmp_path / "recordings.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(errors.ManifestInvalid, match="Line 72: duration_s"):
        Run.plan(tmp_path)
