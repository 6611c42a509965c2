"""A client of the service: the same results and the same errors as the library, over HTTP.

>>> from cough.client import CoughClient
>>> with CoughClient("https://cough.example.org", key="cough_...") as client:
...     result = client.screen("my.m4a")

A recording that cannot be measured raises the error of ``cough.errors`` that ``Screener.screen``
would raise. What else can go wrong is below::

    ServiceError                 the service did not answer the question
    ├── Unreachable                  unreachable      no connection, or none that lasted
    ├── Unauthorized                 unauthorized     no key, or a wrong one
    ├── InvalidRequest               invalid_request and the other 4xx that are the caller's
    │   └── IdempotencyMismatch      idempotency_mismatch
    ├── DecoderFailed                decoder_failed, decoder_timeout: the recording broke its worker
    ├── RateLimited                  rate_limited     }
    ├── Overloaded                   overloaded       } tried again, then raised with
    ├── DeadlineExceeded             deadline_exceeded} ``retry_after_s``
    └── ServiceBroken                internal, or an answer that is not of this service

Requests are repeated after lost connections and after 408, 409, 429, 502, 503 and 504, waiting as
Retry-After says, with one Idempotency-Key for all tries: a recording is answered once.

Needs the ``client`` extra (httpx).
"""

from __future__ import annotations

import os
import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ValidationError

from cough import errors
from cough.screener import ScreeningResult
from cough.wire import GateAnswer, Metadata, Models, Problem, Reasons, ScreeningSet

try:
    import httpx
except ImportError as error:
    raise errors.MissingExtra("The client needs the extra: pip install 'cough-screening[client]'.") from error

T = TypeVar("T", bound=BaseModel)
Recording = str | os.PathLike[str] | bytes

_AGAIN = frozenset({408, 409, 429, 502, 503, 504})
_MAX_WAIT_S = 60.0


class ServiceError(errors.CoughError):
    """The service did not answer the question."""

    code: ClassVar[str] = "service"

    def __init__(self, problem: Problem, *, retry_after_s: float | None = None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.retry_after_s = retry_after_s


class Unreachable(ServiceError):
    """No connection, or none that lasted until the answer."""

    code = "unreachable"


class Unauthorized(ServiceError):
    """A valid key is needed."""

    code = "unauthorized"


class InvalidRequest(ServiceError):
    """The request is at fault; sending it again will not help."""

    code = "invalid_request"


class IdempotencyMismatch(InvalidRequest):
    """The Idempotency-Key was used for another request."""

    code = "idempotency_mismatch"


class DecoderFailed(ServiceError):
    """The recording broke or outlasted its worker, and was given up."""

    code = "decoder_failed"


class RateLimited(ServiceError):
    """Too many requests for this key or address."""

    code = "rate_limited"


class Overloaded(ServiceError):
    """The service was too busy, or not ready, at every try."""

    code = "overloaded"


class DeadlineExceeded(ServiceError):
    """The service gave the answer up."""

    code = "deadline_exceeded"


class ServiceBroken(ServiceError):
    """The service failed, or something else answered in its place."""

    code = "internal"


_BY_CODE: dict[str, type[ServiceError]] = {
    **{
        error.code: error
        for error in (
            *(Unauthorized, InvalidRequest, IdempotencyMismatch, DecoderFailed),
            *(RateLimited, Overloaded, DeadlineExceeded, ServiceBroken),
        )
    },
    "decoder_timeout": DecoderFailed,
    "not_ready": Overloaded,
}
_INPUT_ERRORS = {error.code: error for error in errors.InputError.__subclasses__()}


class CoughClient:
    """Talks to one service; safe to share between threads.

    Parameters
    ----------
    url : where the service is, such as ``https://cough.example.org``
    key : API key, where the service asks for one
    timeout_s : for each try: to connect, and between bytes
    retries : tries after the first
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout_s: float = 60.0,
        retries: int = 4,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout_s, transport=transport)
        self._retries = retries
        self._sleep = sleep

    def screen(
        self,
        recording: Recording,
        *,
        metadata: Metadata | Mapping[str, Any] | None = None,
        prevalence: float | None = None,
        idempotency_key: str | None = None,
    ) -> ScreeningResult:
        """Screen one recording, a path or bytes.

        Parameters
        ----------
        metadata, prevalence : checked by the service; ``models()`` says whether it uses them
        idempotency_key : for a retry of a program that had ended; one is made otherwise

        Raises
        ------
        InputError : the recording cannot be measured
        ServiceError : anything else
        """
        form = _form(metadata, prevalence)
        return self._post("/v1/screenings", [recording], form, ScreeningResult, idempotency_key)

    def screen_several(
        self,
        recordings: Sequence[Recording],
        *,
        metadata: Metadata | Mapping[str, Any] | None = None,
        prevalence: float | None = None,
        idempotency_key: str | None = None,
    ) -> ScreeningSet:
        """Screen two or more recordings of one person, together and each on its own.

        What cannot be measured is a ``Problem`` in its place.
        """
        if len(recordings) < 2:
            raise ValueError("screen_several takes two recordings or more")
        form = _form(metadata, prevalence)
        return self._post("/v1/screenings", recordings, form, ScreeningSet, idempotency_key)

    def gate(self, recording: Recording) -> GateAnswer:
        """Ask whether a recording is usable. Raises as ``screen``."""
        return self._post("/v1/gate", [recording], {}, GateAnswer, None)

    def models(self) -> Models:
        """What is installed, and which inputs it uses."""
        return self._asked("GET", "/v1/models", Models)

    def reasons(self) -> Reasons:
        """The message catalogue."""
        return self._asked("GET", "/v1/reasons", Reasons)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> CoughClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def _post(
        self,
        path: str,
        recordings: Sequence[Recording],
        form: dict[str, str],
        answer: type[T],
        idempotency_key: str | None,
    ) -> T:
        # The name of a file says too much about a person, and the service does not want it.
        files = [("file", ("recording", _bytes(recording))) for recording in recordings]
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        return self._asked("POST", path, answer, files=files, data=form, headers=headers)

    def _asked(self, method: str, path: str, answer: type[T], **request: Any) -> T:
        for attempt in range(self._retries + 1):
            failure: errors.CoughError
            try:
                response = self._http.request(method, path, **request)
            except httpx.TransportError as error:
                detail = f"The service cannot be reached ({type(error).__name__})."
                failure = Unreachable(_own(0, "unreachable", detail))
                failure.__cause__ = error
            else:
                if response.status_code == 200:
                    return _read(response, answer)
                failure = _failure(response)
                if response.status_code not in _AGAIN:
                    raise failure
            wait_s = _wait_s(failure, attempt)
            if attempt == self._retries or wait_s > _MAX_WAIT_S:
                raise failure
            self._sleep(wait_s)
        raise AssertionError("not reached")


def _bytes(recording: Recording) -> bytes:
    if isinstance(recording, bytes):
        return recording
    path = Path(recording)
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise errors.FileMissing(f"There is no file {path}.") from error
    except OSError as error:
        raise errors.FileUnreadable(f"{path} cannot be read.") from error


def _form(metadata: Metadata | Mapping[str, Any] | None, prevalence: float | None) -> dict[str, str]:
    form = {}
    if metadata is not None:
        checked = metadata if isinstance(metadata, Metadata) else Metadata.model_validate(metadata)
        form["metadata"] = checked.model_dump_json(exclude_none=True)
    if prevalence is not None:
        form["prevalence"] = repr(float(prevalence))
    return form


def _wait_s(failure: errors.CoughError, attempt: int) -> float:
    """As the service says, else exponential; with jitter, so that a crowd does not come back at once."""
    stated = failure.retry_after_s if isinstance(failure, ServiceError) else None
    return (stated if stated is not None else 0.5 * 2.0**attempt) * random.uniform(1.0, 1.25)


def _read(response: httpx.Response, answer: type[T]) -> T:
    try:
        return answer.model_validate_json(response.content)
    except ValidationError as error:
        detail = "The answer does not have the form that this version of the client knows."
        raise ServiceBroken(_own(200, "internal", detail)) from error


def _failure(response: httpx.Response) -> errors.CoughError:
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        status = response.status_code
        problem = _own(
            status, "internal", f"Something other than the service answered, with status {status}."
        )
        if status in _AGAIN:
            return Overloaded(problem, retry_after_s=_retry_after_s(response))
    if problem.code in _INPUT_ERRORS:
        error = _INPUT_ERRORS[problem.code](problem.detail)
        error.add_note(f"request {problem.request_id}")
        return error
    default = InvalidRequest if 400 <= problem.status < 500 else ServiceBroken
    return _BY_CODE.get(problem.code, default)(problem, retry_after_s=_retry_after_s(response))


def _retry_after_s(response: httpx.Response) -> float | None:
    stated = response.headers.get("retry-after", "")
    return float(stated) if stated.isdecimal() else None


def _own(status: int, code: str, detail: str) -> Problem:
    """A problem that this side made."""
    return Problem(title="Client", status=status, detail=detail, code=code, request_id="")
