"""``cough info FILE``"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cough.audio import decode
from cough.cli import common
from cough.errors import InputError
from cough.quality import assess, judge


def info(
    file: Annotated[Path, typer.Argument(help="A recording.")], json_lines: common.JsonOption = False
) -> None:
    """Say what a recording is and how it sounds, without any model."""
    try:
        waveform = decode(file)
    except InputError as error:
        common.fail(error, file, as_json=json_lines)
        raise typer.Exit(common.FAILED) from error
    quality = assess(waveform)
    facts = {**waveform.source.model_dump(), **quality.model_dump(mode="json", exclude={"duration_s"})}
    reasons = judge(quality)
    if json_lines:
        listed = [reason.model_dump(mode="json") for reason in reasons]
        common.emit(json.dumps({"file": str(file), **facts, "reasons": listed}))
        return
    for name, value in facts.items():
        if value is not None:
            common.emit(f"{name:18} {round(value, 4) if isinstance(value, float) else value}")
    for reason in reasons:
        common.emit(f"{'reason':18} {reason.code}: {reason.message}")
