"""covid19-cough, of a Russian call centre and a Telegram bot; see its ``dataset.yaml``.

https://github.com/covid19-cough/dataset: ``metadata.json`` and ``raw/*.mp3``, which are cut already:
``start_at`` and ``end_at`` count in the original call. ``verified`` is a PCR of the laboratory; what is
negative was tested by nobody, and whoever says of themselves that they had it already is ``recovered``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cough import errors
from cough.words import said
from training.corpora.form import Item
from training.corpora.tables import need, read_json

SOURCE = "ru_covid19_cough"
"""As the training code knows it."""
TOLD = {"call_start_s": "start_at", "call_end_s": "end_at", "call_kind": "kind", "comment": "comment"}
"""Our column -> what it is called there; no facts of the sound, but some of them follow the status."""
_HAD_IT = re.compile(r"(?<!не )переболел", re.IGNORECASE)
"""In a comment: got over it."""


def rows(root: Path) -> Iterator[Item]:
    """Every entry of the table."""
    table = need(root, "metadata.json")
    entries = read_json(table)
    if not isinstance(entries, list) or not all(isinstance(e, dict) and "filename" in e for e in entries):
        raise errors.LayoutUnknown(f"{table.name} is not the list of recordings of covid19-cough.")
    # One file may be listed more than once, for several coughs in one call.
    claims: dict[str, set[Any]] = defaultdict(set)
    for entry in entries:
        claims[entry["filename"]].add(entry.get("covid19"))
    for entry in {entry["filename"]: entry for entry in entries}.values():
        yield Item(
            key=Path(entry["filename"]).stem,
            path=table.parent / "raw" / entry["filename"],
            event="cough",
            source=SOURCE,
            channel=entry.get("source") or "",
            covid_status=_status(entry),
            covid_evidence=_evidence(entry),
            label_conflict=claims[entry["filename"]] >= {True, False},
            asymptomatic={True: "1", False: "0"}.get(entry.get("asymptomatic"), ""),
            licence="CC0 1.0",
            licence_class="open",
            extra={ours: _cell(entry.get(theirs)) for ours, theirs in TOLD.items()},
        )


def _cell(value: Any) -> str:
    return "" if value is None else said(str(value))


def _status(entry: dict[str, Any]) -> str:
    if entry.get("covid19") is False and _HAD_IT.search(_cell(entry.get("comment"))):
        return "recovered"
    return {True: "positive", False: "negative"}.get(entry.get("covid19"), "")


def _evidence(entry: dict[str, Any]) -> str:
    by_status = {"recovered": "self_report", "negative": "unverified"}
    if _status(entry) == "positive":
        return "pcr_lab_verified" if entry.get("verified") else "self_report"
    return by_status.get(_status(entry), "")
