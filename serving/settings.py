"""Settings of the service, from ``COUGH_``-prefixed environment variables."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Each field is also an environment variable: ``max_bytes`` is ``COUGH_MAX_BYTES``."""

    model_config = SettingsConfigDict(env_prefix="COUGH_", env_ignore_empty=True, extra="ignore", frozen=True)

    bundle: Path | None = None
    """Model bundle folder; None for the one shipped with the package."""
    max_bytes: int = 16 * 1024 * 1024
    """Largest request body. Ten seconds of 48 kHz stereo wav are 2 MB."""
    max_seconds: float = 120.0
    """Longest recording."""
