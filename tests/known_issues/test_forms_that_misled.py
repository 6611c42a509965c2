"""A form's charset was answered 500, the commonest mistakes with sentences about something else, metadata
without influence was not named beside a prevalence that had some, and answers outlived their time in memory.
"""

from __future__ import annotations

import asyncio
import gc
import weakref

import httpx
import pytest
from pydantic import ValidationError

from serving.idempotency import Idempotency
from serving.settings import Settings
from tests.serving.conftest import client as client
from tests.serving.conftest import running as running
from tests.serving.test_screenings import GOOD, URL, assert_problem


def form(*parts: tuple[str, bytes]) -> bytes:
    """A multipart body, each part with the rest of its Content-Disposition as given."""
    lines = [
        b'--x\r\nContent-Disposition: form-data; ' + head.encode() + b"\r\n\r\n" + body + b"\r\n"
        for head, body in parts
    ]  # fmt: skip
    return b"".join(lines) + b"--x--\r\n"


FILE = ('name="file"; filename="a"', GOOD)
KIND = "multipart/form-data; boundary=x"


@pytest.mark.parametrize(
    "charset", ["undefined", "punycode", "idna", "utf-16", "base64", "latin-1", "nonsense"]
)
def test_no_charset_is_a_fault(client: httpx.Client, charset: str) -> None:
    sent = form(FILE, ('name="metadata"', b"\\{}\xff."))
    answered = client.post(URL, content=sent, headers={"Content-Type": f"{KIND}; charset={charset}"})
    assert_problem(answered, 422, "invalid_request")


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([('name="file"', GOOD)], "filename="),
        ([('name="file"', b"my.m4a")], "filename="),
        ([FILE, ('name="prevalence"', b"0.1"), ('name="prevalence"', b"0.2")], "twice"),
        ([FILE, ('name="files"', b"x")], "the form has file, metadata and prevalence"),
    ],
    ids=["a recording as text", "a name as text", "twice", "unknown"],
)
def test_what_is_wrong_with_a_form_is_said(
    client: httpx.Client, parts: list[tuple[str, bytes]], says: str
) -> None:
    answered = client.post(URL, content=form(*parts), headers={"Content-Type": KIND})
    assert_problem(answered, 422, "invalid_request")
    assert says in answered.json()["detail"]


@pytest.mark.parametrize(("metadata", "without"), [('{"symptoms": {"fever": true}}', False), ("{}", True)])
def test_each_field_without_influence_is_named(client: httpx.Client, metadata: str, without: bool) -> None:
    """The prevalence has some where the bundle answers symptoms or predictive values."""
    said = {"prevalence": "0.1", "metadata": metadata}
    answered = client.post(URL, files={"file": GOOD}, data=said)
    assert ("metadata" in answered.headers.get("Cough-Unused-Input", "")) == without
    predicted = any(c["symptoms"] or c["predictive_values"] for c in answered.json()["conditions"])
    assert ("prevalence" in answered.headers.get("Cough-Unused-Input", "")) != predicted


class Answer(str):
    """One that can be told to be gone."""


def test_an_answer_is_forgotten_when_its_time_has_passed() -> None:
    async def scenario() -> None:
        answers = Idempotency(kept_s=0.1, claim_s=60, max_entries=10)

        async def work() -> str:
            made = Answer("about somebody")
            seen.append(weakref.ref(made))
            return made

        assert await answers.once("me", "k", "f", work) == ("about somebody", False)
        assert seen[0]() is not None
        for _ in range(100):
            await asyncio.sleep(0.1)
            gc.collect()
            if seen[0]() is None:
                return
        raise AssertionError("it is still there")

    seen: list[weakref.ref[Answer]] = []
    asyncio.run(scenario())


def test_what_is_held_is_no_less_than_what_is_taken() -> None:
    with pytest.raises(ValidationError, match="max_held_bytes"):
        Settings(max_bytes=512 << 20)
    assert Settings(max_bytes=512 << 20, max_held_bytes=512 << 20).max_bytes == 512 << 20
