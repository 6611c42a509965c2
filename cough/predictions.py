"""The tables of a batch run: one row a recording, whatever happened to it, and one row a cough."""

from __future__ import annotations

import io
import os
import re
from typing import TYPE_CHECKING, Any

from cough import errors, store
from cough.audio import DecodeLimits, decode, read_at_most
from cough.evaluation.baselines import LEVEL_STATISTICS, level_statistics
from cough.manifest import Recording
from cough.screener import Screener

if TYPE_CHECKING:
    import pyarrow as pa

_ESCAPED = re.compile(r"\\udc[89a-f][0-9a-f]")
"""How ``Manifest.lines`` writes a byte of a name that is not UTF-8."""
INTERNAL = "internal"
"""Error code of a recording that this library failed on; ours to mend, the run goes on."""


def predict(screener: Screener, recording: Recording, where: str) -> dict[str, Any]:
    """One recording's row; an error is a row too."""
    row: dict[str, Any] = {
        "recording_id": recording.recording_id,
        "path": recording.path,
        "bundle_id": screener.bundle.spec.bundle_id,
        "events": [],
    }
    try:
        waveform = decode(fetch(where, limits=screener.limits), limits=screener.limits)
        result = screener.screen(waveform)
    except errors.CoughError as error:
        return {**row, "error_code": error.code, "error_message": str(error)}
    except Exception as error:  # noqa: BLE001  one recording must not end a run of a million
        return {**row, "error_code": INTERNAL, "error_message": type(error).__name__}
    row |= {
        "outcome": result.outcome,
        "reasons": [reason.code for reason in result.reasons],
        "cough_score": result.cough_score,
        "n_events": len(result.events),
        "duration_s": result.quality.duration_s,
        "source_rate_hz": result.source.rate_hz,
        "codec": result.source.codec,
        "container": result.source.container,
        "band": result.quality.band,
        "in_training": screener.was_trained_on(waveform),
        "events": [event.model_dump() for event in result.events],
    }
    quality = result.quality.model_dump(exclude={"duration_s", "band", "cough_count"})
    row |= {f"quality_{name}": value for name, value in quality.items()}
    levels = level_statistics(waveform.samples)
    row |= {f"level_{name}": float(value) for name, value in zip(LEVEL_STATISTICS, levels, strict=True)}
    for answer in result.conditions:
        row[f"{answer.name}_probability"] = answer.probability
        row[f"{answer.name}_answer"] = answer.answer
        row[f"{answer.name}_classes"] = list(answer.probabilities)
        row[f"{answer.name}_abstained_because"] = list(answer.abstained_because)
    return row


def fetch(where: str, *, limits: DecodeLimits | None = None) -> str | bytes:
    """What ``decode`` takes: a path as it is, the bytes behind a URL.

    Parameters
    ----------
    limits : of what is too large only so much is fetched that ``decode`` sees that it is; defaults to
        ``DecodeLimits()``

    Raises
    ------
    FileMissing : the store has no such file
    FileUnreadable : the store does not give it, or its name is not UTF-8
    MissingExtra : a URL, and fsspec or its driver is not installed
    """
    if "://" not in where:
        if _ESCAPED.search(where) and not os.path.lexists(where):
            raise errors.FileUnreadable("The name of the file is not UTF-8: rename it.")
        return where
    with store.opened(where) as file:
        return read_at_most(file, (limits or DecodeLimits()).max_bytes + 1)


def prediction_schema(conditions: tuple[str, ...]) -> pa.Schema:
    """Columns of ``predictions.parquet``, with the events still nested."""
    import pyarrow as pa

    text, number, words = pa.string(), pa.float64(), pa.list_(pa.string())
    fields: list[tuple[str, pa.DataType]] = [
        *((name, text) for name in ("recording_id", "path", "error_code", "error_message", "outcome")),
        ("reasons", words),
        ("cough_score", number),
        ("n_events", pa.int32()),
        ("duration_s", number),
        ("source_rate_hz", pa.int32()),
        *((name, text) for name in ("codec", "container", "band")),
        ("in_training", pa.bool_()),
        *((f"quality_{name}", number) for name in _QUALITY),
        *((f"level_{name}", number) for name in LEVEL_STATISTICS),
    ]
    for name in conditions:
        fields += [
            (f"{name}_probability", number),
            (f"{name}_answer", text),
            (f"{name}_classes", words),
            (f"{name}_abstained_because", words),
        ]
    nested = pa.list_(pa.struct([(n, number) for n in ("start_s", "end_s", "score")]))
    return pa.schema([*fields, ("bundle_id", text), ("events", nested)])


_QUALITY = ("peak_dbfs", "rms_dbfs", "clipped_fraction", "snr_db", "bandwidth_hz", "dc_offset")


def events_of(table: pa.Table) -> pa.Table:
    """The nested events of prediction rows, one row each."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    nested = table.column("events").combine_chunks()
    row = pc.list_parent_indices(nested)
    counts = pc.fill_null(pc.list_value_length(nested), 0).to_numpy(zero_copy_only=False)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    flat = pc.list_flatten(nested)
    return pa.table(
        {
            "recording_id": table.column("recording_id").combine_chunks().take(row),
            "event_index": pa.array(np.arange(len(flat)) - first, pa.int32()),
            **{name: pc.struct_field(flat, name) for name in ("start_s", "end_s", "score")},
        }
    )


def encode_table(table: pa.Table) -> bytes:
    """A table as an Arrow stream."""
    import pyarrow as pa

    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def decode_table(stream: bytes) -> pa.Table:
    """What ``encode_table`` made."""
    import pyarrow as pa

    return pa.ipc.open_stream(stream).read_all()
