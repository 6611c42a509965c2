"""FluSense (Al Hossain et al. 2020); see ``data_manifests/flusense/dataset.yaml``.

https://github.com/Forsad/FluSense-data: ``flusense_data/NAME.TextGrid`` (Praat, one tier of marked
stretches) and, from elsewhere, ``NAME.wav``. A clip with a cough is a cough, others are called after what
lasts longest in them; one without a mark that can be read is unlabelled, for a cough may be in it.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from cough import errors
from training.corpora.form import Item
from training.corpora.tables import audio_by_name, find_all

SOURCE = "flusense"
EVENTS = {
    "sneeze": "sneeze", "sniffle": "sniffle", "throat-clearing": "throat_clearing", "speech": "speech",
    "laughing": "laughter", "breathe": "breathing", "burp": "burp", "snore": "snore", "gasp": "breathing",
}  # fmt: skip
OTHER, UNLABELLED = "other", "unlabelled"
VIDEO_ID = 11
"""Characters of a YouTube id."""
_INTERVAL = re.compile(r'xmin = ([\d.eE+-]+)\s+xmax = ([\d.eE+-]+)\s+text = "([^"]*)"')


def rows(root: Path) -> Iterator[Item]:
    """Every marked clip whose audio is there."""
    grids = sorted(find_all(root, "*.TextGrid"))
    if not grids:
        raise errors.LayoutUnknown(f"No TextGrid file in {root} or below.")
    files = audio_by_name(root, stem=True)
    for grid in grids:
        marks = intervals(_text(grid.read_bytes()))
        coughs = [(begin, end) for begin, end, word in marks if word == "cough"]
        yield Item(
            key=grid.stem,
            path=files.get(grid.stem, grid.with_suffix(".wav")),
            event="cough" if coughs else _longest(marks),
            source=SOURCE,
            group=grid.stem[:VIDEO_ID],
            licence="not stated (AudioSet, YouTube)",
            licence_class="",
            extra={"cough_intervals": ";".join(f"{begin:.3f}-{end:.3f}" for begin, end in coughs)},
        )


def intervals(grid: str) -> list[tuple[float, float, str]]:
    """(begin in s, end in s, word) of each stretch of a TextGrid, words in lower case."""
    return [(float(a), float(b), word.strip().lower()) for a, b, word in _INTERVAL.findall(grid)]


def _text(grid: bytes) -> str:
    """Praat writes UTF-16 where a mark is no ASCII, and marks it."""
    wide = grid.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return grid.decode("utf-16" if wide else "utf-8", errors="replace")


def _longest(marks: list[tuple[float, float, str]]) -> str:
    if not any(word for _, _, word in marks):
        return UNLABELLED
    lasting: Counter[str] = Counter()
    for begin, end, word in marks:
        if word in EVENTS:
            lasting[EVENTS[word]] += end - begin  # type: ignore[assignment]
    return lasting.most_common(1)[0][0] if lasting else OTHER
