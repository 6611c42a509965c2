"""API keys: made here, shown once, stored as hashes, one named key a line.

::

    clinic-app  sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

A key has 256 random bits, so there is nothing to guess and a plain SHA-256 is enough: slow hashes
protect passwords, which people choose, and would cost every request what they cost a thief.
To rotate, add a line, move the app over, delete the old line; the file is read again when it
changes. Lines that are damaged are left out, and logged: the keys of the others go on, and a key that
was deleted in the same edit is gone. A file that is gone admits nobody.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
from pathlib import Path

log = logging.getLogger("cough.serving")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LINE = re.compile(rf"({_NAME.pattern})\s+sha256:([0-9a-f]{{64}})")


class KeysUnusable(Exception):
    """The file is missing, empty or damaged; ``str()`` says which, and where."""


def make() -> str:
    """A new key, 256 random bits."""
    return f"cough_{secrets.token_urlsafe(32)}"


def line_for(name: str, key: str) -> str:
    """The line of the file that admits ``key``.

    Raises
    ------
    KeysUnusable : the name is not one to 64 letters, digits, ``.``, ``_`` or ``-``
    """
    if not _NAME.fullmatch(name):
        raise KeysUnusable("A key's name is 1 to 64 letters, digits, dots, dashes or underscores.")
    return f"{name}  sha256:{_digest(key)}"


def add(path: Path, name: str) -> str:
    """Make a key, append its line, give the key.

    Raises
    ------
    KeysUnusable : the name is taken or malformed, or the file cannot be read or written
    """
    key = make()
    line = line_for(name, key)
    try:
        path.touch(mode=0o600)
        if any(taken == name for taken, _ in read(path)[0]):
            raise KeysUnusable(f"{path} has a key named {name} already.")
        text = path.read_text()
        with path.open("a") as file:
            file.write(("" if not text or text.endswith("\n") else "\n") + line + "\n")
    except OSError as error:
        raise KeysUnusable(f"{path} cannot be written.") from error
    return key


def read(path: Path) -> tuple[list[tuple[str, str]], list[int]]:
    """The (name, digest) pairs of a file, and the numbers of the lines that are neither key nor comment."""
    keys, damaged = [], []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        stripped = line.split("#", 1)[0].strip()
        if found := _LINE.fullmatch(stripped):
            keys.append((found[1], found[2]))
        elif stripped:
            damaged.append(number)
    return keys, damaged


class Keys:
    """The keys of a file, as it is now.

    Raises
    ------
    KeysUnusable : at the start, and only then, anything wrong with the file
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: tuple[int, ...] | None = None
        self._keys: list[tuple[str, str]] = []
        try:
            keys, damaged = read(path)
        except OSError as error:
            raise KeysUnusable(f"{path} cannot be read.") from error
        if damaged:
            raise KeysUnusable(f"{path}: line {damaged[0]} is not 'NAME sha256:HASH'.")
        if not keys:
            raise KeysUnusable(f"{path} holds no keys; make one with: cough keys new NAME --file {path}")

    def name_of(self, key: str) -> str | None:
        """The name of a key, or None where it is not one of ours.

        Every digest is compared, each in constant time: how long it takes tells nothing.
        """
        self._refresh()
        digest = _digest(key)
        name = None
        for candidate, stored in self._keys:
            if hmac.compare_digest(digest, stored):
                name = candidate
        return name

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
            version = (status.st_mtime_ns, status.st_size, status.st_ino)
            if version == self._version:
                return
            self._keys, damaged = read(self._path)
        except OSError:
            if self._version != ():
                log.error("the keys file is gone; no key is accepted")
            self._keys, self._version = [], ()
            return
        if damaged:
            log.error("the keys file has damaged lines, which admit nobody: %s", damaged)
        log.info("keys read: %s", [name for name, _ in self._keys])
        self._version = version


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
