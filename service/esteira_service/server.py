"""The process: uvicorn with uvloop and httptools, logs as events, and an end that keeps nobody waiting."""

from __future__ import annotations

import contextlib
import gc
import logging
import socket

import structlog
import uvicorn
from fastapi import FastAPI

from esteira.errors import ConfigurationError
from esteira.logging import configure_logging
from esteira.settings import Settings
from esteira_service.app import create_app
from esteira_service.exposure import NO_AUTHENTICATION, is_loopback
from esteira_service.protocol import Protocol

# Compose and Kubernetes kill after 30 s.
GRACE_SECONDS = 20
log = structlog.get_logger()


def run_service(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests that are under way get their answers.

    Raises ConfigurationError, DatabaseUnavailable or SchemaMismatch where it cannot start, saying what to do.
    """
    configure_logging(settings.log_level, settings.log_format)
    _forward_logs()
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        http=Protocol,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        # The server below opens and closes the application, so that what stops it is raised and not only logged.
        lifespan="off",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    with _listen(settings) as listening, contextlib.suppress(KeyboardInterrupt):
        _Server(config, app).run(sockets=[listening])


class _Server(uvicorn.Server):
    """Uvicorn that answers long polls before it waits for the last requests."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app
        self._opened = contextlib.AsyncExitStack()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self._opened.enter_async_context(self._app.router.lifespan_context(self._app))
        await super().startup(sockets)
        # What has been loaded stays, and requests make hardly any cycles. With Python's own thresholds looking for them
        # took a quarter of a busy service's time.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        for listening in sockets or ():
            host, port, *_ = listening.getsockname()
            log.info("service_started", host=host, port=port, url=f"http://{host}:{port}")
            if not is_loopback(host):
                log.warning("no_authentication", host=host, detail=NO_AUTHENTICATION)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        log.info("service_stopping")
        self._app.state.esteira.hub.release()
        await super().shutdown(sockets)
        await self._opened.aclose()
        log.info("service_stopped")


class _Forwarder(logging.Handler):
    """Hand on what libraries log in the standard way."""

    def emit(self, record: logging.LogRecord) -> None:
        log.log(record.levelno, "library", logger=record.name, message=record.getMessage(), exc_info=record.exc_info)


def _forward_logs() -> None:
    for name in ("uvicorn", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers = [_Forwarder()]
        logger.propagate = False
        # What uvicorn has to say at lower levels, the service says itself.
        logger.setLevel(logging.WARNING)


def _listen(settings: Settings) -> socket.socket:
    host, port = settings.host, settings.port
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}; set ESTEIRA_HOST, ESTEIRA_PORT"
        ) from error
