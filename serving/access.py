"""Who may ask, and how often: FastAPI dependencies that run before a byte of the body is read."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from serving.facts import facts_of
from serving.problems import Refused
from serving.rates import network_of
from serving.service import Service

_bearer = HTTPBearer(
    auto_error=False, description="An API key, where the service asks for one (`cough keys new`)."
)


async def caller(
    request: Request,
    service: Annotated[Service, Depends(Service.of)],
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> str:
    """Who asks, as one string: the name of their key, else their address.

    Raises
    ------
    Refused : ``unauthorized``
    """
    keys = service.keys
    address = f"address:{network_of(request.client.host if request.client else None)}"
    if keys is None:
        return address
    if "authorization" in request.headers:  # a wrong key is told so even where none is needed
        name = keys.name_of(credentials.credentials) if credentials else None
    elif service.settings.allow_no_keys:
        return address
    else:
        name = None
    if name is None:
        raise Refused("unauthorized", headers={"WWW-Authenticate": "Bearer"})
    facts_of(request.scope).key = name
    return f"key:{name}"


async def admitted(
    service: Annotated[Service, Depends(Service.of)], who: Annotated[str, Depends(caller)]
) -> str:
    """A caller who has not asked too often.

    Raises
    ------
    Refused : ``rate_limited``
    """
    await service.rates.admit(who)
    return who
