"""``cough demo``"""

from __future__ import annotations

from pathlib import Path

from cough.cli import common
from cough.cli.screen import verdict
from cough.messages import NOTICE

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def demo(bundle: common.BundleOption = None) -> None:
    """Screen the bundled example recordings, which are synthetic."""
    screener = common.open_screener(bundle)
    common.emit("Synthetic recordings made by training/synth.py; nobody coughed in them.\n")
    for path in sorted(EXAMPLES.glob("synthetic_*")):
        common.emit(verdict(path.name, screener.screen(path)))
    common.emit(f"\n{NOTICE}")
