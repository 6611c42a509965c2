"""Settings of the service: environment, ``.env`` or a TOML file, in that order of weight.

``max_bytes`` is ``COUGH_MAX_BYTES`` in the environment and in ``.env``, and ``max_bytes`` in
``cough-serve.toml`` (or the file that ``COUGH_CONFIG`` names). ``cough serve --show-config`` prints
what holds, in the form of that file.
"""

from __future__ import annotations

import ipaddress
import json
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from limits import parse as parse_rate
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

CONFIG_FILE = "cough-serve.toml"


class Settings(BaseSettings):
    """All times in seconds, all sizes in bytes."""

    model_config = SettingsConfigDict(
        env_prefix="COUGH_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    host: str = "127.0.0.1"
    """Address to listen on. Anything but loopback needs ``keys`` or ``allow_no_keys``."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    """Port to listen on; 0 picks a free one."""
    workers: Annotated[int, Field(ge=1, le=256)] = 2
    """Processes that decode and screen, each on one core. One more, beside them, speaks HTTP."""
    bundle: Path | None = None
    """Model bundle folder; none for the one shipped with the package."""

    keys: Path | None = None
    """File of API keys (``cough keys new``), read again whenever it changes. None: no keys are asked for."""
    allow_no_keys: bool = False
    """Also answer callers without a key, on any address, limited by their address."""
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins whose pages may call the service: a list, or separated by commas; ``*`` for all."""
    trusted_proxies: str = ""
    """Addresses or networks whose ``X-Forwarded-For`` is believed, separated by commas; ``*`` for all."""

    max_bytes: Annotated[int, Field(gt=0, le=1 << 30)] = 16 * 1024 * 1024
    """Largest request body. Ten seconds of 48 kHz stereo wav are 2 MB."""
    max_seconds: Annotated[float, Field(gt=0)] = 120.0
    """Longest recording."""
    max_files: Annotated[int, Field(ge=1, le=64)] = 8
    """Recordings in one request."""
    max_held_bytes: Annotated[int, Field(gt=0)] = 256 * 1024 * 1024
    """All bodies in memory together; beyond, uploads are turned away with 503."""
    header_s: Annotated[float, Field(gt=0)] = 10.0
    """A connection whose request line and headers take longer is closed."""
    upload_s: Annotated[float, Field(gt=0)] = 60.0
    """A body that takes longer to arrive is answered 408."""
    job_s: Annotated[float, Field(gt=0)] = 10.0
    """A worker that takes longer over a recording is ended, and the recording answered 422."""
    start_s: Annotated[float, Field(gt=0)] = 60.0
    """A worker that takes longer to load the bundle is ended."""
    deadline_s: Annotated[float, Field(gt=0)] = 30.0
    """From the last byte of the body to the answer; beyond, 504."""
    worker_memory_bytes: Annotated[int, Field(ge=64 << 20)] = 1 << 30
    """Address space that a recording may cost a worker."""
    max_waiting: Annotated[int, Field(ge=1)] = 64
    """Recordings that wait for a worker; beyond, 503."""
    max_wait_s: Annotated[float, Field(gt=0)] = 1.0
    """A recording that would, by recent times, wait longer for a worker is turned away with 503."""
    max_wait_jobs: Annotated[float, Field(gt=0)] = 1.0
    """The same in recordings: at 1 as many may wait as there are workers. While more than a quarter of recent
    callers are turned away, half of that, less what the recordings in workers have taken already, so that
    what is accepted waits little. More lets crowds wait instead of asking again."""

    rate: str = "120/minute"
    """Uploads per key, or per address without one, in any such window; ``off`` for no limit."""
    redis_url: SecretStr | None = None
    """``redis://...`` to share rates and idempotency among several services; none for memory."""
    idempotency_s: Annotated[float, Field(gt=0)] = 3600.0
    """How long an answer is kept for a retry with the same ``Idempotency-Key``."""
    idempotency_entries: Annotated[int, Field(ge=1)] = 1000
    """Answers kept at most, in memory."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """One line a request is ``info``."""

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _are_origins(cls, given: object) -> object:
        """As browsers send them: one that ends in a slash would never match."""
        if isinstance(given, str):
            given = json.loads(given) if given.lstrip().startswith("[") else given.split(",")
        if isinstance(given, list | tuple):
            return [one.strip().rstrip("/") if isinstance(one, str) else one for one in given]
        return given

    @field_validator("rate")
    @classmethod
    def _is_a_rate(cls, rate: str) -> str:
        if rate != "off":
            parse_rate(rate)
        return rate

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, proxies: str) -> str:
        """A name that is mistyped would be believed by nobody, and all its callers share one rate."""
        for one in filter(None, map(str.strip, proxies.split(","))):
            if one != "*":
                ipaddress.ip_network(one, strict=False)
        return proxies

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        return url

    @model_validator(mode="after")
    def _holds_what_it_takes(self) -> Self:
        if self.max_held_bytes < self.max_bytes:
            raise ValueError("max_held_bytes must be at least max_bytes, or such an upload never finds room")
        return self

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach ``host``."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What the caller says, the environment, ``.env``, the TOML file, the defaults."""
        return init_settings, env_settings, dotenv_settings, _TomlFile(settings_cls)


class _TomlFile(TomlConfigSettingsSource):
    """Unlike the environment, which others write to as well, the file may not hold unknown names."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        named = os.environ.get("COUGH_CONFIG")
        if named and not Path(named).is_file():
            raise ValueError(f"COUGH_CONFIG: there is no file {named}")
        try:
            super().__init__(settings_cls, Path(named or CONFIG_FILE))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise ValueError(f"{named or CONFIG_FILE}: {error}") from error

    def __call__(self) -> dict[str, Any]:
        given = super().__call__()
        if unknown := set(self.toml_data) - set(self.settings_cls.model_fields):
            raise ValueError(f"{self.toml_file_path}: unknown settings {', '.join(sorted(unknown))}")
        return given


def show(settings: Settings) -> str:
    """The settings as a TOML file with their descriptions; passwords are masked."""
    lines = []
    for name, value in settings.model_dump(mode="json").items():
        field = Settings.model_fields[name]
        lines.append(f"# {' '.join((field.description or '').split())}")
        lines.append(f"# {name} =" if value is None else f"{name} = {json.dumps(value)}")
        lines.append("")
    return "\n".join(lines).rstrip()
