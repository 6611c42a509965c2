"""What a batch run is: all that decides its predictions, and how its manifest is cut into shards."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

import cough
from cough import errors
from cough.bundle import DEFAULT_BUNDLE, chosen_folder, load_bundle
from cough.manifest import Manifest, Recording, Row

SHARD_ROWS = 64


class Run(BaseModel):
    """All that decides the predictions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = 1
    manifest: str
    """As the caller gave it, a path made absolute."""
    manifest_sha256: str
    n_rows: int
    bundle: str | None
    """None: the shipped one."""
    bundle_id: str
    bundle_sha256: str
    cough_version: str
    shard_rows: int = SHARD_ROWS
    row_deadline_s: float = 300.0
    """A recording that takes longer is given up; an hour of sound takes some twenty seconds."""

    @classmethod
    def plan(cls, manifest: str | os.PathLike[str], *, bundle: str | os.PathLike[str] | None = None) -> Run:
        """Read and hash what a run would use.

        Raises
        ------
        ManifestError, BundleError
        """
        folder = chosen_folder(bundle).resolve()
        opened, loaded = Manifest.open(manifest), load_bundle(folder)
        # Every line is read as a run would read it: a bad cell in the last must not cost days of screening.
        rows = opened.read_through()
        if not rows:
            raise errors.ManifestInvalid("The manifest names no recording.")
        return cls(
            manifest=opened.name,
            manifest_sha256=opened.sha256(),
            n_rows=rows,
            bundle=None if folder == DEFAULT_BUNDLE.resolve() else str(folder),
            bundle_id=loaded.spec.bundle_id,
            bundle_sha256=loaded.sha256,
            cough_version=cough.__version__,
        )

    @property
    def bundle_folder(self) -> str:
        """Where the bundle is, whatever ``COUGH_BUNDLE`` says today."""
        return self.bundle or str(DEFAULT_BUNDLE)

    @classmethod
    def read(cls, path: Path) -> Run:
        """Read ``run.json``.

        Raises
        ------
        BatchMismatch : it is none
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise errors.BatchMismatch(f"{path.name} is no record of a batch run.") from error

    def check_replayable(self) -> None:
        """Whether the manifest and the bundle are still those of the record.

        Raises
        ------
        BatchMismatch : one of them is not
        """
        now = Run.plan(self.manifest, bundle=self.bundle_folder)
        for name in ("manifest_sha256", "bundle_sha256", "cough_version"):
            if getattr(now, name) != getattr(self, name):
                used = f"{now.bundle_id} in {self.bundle_folder}, the record has {self.bundle_id}"
                hint = f" (the bundle is {used})" if name == "bundle_sha256" else ""
                raise errors.BatchMismatch(f"{name} is not that of the record{hint}.")


@dataclass(frozen=True)
class Shard:
    """Consecutive rows of a manifest."""

    index: int
    rows: tuple[tuple[Recording, str], ...]
    """Each recording and where it is."""


def plan_shards(run: Run) -> Iterator[Shard]:
    """The manifest's rows in order, ``run.shard_rows`` at a time."""
    manifest = Manifest.open(run.manifest)
    rows: Iterator[Row] = manifest.rows()
    for index in itertools.count():
        part = tuple(
            (r.recording, manifest.locate(r.recording)) for r in itertools.islice(rows, run.shard_rows)
        )
        if not part:
            return
        yield Shard(index, part)
