"""``cough embed FILE... -o OUT``: the encoder's embeddings, one row a cough."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from cough.audio import SAMPLE_RATE_HZ, decode
from cough.cli import common
from cough.errors import BundleIncompatible, InputError
from cough.gate import CoughEvent

Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Recordings in any common format.")]
Output = Annotated[
    Path,
    typer.Option(
        "-o", "--output", help="out.parquet (a row a cough, with its times) or out.npy (rows only)."
    ),
]
Everything = Annotated[
    bool,
    typer.Option("--windows", help="Embed every whole second of the recording instead of the coughs in it."),
]


def embed(
    files: Files, output: Output, windows: Everything = False, bundle: common.BundleOption = None
) -> None:
    """Write the embedding of each cough, of recordings of 5 minutes at most.

    What a file gives does not depend on the others. Where every file fails, nothing is written.
    """
    if output.suffix not in (".parquet", ".npy"):
        raise typer.BadParameter("must end in .parquet or .npy", param_hint="-o")
    if output.suffix == ".parquet":
        common.need("batch", "pyarrow")
    for file in files:
        common.check_target(output, option="-o", source=file)
    screener = common.open_screener(bundle)
    rows: list[dict[str, Any]] = []
    failed = 0
    with common.progress() as progress:
        for path in progress.track(files, description="embedding"):
            try:
                samples = decode(path, limits=screener.limits).samples
                events = _seconds(len(samples)) if windows else screener.gate.detect(samples).events
                vectors = screener.encoder.embed(samples, events)
            except (InputError, BundleIncompatible) as error:
                common.report(error, str(path))
                failed += 1
                continue
            for event, vector in zip(events, vectors, strict=True):
                rows.append(
                    {
                        # A name that is not UTF-8 fits no table.
                        "file": str(path).encode("utf-8", "backslashreplace").decode(),
                        "start_s": event.start_s,
                        "end_s": event.end_s,
                        "score": None if windows else event.score,
                        "embedding": vector,
                    }
                )
    if failed == len(files):
        raise typer.Exit(common.FAILED)
    with common.replacing(output, option="-o") as partial:
        _write(partial, rows, screener.encoder.spec.embedding_size, screener.model.bundle_id)
    common.err.print(f"{len(rows)} embeddings of {len(files) - failed} files in {output}", markup=False)
    if failed:
        raise typer.Exit(common.FAILED)


def _seconds(n_samples: int) -> tuple[CoughEvent, ...]:
    """Every whole second of a recording; the whole of one that is shorter."""
    whole = range(n_samples // SAMPLE_RATE_HZ)
    spans = [(float(s), float(s + 1)) for s in whole] or [(0.0, n_samples / SAMPLE_RATE_HZ)]
    return tuple(CoughEvent(start_s=start, end_s=end, score=0.0) for start, end in spans)


def _write(path: Path, rows: list[dict[str, Any]], size: int, bundle_id: str) -> None:
    if path.suffix == ".npy":
        vectors = [row["embedding"] for row in rows]
        sink = io.BytesIO()
        np.save(sink, np.stack(vectors) if vectors else np.zeros((0, size), np.float32), allow_pickle=False)
        path.write_bytes(sink.getvalue())
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            ("file", pa.string()),
            ("start_s", pa.float64()),
            ("end_s", pa.float64()),
            ("score", pa.float64()),
            ("embedding", pa.list_(pa.float32(), size)),
        ],
        metadata={"bundle_id": bundle_id},
    )
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
