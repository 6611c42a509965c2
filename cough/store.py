"""Files behind a URL, by fsspec; every driver's failure as one of our errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from cough import errors


@contextmanager
def opened(url: str) -> Iterator[IO[bytes]]:
    """The file behind a URL such as ``s3://bucket/name``, for reading.

    Raises
    ------
    FileMissing : the store has no such file
    FileUnreadable : the store does not give it
    MissingExtra : fsspec or its driver is not installed
    """
    try:
        import fsspec
    except ImportError as error:
        raise errors.MissingExtra(
            "Files at a URL need fsspec: pip install 'cough-screening[batch]'."
        ) from error
    try:
        with fsspec.open(url, "rb") as file:
            yield file
    except errors.CoughError:
        raise
    except ImportError as error:
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
