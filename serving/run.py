"""Start the service in this process."""

from __future__ import annotations

import math
import socket

import uvicorn

from cough.errors import CoughError
from serving import logs
from serving.app import create_app
from serving.protocol import timed_protocol
from serving.settings import Settings


class Exposed(CoughError):
    """The service would answer anybody on an address that others can reach."""

    code = "exposed"


class AddressUnusable(CoughError):
    """Another program listens there already, or the address is not this machine's or not ours to use."""

    code = "address_unusable"


def check_address(host: str, port: int) -> None:
    """Whether a service could listen there: the server itself would say no to its log alone.

    Raises
    ------
    AddressUnusable
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise AddressUnusable(f"Nothing can listen at {host}, port {port}: {error.strerror}.") from error


def build_server(settings: Settings) -> uvicorn.Server:
    """The server, not yet listening.

    Raises
    ------
    Exposed : not loopback, no keys, and not told that this is meant
    BundleError, KeysUnusable : as ``create_app``
    """
    if not (settings.on_loopback or settings.keys or settings.allow_no_keys):
        raise Exposed(
            f"{settings.host} is not loopback, so others can reach it: set keys (cough keys new), "
            "or allow_no_keys if anybody may use it."
        )
    config = uvicorn.Config(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        http=timed_protocol(settings.header_s),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies or None,
        # What was accepted is finished: the slowest upload, then the longest answer.
        timeout_graceful_shutdown=math.ceil(settings.upload_s + settings.deadline_s) + 1,
    )
    return uvicorn.Server(config)


def run(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM, then finish what was accepted.

    Raises
    ------
    AddressUnusable : before the bundle is loaded
    Exposed, BundleError, KeysUnusable : as ``build_server``
    """
    check_address(settings.host, settings.port)
    logs.configure(settings.log_level)
    build_server(settings).run()
