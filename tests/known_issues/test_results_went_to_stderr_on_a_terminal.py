"""With a progress bar on a terminal, rich redirected the results to stderr: ``> out.jsonl`` was empty."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

from tests.conftest import EXAMPLES


def test_results_stay_on_stdout(tmp_path: Path) -> None:
    files = [str(EXAMPLES / "synthetic_noise.ogg")] * 6
    master, terminal = pty.openpty()
    program = [sys.executable, "-c", "from cough.cli import main; main()", "screen", "--json", *files]
    with (tmp_path / "out.jsonl").open("wb") as out:
        process = subprocess.Popen(program, stdout=out, stderr=terminal)
        os.close(terminal)
        try:
            while os.read(master, 65_536):
                pass
        except OSError:  # the terminal's other end has closed
            pass
        assert process.wait(60) == 0
    os.close(master)
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 6
