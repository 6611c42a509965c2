"""From a request to the recordings and answers in it: a form, or one recording as the body.

Everything stays in memory. Names and types that the client gives its files are ignored: what a
recording is, its bytes say.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from cough.wire import Metadata
from serving.access import admitted
from serving.problems import Refused
from serving.service import Service

_MAX_FIELD_BYTES = 16 * 1024
_RAW_TYPES = ("audio/", "video/", "application/ogg", "application/octet-stream")

_FIELDS = frozenset({"file", "metadata", "prevalence"})

UNUSED_HEADER = "Cough-Unused-Input"
"""Response header: inputs that were understood and had no influence on the answer."""


@dataclass(frozen=True)
class Upload:
    """What a person sent."""

    recordings: list[bytes]
    metadata: Metadata | None = None
    prevalence: float | None = None
    fields: frozenset[str] = field(default_factory=frozenset)
    """Names of the optional fields that were there."""

    def asked(self) -> dict[str, Any]:
        """What goes to the worker with each recording."""
        said = self.metadata.answers().model_dump(exclude_none=True) if self.metadata else {}
        return {"symptoms": said, "prevalence": self.prevalence}

    def fingerprint(self, route: str) -> str:
        """Hash of what was asked; not of the body, whose boundary differs from one try to the next."""
        digest = hashlib.sha256(route.encode())
        asked = f"{self.metadata and self.metadata.model_dump_json()}{self.prevalence}"
        for part in (asked.encode(), *self.recordings):
            digest.update(hashlib.sha256(part).digest())
        return digest.hexdigest()


async def read_upload(
    request: Request,
    service: Annotated[Service, Depends(Service.of)],
    _caller: Annotated[str, Depends(admitted)],
) -> Upload:
    """Read the body; a FastAPI dependency that comes after the caller was admitted.

    Raises
    ------
    Refused : ``unsupported_media_type``, ``invalid_request``, ``malformed_http``, and as ``BodyLimit``
    """
    _check_head(request)
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind == "multipart/form-data":
        form = await _parsed(request, max_files=service.settings.max_files)
        try:
            return _checked(form)
        finally:
            await form.close()
    if kind.startswith(_RAW_TYPES):
        return Upload([await request.body()])
    raise Refused("unsupported_media_type")


def _check_head(request: Request) -> None:
    """What would change the answer, or where the body ends, is not passed over in silence."""
    headers = request.headers
    if "transfer-encoding" in headers and "content-length" in headers:
        why = "Transfer-Encoding and Content-Length do not go together."
        raise Refused("malformed_http", why, headers={"Connection": "close"})
    if asked := _FIELDS.intersection(request.query_params):
        raise Refused("invalid_request", f"{min(asked)} is a field of a form, not of the query.")
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise Refused("unsupported_media_type", "Content-Encoding is not taken; send the bytes as they are.")


async def read_recording(upload: Annotated[Upload, Depends(read_upload)]) -> bytes:
    """One recording and nothing else; a FastAPI dependency."""
    if len(upload.recordings) != 1 or upload.fields:
        raise Refused("invalid_request", "Send one file, and no other field.")
    return upload.recordings[0]


async def _parsed(request: Request, *, max_files: int) -> FormData:
    stream: AsyncGenerator[bytes, None] = request.stream()
    async with aclosing(stream):
        parser = MultiPartParser(
            request.headers, stream, max_files=max_files, max_fields=2, max_part_size=_MAX_FIELD_BYTES
        )
        parser.spool_max_size = sys.maxsize  # never to disk; BodyLimit bounds the sum
        try:
            return await parser.parse()
        except MultiPartException as error:
            why = error.message
            if why.startswith("Part exceeded"):
                why = "a text is longer than 16 KB; the part of a recording needs filename=."
            raise Refused("invalid_request", f"The form cannot be read: {why}") from error
        except UnicodeError as error:  # some of Python's codecs, by the charset that the client names
            raise Refused("invalid_request", "The form cannot be read: send it as UTF-8.") from error


def _checked(form: FormData) -> Upload:
    recordings: list[bytes] = []
    texts: dict[str, str] = {}
    for name, value in form.multi_items():
        if name == "file" and isinstance(value, UploadFile):
            recordings.append(value.file.read())
        elif name in texts:
            raise _invalid(name, "the form has it twice")
        elif name in ("metadata", "prevalence"):
            texts[name] = _text(name, value)
        elif name == "file":
            raise _invalid(
                name, "it is a text, not a recording: its part needs filename= (curl: -F file=@NAME)"
            )
        else:
            raise _invalid(name, "the form has file, metadata and prevalence")
    if not recordings:
        raise _invalid("file", "there is none, or the form breaks off before its end")
    return Upload(
        recordings,
        metadata=_metadata(texts["metadata"]) if "metadata" in texts else None,
        prevalence=_prevalence(texts["prevalence"]) if "prevalence" in texts else None,
        fields=frozenset(texts),
    )


def _text(name: str, value: UploadFile | str) -> str:
    """A field; many clients send one that has a type of its own as a file."""
    if isinstance(value, str):
        return value
    if value.size is None or value.size > _MAX_FIELD_BYTES:
        raise _invalid(name, f"longer than {_MAX_FIELD_BYTES:,} bytes")
    try:
        return value.file.read().decode()
    except UnicodeDecodeError as error:
        raise _invalid(name, "this is not text") from error


def _metadata(text: str) -> Metadata:
    try:
        metadata = Metadata.model_validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(["metadata", *(str(part) for part in first["loc"])])
        raise _invalid(where, first["msg"]) from error
    json.loads(text, object_pairs_hook=_once)
    return metadata


def _once(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise _invalid(f"metadata: {name}", "said twice")


def _prevalence(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise _invalid("prevalence", "a number between 0 and 1, both excluded")
    return value


def _invalid(where: str, why: str) -> Refused:
    printable = "".join(c for c in where if c.isprintable())[:80]
    return Refused("invalid_request", f"{printable}: {why.rstrip('.')}.")


_FILE = {"type": "string", "format": "binary", "description": "The recording, in any common audio format."}
_RAW = {
    kind: {"schema": {"type": "string", "format": "binary"}}
    for kind in ("audio/*", "video/*", "application/ogg", "application/octet-stream")
}

SCREENING_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "additionalProperties": False,
                "properties": {
                    "file": {
                        "type": "array",
                        "minItems": 1,
                        "items": _FILE,
                        "description": "Recordings of one person; repeat the field for several.",
                    },
                    "metadata": {"$ref": "#/components/schemas/Metadata"},
                    "prevalence": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
                },
            },
            "encoding": {"metadata": {"contentType": "application/json"}},
        },
        **_RAW,
    },
}
"""OpenAPI request body of a screening."""

GATE_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "additionalProperties": False,
                "properties": {"file": _FILE},
            }
        },
        **_RAW,
    },
}
"""OpenAPI request body of the gate alone."""
