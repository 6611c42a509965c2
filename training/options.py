"""Options that the commands of ``training`` share."""

from __future__ import annotations

import argparse
from pathlib import Path

from pydantic import ValidationError

from cough import errors
from cough.bundle import in_a_line
from training.config import TrainingConfig, read_config
from training.corpus import Corpus, corpus_path
from training.joined import read_corpora
from training.stages import PROJECT


def chosen_config(
    parser: argparse.ArgumentParser, path: Path, overrides: list[str] | None = None
) -> TrainingConfig:
    """``read_config``; what it cannot read ends the command with one line."""
    try:
        return read_config(path, overrides)
    except ValidationError as error:
        parser.error(f"{path} and --set do not describe a training: {in_a_line(error)}")
    except (OSError, ValueError) as error:
        parser.error(f"{path} and --set do not describe a training: {error}")


def chosen_corpus(parser: argparse.ArgumentParser, root: Path) -> Corpus:
    """The prepared corpus in a folder; what is none ends the command with one line."""
    try:
        return read_corpora((root,))
    except errors.CoughError as error:
        parser.exit(1, f"{error.code}: {error}\n")


def corpus_parser(description: str | None) -> argparse.ArgumentParser:
    """Options of the commands that train with the recipe on one corpus: ``--config --corpus --cache``."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, default=PROJECT / "training" / "default.toml")
    parser.add_argument("--corpus", type=Path, default=corpus_path())
    parser.add_argument("--cache", type=Path, default=PROJECT / ".cache")
    return parser
