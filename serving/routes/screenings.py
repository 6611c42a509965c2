"""``POST /v1/screenings``"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response

from cough.bundle import ConditionSpec
from cough.screener import ScreeningResult, combine
from cough.wire import ScreeningSet
from serving.access import admitted
from serving.facts import Facts, facts_of
from serving.frames import Frame
from serving.problems import Refused, documented, problem
from serving.service import Service
from serving.uploads import SCREENING_BODY, UNUSED_HEADER, Upload, read_upload

router = APIRouter(prefix="/v1", tags=["screening"])

MEASURING_PROBLEMS = (
    *(
        "malformed_http",
        "invalid_request",
        "unauthorized",
        "upload_timeout",
        "too_large",
        "unsupported_media_type",
    ),
    *("not_audio", "unsupported_codec", "empty", "no_audio_track", "truncated", "corrupt"),
    *("unsupported_rate", "too_long", "too_many_channels", "non_finite"),
    *("decoder_failed", "decoder_timeout", "rate_limited", "overloaded", "deadline_exceeded"),
)

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Any string that is new for each request and the same for its retries, such as a UUID.",
    ),
]


@router.post(
    "/screenings",
    responses={
        200: {
            "headers": {
                UNUSED_HEADER: {
                    "description": "Fields that were valid and had no influence, separated by commas.",
                    "schema": {"type": "string"},
                }
            }
        },
        **documented(*MEASURING_PROBLEMS, "idempotency_in_progress", "idempotency_mismatch"),
    },
    response_model=ScreeningResult | ScreeningSet,
    openapi_extra={"requestBody": SCREENING_BODY},
)
async def create_screening(
    request: Request,
    service: Annotated[Service, Depends(Service.of)],
    who: Annotated[str, Depends(admitted)],
    upload: Annotated[Upload, Depends(read_upload)],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Screen a person's recording, or several.

    One `file` is answered by a `ScreeningResult`: `outcome` is `screened`, `inconclusive` or
    `rerecord`; with `rerecord`, `reasons` says what to do. Several are answered by a
    `ScreeningSet`: the person's answer, and each recording on its own and in order, with a problem in
    the place of one that cannot be measured. `metadata` and `prevalence` are checked;
    `GET /v1/models` says whether the installed bundle `uses` them, and `Cough-Unused-Input` names
    those of a request that it did not use.
    Never a diagnosis.
    """
    facts = facts_of(request.scope)

    async def work() -> str:
        frames = await service.measure("screen", upload.recordings, facts, upload.asked())
        if len(frames) == 1:
            return only(frames[0])
        return _several(request, frames, service.spec.conditions)

    # Without a key a caller is not told apart by address: a phone has another one after it lost its
    # network, and who knows another's Idempotency-Key and recording learns nothing from the answer.
    owner = who if facts.key else "anyone"
    answer, facts.replayed = await service.idempotency.once(
        owner, idempotency_key, upload.fingerprint("/v1/screenings"), work
    )
    return answered(answer, facts, unused=_unused(upload, answer))


def _unused(upload: Upload, answer: str) -> list[str]:
    """Fields without influence on this answer: nothing was measured, or there is no model for them."""
    if not upload.fields:
        return []
    table = json.loads(answer)
    results = table.get("recordings", [table])
    conditions = [c for result in results for c in result.get("conditions", ())]
    told = any(c.get("symptoms") for c in conditions)
    used = {"metadata": told, "prevalence": told or any(c.get("predictive_values") for c in conditions)}
    return sorted(field for field in upload.fields if not used[field])


def only(frame: Frame) -> str:
    """The answer in a frame, as JSON; one that is ``refused`` raises its problem."""
    if frame.head["kind"] == "refused":
        raise Refused(frame.head["code"], frame.head["detail"])
    return frame.body.decode()


def answered(answer: str, facts: Facts, *, unused: list[str] | None = None) -> Response:
    """The response with this JSON, as a worker wrote it."""
    headers = {}
    if unused:
        headers[UNUSED_HEADER] = ", ".join(unused)
    if facts.replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(answer, media_type="application/json", headers=headers)


def _several(request: Request, frames: list[Frame], conditions: Sequence[ConditionSpec]) -> str:
    recordings: list[dict[str, Any]] = []
    for frame in frames:
        try:
            recordings.append(json.loads(only(frame)))
        except Refused as error:
            refusal = problem(
                request.scope, status=error.status_code, code=error.code, detail=str(error.detail)
            )
            recordings.append(refusal.model_dump())
    results = [ScreeningResult.model_validate(r) for r in recordings if "outcome" in r]
    person = combine(conditions, results) if results else None
    answer = ScreeningSet(
        outcome=person.outcome if person else "rerecord",
        n_counted=person.n_counted if person else 0,
        conditions=person.conditions if person else (),
        recordings=(),
    ).model_dump(mode="json")
    return json.dumps({**answer, "recordings": recordings})
