"""Processes that another one started, by Linux' /proc."""

from __future__ import annotations

from pathlib import Path


def children_of(pid: int) -> list[int]:
    """Process ids, whichever thread of it started them; none where it is gone."""
    found = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in file.read_text().split()]
        except OSError:  # the thread ended meanwhile
            continue
    return found


def spawned_by(pid: int) -> list[int]:
    """Those of them that Python's multiprocessing runs work in."""
    return [child for child in children_of(pid) if b"spawn_main" in _command(child)]


def is_alive(pid: int) -> bool:
    """Whether it runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
