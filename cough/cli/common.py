"""What the subcommands share: consoles, the bundle option, errors as lines."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, ProgressColumn

from cough.bundle import load_bundle
from cough.errors import CoughError, MissingExtra
from cough.screener import Screener

FAILED = 1
USAGE = 2

BundleOption = Annotated[
    Path | None,
    typer.Option("--bundle", help="Model bundle folder. Default: $COUGH_BUNDLE, else the shipped one."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output, one JSON object a line.")]

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def open_screener(bundle: Path | None) -> Screener:
    """The screener, or exit code 2 with one line on standard error."""
    with usage_errors():
        return Screener(load_bundle(bundle))


@contextmanager
def usage_errors() -> Iterator[None]:
    """Turn errors that are the caller's setup (bundle, extras) into a line and exit code 2."""
    try:
        yield
    except CoughError as error:
        report(error)
        raise typer.Exit(USAGE) from error


def need(extra: str, *modules: str) -> None:
    """Exit code 2 with one line where an extra's modules are not installed; nothing is imported."""
    if any(find_spec(module) is None for module in modules):
        report(MissingExtra(f"needs pip install 'cough-screening[{extra}]'"))
        raise typer.Exit(USAGE)


def check_target(target: Path, *, option: str, source: Path) -> None:
    """Refuse before the work, rather than after it, a path that ``replacing`` must not write."""
    problem = None
    try:
        if not target.parent.is_dir():
            problem = "there is no such folder"
        elif target.exists() and not target.is_file():
            problem = "it is not a regular file"
        elif target.exists() and os.path.exists(source) and target.samefile(source):  # noqa: PTH110
            problem = "it is the recording"
        else:
            probe = _beside(target.resolve())
            probe.touch()
            probe.unlink()
    except OSError as error:
        problem = error.strerror or str(error)
    if problem:
        raise typer.BadParameter(f"cannot write {printable(str(target))}: {problem}", param_hint=option)


@contextmanager
def replacing(target: Path, *, option: str) -> Iterator[Path]:
    """A path beside ``target`` to write; it takes the target's place whole, or leaves nothing."""
    target = target.resolve()  # through a link, not over it
    partial = _beside(target)
    try:
        yield partial
        partial.replace(target)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise typer.BadParameter(
            f"cannot write {printable(str(target))}: {why}", param_hint=option
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _beside(target: Path) -> Path:
    return target.with_name(f".{secrets.token_hex(8)}.partial{target.suffix}")


def report(error: CoughError, name: str | None = None) -> None:
    """One line on standard error: ``error: NAME: CODE: sentence``."""
    where = f"{printable(name)}: " if name else ""
    err.print(f"error: {where}{error.code}: {printable(str(error))}", markup=False, style="red")


def fail(error: CoughError, file: Path, *, as_json: bool) -> None:
    """``report``; whoever asked for JSON also gets a line of it where the result would have stood."""
    report(error, str(file))
    if as_json:
        emit(json.dumps({"file": str(file), "error": {"code": error.code, "message": str(error)}}))


def progress(*columns: ProgressColumn, disable: bool = False) -> Progress:
    """A bar for whoever watches a terminal; results never pass through it."""
    return Progress(
        *columns,
        console=err,
        transient=True,
        disable=disable or not err.is_terminal,
        redirect_stdout=False,
        redirect_stderr=False,
    )


def printable(text: str) -> str:
    """File names may hold bytes or control characters that a terminal must not see."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def emit(line: str) -> None:
    """A line of results.

    A reader that has gone away (``| head``) ends the program quietly, a full disk with a line.
    """
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            err.print(f"error: results cannot be written: {error.strerror}", markup=False, style="red")
        raise typer.Exit(FAILED) from None
