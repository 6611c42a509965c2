"""The OpenAPI document is kept: schemathesis sends what it allows, with real audio in it."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis import checks
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


schema = schemathesis.pytest.from_fixture("document")


@schema.parametrize()
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_documented(case: schemathesis.Case) -> None:
    case.call_and_validate(checks=CHECKS)
