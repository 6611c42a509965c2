"""Files behind a URL, by fsspec; every driver's failure as one of our errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from cough import errors

CHANGES = ("size", "ETag", "etag", "md5Hash", "LastModified", "last_modified", "updated", "mtime", "created")
"""By which of a file's facts a driver tells that it was written anew: each names its own."""


@contextmanager
def opened(url: str) -> Iterator[IO[bytes]]:
    """The file behind a URL such as ``s3://bucket/name``, for reading.

    Raises
    ------
    FileMissing : the store has no such file
    FileUnreadable : the store does not give it
    MissingExtra : fsspec or its driver is not installed
    """
    with _failures():
        import fsspec

        with fsspec.open(url, "rb") as file:
            yield file


def listed(url: str) -> dict[str, bytes]:
    """Every file below a URL: its name from there on, in order, and what changes when the file does.

    Raises
    ------
    FileMissing, FileUnreadable, MissingExtra : as ``opened``
    """
    with _failures():
        from fsspec.core import url_to_fs

        files, root = url_to_fs(url)
        files.invalidate_cache()
        found = files.find(root, detail=True)
    below = root.rstrip("/") + "/"
    return {
        path.removeprefix(below): repr([facts.get(name) for name in CHANGES]).encode()
        for path, facts in found.items()
        if path.startswith(below) and not path.endswith("/")  # such are a store's marks for folders
    }


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except errors.CoughError:
        raise
    except ImportError as error:
        if error.name == "fsspec":
            raise errors.MissingExtra(
                "Files at a URL need fsspec: pip install 'cough-screening[batch]'."
            ) from error
        raise errors.MissingExtra(f"Files at such a URL need more: {error}.") from error
    except FileNotFoundError as error:
        if _refused(error.__cause__):
            raise errors.FileUnreadable(f"The store does not give the file: {error.__cause__}.") from error
        raise errors.FileMissing("There is no such file.") from error
    except Exception as error:  # each driver raises types of its own, botocore's NoCredentialsError for one
        why = f"{type(error).__name__}: {error}".rstrip(": .")
        raise errors.FileUnreadable(f"The store does not give the file ({why}).") from error


def _refused(cause: BaseException | None) -> bool:
    """Whether nobody answered, or with another no: fsspec calls every failure of http "not found"."""
    return isinstance(cause, OSError) or getattr(cause, "status", 404) not in (404, 410)
