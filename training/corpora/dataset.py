"""What is known about a public corpus: source, licence, files, how labels and subjects are known.

The facts stand in ``data_manifests/NAME/dataset.yaml``, one file a corpus, read here and nowhere else.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cough import errors

FOLDER = Path(__file__).resolve().parents[2] / "data_manifests"
FILE = "dataset.yaml"


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class RemoteFile(_Facts):
    """One file to download."""

    name: str = Field(pattern=r"^[\w][\w.\- ]*$")
    """What it is called here."""
    url: str
    bytes: int | None = Field(default=None, ge=0)
    md5: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")
    """As the publisher gives it; null with ``no_checksum`` where there is none to quote."""
    no_checksum: str | None = None
    """Why there is no ``md5``."""
    part: str = "all"
    """Parts are downloaded one by one: versions of a corpus, its development and evaluation sets."""
    unpack: bool = True
    """Whether it is an archive (the last file of a split one) to extract."""

    @model_validator(mode="after")
    def _says_why(self) -> RemoteFile:
        if (self.md5 is None) == (self.no_checksum is None):
            raise ValueError("either md5, or no_checksum with the reason")
        return self


class Size(_Facts):
    """How much there is, as published; null where nobody says."""

    recordings: int | None
    subjects: int | None
    hours: float | None
    download_bytes: int | None


class Dataset(_Facts):
    """A public corpus."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_]*$")
    title: str
    summary: str
    """One or two sentences: who recorded what, where, when."""
    homepage: str
    citation: str
    licence: str
    licence_class: Literal["open", "non_commercial", "mixed", "agreement", "unstated"]
    """``mixed``: stated clip by clip. ``agreement``: what the user signed. Rows have their own."""
    access: Literal["open", "by_hand", "agreement"]
    """``by_hand``: free, but from a page that a program cannot use."""
    ask: str | None = None
    """Where and how to get it; given unless ``access`` is open."""
    size: Size
    layout: str
    """The folder that ``prepare`` takes."""
    audio: str
    subjects: str
    """How it is known who stands behind a recording, or that it is not."""
    labels: str
    """Where the labels come from and what they are worth."""
    evaluate: str | None = None
    """Options of ``cough evaluate``: words that count though they are no class of a condition, which rows to
    judge by, columns to set beside the sound."""
    traps: tuple[str, ...]
    """What has misled others."""
    checked: str
    """How the facts here were come by."""
    default_parts: tuple[str, ...] = ()
    """What is downloaded when nobody says which parts."""
    files: tuple[RemoteFile, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Dataset:
        if self.access != "open" and self.ask is None:
            raise ValueError("ask must say where to get it")
        if self.access == "open" and not self.files:
            raise ValueError("an open corpus names its files")
        if set(self.default_parts) - set(self.parts):
            raise ValueError("default_parts names a part without files")
        if len({file.name for file in self.files}) < len(self.files):
            raise ValueError("two files have the same name")
        return self

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts, in the order of the files."""
        return tuple(dict.fromkeys(file.part for file in self.files))

    def choose(self, parts: tuple[str, ...] = ()) -> tuple[RemoteFile, ...]:
        """The files of these parts, or of the default ones.

        Raises
        ------
        CorpusUnknown : no part of that name
        """
        wanted = parts or self.default_parts or self.parts
        if unknown := set(wanted) - set(self.parts):
            raise errors.CorpusUnknown(
                f"{self.name} has no part {', '.join(sorted(unknown))}; there is {', '.join(self.parts)}."
            )
        return tuple(file for file in self.files if file.part in wanted)


def read(path: Path) -> Dataset:
    """Read one ``dataset.yaml``.

    Raises
    ------
    DatasetInvalid : no YAML, or not the keys of ``Dataset``
    MissingExtra : PyYAML is not installed
    """
    try:
        import yaml
    except ImportError as error:
        raise errors.MissingExtra(
            "Public corpora need the extra corpora: pip install '.[corpora]'"
        ) from error
    try:
        facts = Dataset.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError, UnicodeDecodeError) as error:
        raise errors.DatasetInvalid(f"{path.parent.name}/{path.name}: {error}") from error
    if facts.name != path.parent.name:
        raise errors.DatasetInvalid(f"{path.parent.name}/{path.name} calls itself {facts.name}.")
    return facts


@cache
def datasets(folder: Path = FOLDER) -> dict[str, Dataset]:
    """Every corpus by name; raises as ``read``."""
    return {path.parent.name: read(path) for path in sorted(folder.glob(f"*/{FILE}"))}


def dataset(name: str) -> Dataset:
    """The corpus of that name; raises ``CorpusUnknown``, and as ``read``."""
    known = datasets()
    key = name.lower().replace("-", "_")
    if key not in known:
        raise errors.CorpusUnknown(f"There is no corpus {name!r}; there is {', '.join(known)}.")
    return known[key]
