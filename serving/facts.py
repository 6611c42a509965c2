"""What is known about a request, gathered on its way, for its log line and the metrics."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.types import Scope

_KEY = "cough.facts"


@dataclass
class Facts:
    """Nothing of the person: no file name, header, address or body."""

    request_id: str
    route: str = "other"
    """The path as documented, never as sent."""
    key: str | None = None
    """Name of the API key."""
    code: str | None = None
    """Of the problem, if it ended in one."""
    bytes_in: int = 0
    recordings: int = 0
    outcomes: list[str] = field(default_factory=list)
    timings_ms: list[dict[str, float]] = field(default_factory=list)
    """Of each recording, in the worker."""
    replayed: bool = False
    """Answered from the idempotency store."""


def attach(scope: Scope, facts: Facts) -> None:
    """Begin to gather."""
    scope[_KEY] = facts


def facts_of(scope: Scope) -> Facts:
    """What is known so far."""
    facts = scope.get(_KEY)
    return facts if isinstance(facts, Facts) else Facts(request_id="")
