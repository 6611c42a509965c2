"""What surrounds a screening: catalogue, models, health, metrics, documentation, headers, the page."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from cough.bundle import Bundle
from cough.messages import RE_RECORD
from cough.wire import Models, Reasons
from serving.problems import CATALOGUE
from serving.routes.page import page_router
from tests.serving.test_screenings import GOOD, assert_problem, upload


def test_models_name_the_bundle_that_answers(client: httpx.Client, bundle: Bundle) -> None:
    (installed,) = Models.model_validate(client.get("/v1/models").json()).models
    assert installed.model.bundle_sha256 == bundle.sha256
    assert upload(client, GOOD).json()["model"] == installed.model.model_dump()
    assert [condition.name for condition in installed.conditions] == [c.name for c in bundle.spec.conditions]


def test_every_code_has_a_sentence(client: httpx.Client) -> None:
    reasons = Reasons.model_validate(client.get("/v1/reasons").json())
    assert reasons.rerecord == RE_RECORD
    assert set(CATALOGUE) < set(reasons.problems)
    for catalogue in (reasons.rerecord, reasons.abstentions, reasons.problems):
        assert all(sentence.endswith(".") for sentence in catalogue.values())


def test_alive_and_ready(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz").json()
    assert ready["status"] == "ready" and ready["workers_warm"] == 1


def test_documentation_names_every_answer(client: httpx.Client) -> None:
    assert client.get("/docs").status_code == 200
    document = client.get("/openapi.json").json()
    operation = document["paths"]["/v1/screenings"]["post"]
    expected = {"200", "401", "408", "409", "413", "415", "422", "429", "503", "504"}
    assert expected <= set(operation["responses"])
    assert {"ScreeningResult", "ScreeningSet", "Problem", "Metadata"} <= set(
        document["components"]["schemas"]
    )
    assert {"multipart/form-data", "audio/*"} <= set(operation["requestBody"]["content"])
    references = set(re.findall(r'"#/components/schemas/(\w+)"', str(document).replace("'", '"')))
    assert references <= set(document["components"]["schemas"])


def test_metrics_count_by_route_and_code(client: httpx.Client) -> None:
    upload(client, GOOD)
    upload(client, b"no audio")
    client.get("/nowhere/to/be/found")
    text = client.get("/metrics").text
    assert re.search(r'cough_requests_total\{code="",route="/v1/screenings",status="200"\} [1-9]', text)
    assert re.search(r'cough_requests_total\{code="not_audio",route="/v1/screenings",status="415"\}', text)
    assert 'route="other",status="404"' in text
    assert "nowhere" not in text
    assert re.search(r"cough_workers_warm 1\.0", text)
    assert 'cough_stage_seconds_count{stage="decode"}' in text


@pytest.mark.parametrize("path", ["/healthz", "/v1/reasons", "/nothing"])
def test_every_answer_has_the_id_and_the_security_headers(client: httpx.Client, path: str) -> None:
    headers = client.get(path, headers={"X-Request-ID": "my-id.1"}).headers
    assert headers["x-request-id"] == "my-id.1"
    assert headers["x-content-type-options"] == "nosniff"
    assert "unsafe-inline" not in headers["content-security-policy"]
    assert headers["permissions-policy"].startswith("microphone=(self)")


@pytest.mark.parametrize("bad", ["", "a" * 65, "a b", "a\tb", "<script>"])
def test_a_request_id_that_is_none_is_replaced(client: httpx.Client, bad: str) -> None:
    response = client.get("/healthz", headers={"X-Request-ID": bad})
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["x-request-id"])


def test_a_refusal_before_the_body_has_the_id_too(client: httpx.Client) -> None:
    response = client.post("/v1/screenings", content=bytes(2_000_000), headers={"X-Request-ID": "big"})
    assert_problem(response, 413, "too_large")
    assert response.json()["request_id"] == "big"


def test_no_cors_unless_configured(client: httpx.Client) -> None:
    response = client.get("/healthz", headers={"Origin": "https://elsewhere.example"})
    assert not [name for name in response.headers if name.startswith("access-control")]


def test_the_page_is_served_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "app.js").write_text("export {}")
    app = FastAPI()
    app.include_router(page_router(tmp_path))

    async def look() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://page") as client:
            assert (await client.get("/")).headers["content-type"].startswith("text/html")
            assert (await client.head("/")).status_code == 200
            assert "javascript" in (await client.get("/parts/app.js")).headers["content-type"]
            for path in ("/parts", "/parts/../../x", "/parts/..%2f..%2fetc/passwd"):
                assert (await client.get(path)).status_code == 404

    asyncio.run(look())
