"""A stage runs once for given inputs; its folder appears under its final name only when whole.

Kept this small on purpose: DVC wants its own repository state and lock files beside git's, for a
pipeline of a handful of stages on one machine.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from cough import errors
from cough.bundle import MANIFEST, Bundle, load_bundle
from cough.processes import leave_with_the_parent
from training import distributed

PROJECT = Path(__file__).resolve().parents[1]
WEEK_S = 7 * 24 * 3600.0
CARDS = ("CARD.md", "card.json")
"""What ``training.card`` writes beside a bundle's own files."""
_AS_IMPORTED = {
    ".".join(path.relative_to(PROJECT).with_suffix("").parts): path.read_bytes()
    for folder in ("cough", "training")
    for path in sorted((PROJECT / folder).rglob("*.py"))
}
"""Read when a run begins: it goes on with this code, whatever is edited meanwhile. The processes it starts
import theirs anew, and refuse to work where that is another (``run_all``)."""


class CodeChanged(errors.CoughError):
    """The code was edited while a run was under way."""

    code = "code_changed"


def run_stage(
    cache: Path,
    name: str,
    inputs: dict[str, Any],
    make: Callable[[Path], None],
    *,
    together: bool = False,
) -> Path:
    """The folder of a stage, made by ``make(folder)`` unless these inputs were seen before.

    Parameters
    ----------
    inputs : JSON-serialisable; everything that decides the outcome, ``source_hash`` included
    together : whether all processes of the run make it (``training.distributed``), not only the first
    """
    folder = stage_folder(cache, name, inputs)
    if distributed.agreed(folder.exists()):
        print(f"{name}: unchanged, from {folder}")
        return folder
    if together or distributed.rank() == 0:
        partial = folder.with_suffix(f".partial{os.getpid()}")
        _sweep(cache)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        (partial / "inputs.json").write_text(json.dumps(inputs, sort_keys=True))
        try:
            make(partial)
            # Another run may have made the same meanwhile: equal inputs, equal outcome.
            if distributed.rank() == 0 and not folder.exists():
                partial.replace(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    distributed.wait()
    return folder


def _sweep(cache: Path) -> None:
    """Take away what killed processes left half made: untouched for a week, so of no other machine's run."""
    for partial in cache.glob("*.partial*"):
        with suppress(OSError):  # another run may be tidying, too
            newest = max(path.stat().st_mtime for path in (partial, *partial.rglob("*")))
            if time.time() - newest > WEEK_S:
                shutil.rmtree(partial, ignore_errors=True)


class Job(Protocol):
    """A stage to make in a process of its own."""

    @property
    def folder(self) -> Path:
        """Where what it makes is kept."""

    def run(self) -> Path:
        """Make it, unless it is there already."""


def run_apart(jobs: Sequence[Job], *, processes: int) -> list[Path]:
    """Run jobs that none of ``torchrun``'s processes share, several at a time; their folders in order."""
    if jobs and distributed.rank() == 0:
        run_all(jobs, processes=processes)
    distributed.wait()
    return [job.folder for job in jobs]


def run_all(jobs: Sequence[Job], *, processes: int) -> list[Path]:
    """Run jobs in new processes, several at a time; their folders in order.

    Raises
    ------
    CodeChanged : what is under the hash of this run's code would be made by another
    """
    code = source_hash(_AS_IMPORTED)
    alone = {"mp_context": get_context("spawn"), "initializer": _begin}
    with ProcessPoolExecutor(processes, **alone) as pool:
        return list(pool.map(_run, jobs, [code] * len(jobs)))


@contextmanager
def meanwhile(jobs: Sequence[Job]) -> Iterator[None]:
    """Make jobs in processes of their own while the block runs, and wait for them at its end.

    One that fails says why and is not there afterwards: whoever needs it makes it then, or fails likewise.
    """
    code = source_hash(_AS_IMPORTED)
    processes = [get_context("spawn").Process(target=_run_alone, args=(job, code)) for job in jobs]
    for process in processes:
        process.start()
    ended = False
    try:
        yield
        ended = True
    finally:
        for process in processes:
            if not ended:
                process.terminate()
            process.join()


def made(job: Job, *, beside: Sequence[Job]) -> Path:
    """The folder of a job; made now, unless it is one of those made ``meanwhile`` and they did not fail."""
    return job.folder if job in beside and job.folder.exists() else job.run()


def _begin() -> None:
    leave_with_the_parent()
    distributed.leave()


def _run_alone(job: Job, code: str) -> None:
    _begin()
    _run(job, code)


def _run(job: Job, code: str) -> Path:
    if source_hash(_AS_IMPORTED) != code:
        raise CodeChanged("The code was edited meanwhile. Start again: what is finished is kept.")
    return job.run()


def check_replaceable(out: Path) -> None:
    """Refuse, before hours of work, a place for a bundle that cannot be written or holds something else.

    Raises
    ------
    OutputUnwritable : see above
    """
    if out.exists() and not (out / MANIFEST).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise errors.OutputUnwritable(f"{out} holds something that is no bundle: choose another place.")
    if out.exists() and (others := sorted({path.name for path in out.iterdir()} - _names(out))):
        raise errors.OutputUnwritable(
            f"{out} holds {others[0]}, which is no file of its bundle: take it away or choose another place."
        )
    if out.resolve() == Path.cwd():
        raise errors.OutputUnwritable("The working folder itself cannot be replaced by a bundle.")
    there = next(parent for parent in out.resolve().parents if parent.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise errors.OutputUnwritable(f"{there} cannot be written.")


def _names(folder: Path) -> set[str]:
    """Files of the bundle in a folder, by what its ``bundle.json`` says."""
    try:
        listed = json.loads((folder / MANIFEST).read_text())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        listed = ()
    return {*listed, MANIFEST, *CARDS}


def stage_folder(cache: Path, name: str, inputs: dict[str, Any]) -> Path:
    """Where a stage with these inputs is kept."""
    text = json.dumps(inputs, sort_keys=True)
    return cache / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def epochs_core_s(folder: Path) -> float:
    """Seconds of one core that a training stage's epochs took, by its ``log.jsonl``; whenever it ran.

    Not by the clock: stages are trained beside each other.
    """
    lines = (folder / "log.jsonl").read_text().splitlines()
    return float(sum(json.loads(line)["core_s"] for line in lines))


def source_hash(modules: Iterable[str]) -> str:
    """sha256 over the source of these modules, named like ``training.gate``."""
    digest = hashlib.sha256()
    for module in sorted(modules):
        digest.update(_AS_IMPORTED[module])
    return digest.hexdigest()


def imported_by(*modules: str) -> list[str]:
    """These modules and all of this project's that they import, and those import; sorted by name."""
    found: set[str] = set()
    asked = list(modules)
    while asked:
        module = asked.pop()
        if module not in found:
            found.add(module)
            asked += _imports(module)
    return sorted(found)


def _imports(module: str) -> set[str]:
    names = {module}
    for node in ast.walk(ast.parse(_AS_IMPORTED[module])):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):  # none is relative
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    # What runs first: ``a.b.c`` is a name or a module of ``a.b``, and both packages are imported, too.
    parts = {".".join(name.split(".")[:n]) for name in names for n in range(1, name.count(".") + 2)}
    return {n for part in parts for n in (part, f"{part}.__init__") if n in _AS_IMPORTED}


def code_version() -> str:
    """The git commit, with ``-dirty`` where code or config differs from it; ``unknown`` outside git.

    What is written in the course of a run, results, figures and cards, is no code.
    """
    git = ["git", "-C", str(PROJECT)]
    try:
        commit = subprocess.run(
            [*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True
        )
        clean = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "*.py", "*.toml"], check=False)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit.stdout.strip() + ("" if clean.returncode == 0 else "-dirty")


def save_bundle(bundle: Bundle, folder: Path) -> None:
    """Write a bundle's files, without its card, and read them back.

    Raises
    ------
    BundleError : it could not be loaded again
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in bundle.contents.items():
        (folder / name).write_bytes(content)
    (folder / MANIFEST).write_text(json.dumps(bundle.spec.model_dump(mode="json"), indent=1) + "\n")
    load_bundle(folder)


def save_weights(module: torch.nn.Module, path: Path) -> None:
    """A state dict as ``.npz`` (arrays only, no pickle)."""
    np.savez(path, **{name: value.numpy() for name, value in module.state_dict().items()})


def load_weights(module: torch.nn.Module, path: Path) -> None:
    """Fill a module from ``save_weights``."""
    with np.load(path, allow_pickle=False) as arrays:
        module.load_state_dict({name: torch.from_numpy(arrays[name]) for name in arrays.files})
