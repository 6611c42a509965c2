"""``GET /v1/models`` and ``GET /v1/reasons``: what answers, and what its codes mean."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from cough import errors
from cough.mediator import WHY
from cough.messages import NOTICE, RE_RECORD
from cough.wire import InstalledCondition, InstalledModel, Models, Reasons, Uses
from serving.access import caller
from serving.problems import CATALOGUE, documented
from serving.service import Service

router = APIRouter(prefix="/v1", tags=["about"])


@router.get("/models", responses=documented("unauthorized"), dependencies=[Depends(caller)])
async def list_models(service: Annotated[Service, Depends(Service.of)]) -> Models:
    """The installed bundle: what it is, what it answers, and which inputs it uses."""
    spec = service.spec
    conditions = tuple(
        InstalledCondition(
            name=condition.name,
            title=condition.title,
            classes=condition.classes,
            voters=tuple(voter.name for voter in condition.voters),
            answers=condition.answers,
            policy=condition.policy,
        )
        for condition in spec.conditions
    )
    asks = any(condition.symptoms for condition in spec.conditions)
    installed = InstalledModel(
        model=service.model,
        gate_threshold=spec.gate.threshold,
        conditions=conditions,
        uses=Uses(metadata=asks, prevalence=bool(spec.conditions), combines_recordings=True),
        licences=spec.training.licences,
    )
    return Models(models=(installed,))


@router.get("/reasons")
async def list_reasons() -> Reasons:
    """Every code with its English sentence, for an app to show or translate. Needs no key."""
    unusable = {error.code: f"{error.__doc__ or ''}".strip() for error in errors.InputError.__subclasses__()}
    return Reasons(
        rerecord={str(code): sentence for code, sentence in RE_RECORD.items()},
        abstentions={str(code): sentence for code, sentence in WHY.items()},
        problems={**unusable, **{code: sentence for code, (_, sentence) in CATALOGUE.items()}},
        notice=NOTICE,
    )
