"""FastAPI turned the body cap's exception during form parsing into 400 instead of 413."""

from __future__ import annotations

import asyncio

from serving.limits import BodyLimit


def test_the_cap_raises_what_fastapi_passes_on() -> None:
    from starlette.exceptions import HTTPException

    caught: list[HTTPException] = []

    async def app(scope: object, receive: object, send: object) -> None:
        try:
            while True:
                await receive()  # type: ignore[operator]
        except HTTPException as error:
            caught.append(error)

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": bytes(60), "more_body": True}

    async def send(message: object) -> None:
        raise AssertionError("nothing should be sent")

    limit = BodyLimit(app, max_bytes=100)  # type: ignore[arg-type]
    asyncio.run(limit({"type": "http", "headers": []}, receive, send))  # type: ignore[arg-type]
    assert [error.status_code for error in caught] == [413]
