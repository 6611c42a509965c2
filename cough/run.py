"""What a batch run is: all that decides its predictions, and how its manifest is cut into shards."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

import cough
from cough import errors
from cough.bundle import DEFAULT_BUNDLE, chosen_folder, load_bundle
from cough.manifest import Manifest, Recording, Row

SHARD_ROWS = 64
LIBRARIES = ("av", "numpy", "onnxruntime", "soxr")
"""What decodes and scores; another version may differ in the last digits."""


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
    made_with: dict[str, str] = {}
    """Versions of ``LIBRARIES``, and a hash of this package's code; what differs is told, not refused."""

    @classmethod
    def plan(cls, manifest: str | os.PathLike[str], *, bundle: str | os.PathLike[str] | None = None) -> Run:
        """Read and hash what a run would use.

        Raises
        ------
        ManifestError, BundleError
        """
        folder = chosen_folder(bundle).resolve()
        opened, loaded = Manifest.open(manifest), load_bundle(folder)
        if any("\udc80" <= c <= "\udcff" for c in f"{opened.name}{folder}"):
            raise errors.ManifestInvalid(
                "The path of manifest or bundle is not UTF-8, so no run.json can hold it: rename it."
            )
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
            made_with=made_with(),
        )

    @property
    def bundle_folder(self) -> str:
        """Where the bundle is, whatever ``COUGH_BUNDLE`` says today."""
        return self.bundle or str(DEFAULT_BUNDLE)

    def rows_of(self, index: int) -> int:
        """How many rows the shard of that index has; none beyond the last."""
        return max(0, min(self.shard_rows, self.n_rows - index * self.shard_rows))

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

    def is_of(self, record: Run) -> bool:
        """Whether both ask for the same predictions, whatever they were made with."""
        apart = {"made_with"}
        return self.model_dump(exclude=apart) == record.model_dump(exclude=apart)

    def changes_since(self, record: Run) -> list[str]:
        """What the two were made with that is not the same, in words."""
        return [
            f"{name} was {record.made_with[name]} then and is {now}"
            for name, now in self.made_with.items()
            if record.made_with.get(name, now) != now
        ]

    def replayed(self) -> Run:
        """The same to be run now.

        Raises
        ------
        BatchMismatch : the manifest or the bundle is not that of the record
        """
        self.check_replayable()
        return self.model_copy(update={"made_with": made_with()})

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


def made_with() -> dict[str, str]:
    """Versions of ``LIBRARIES`` and a hash of this package's code."""
    digest = hashlib.sha256()
    for path in sorted(Path(cough.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return {**{name: version(name) for name in LIBRARIES}, "cough's code": digest.hexdigest()[:12]}


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
