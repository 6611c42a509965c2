"""The OpenAPI document is kept: schemathesis sends what it allows and what it does not, with real audio."""

from __future__ import annotations

from collections import Counter

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode, checks
from schemathesis.openapi import media_type

from tests.serving.conftest import Running
from tests.serving.test_screenings import GOOD, NOISE

AUDIO = st.sampled_from([GOOD, NOISE, GOOD[:10_000], b"no audio", b""])
for kind in ("audio/*", "video/*"):
    media_type(kind, AUDIO)

CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]


@pytest.fixture(scope="session")
def document(running: Running) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{running.url}/openapi.json")


# Not ``@schema.parametrize``: schemathesis' pytest plugin does not fit the pytest of this project yet.
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/screenings"),
        ("POST", "/v1/gate"),
        ("GET", "/v1/models"),
        ("GET", "/v1/reasons"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
    ],
)
def test_every_answer_is_documented(document: schemathesis.BaseSchema, method: str, path: str) -> None:
    operation = document[path][method]
    strategies = [
        operation.as_strategy(generation_mode=mode)
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    ]
    has_body = method == "POST"
    seen: Counter[int] = Counter()

    @settings(max_examples=40 if has_body else 3, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=st.one_of(strategies) if has_body else strategies[0])
    def send(case: schemathesis.Case) -> None:
        seen[case.call_and_validate(checks=CHECKS, timeout=120).status_code] += 1

    send()
    assert seen[200], seen
    if has_body:
        assert seen[415] and seen[422], seen


def test_no_operation_is_left_out(document: schemathesis.BaseSchema) -> None:
    documented = {
        (operation.ok().method.upper(), operation.ok().path) for operation in document.get_all_operations()
    }
    (mark,) = [mark for mark in test_every_answer_is_documented.pytestmark if mark.name == "parametrize"]
    assert documented == set(mark.args[1])
