"""The server as a process: address, keys, start and end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from rhapsode.errors import RunError, SettingsError
from rhapsode.log import log
from rhapsode.serving.app import WRITING, build_app
from rhapsode.serving.http.early_refusal import EarlyRefusal
from rhapsode.serving.http.guard import EVERYWHERE, HEADERS, Guard, allowed_hosts
from rhapsode.serving.http.listening import ListeningSocket
from rhapsode.serving.http.receiving import TimedProtocol
from rhapsode.serving.serve_settings import ServeSettings
from rhapsode.serving.served_model import check_address, models_in, open_models
from rhapsode.serving.server_state import ServerState

# Seconds that requests have to finish after the first signal.
GRACE = 3.0
RUNS = Path("runs")


class _Server(uvicorn.Server):
    """A server that ends its streams before it closes their connections."""

    def __init__(self, config: uvicorn.Config, state: ServerState) -> None:
        super().__init__(config)
        self._state = state
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop taking requests, and end when those in progress have finished."""
        if self._state.stopping or self._loop is None or not self._state.running:
            super().handle_exit(sig, frame)
            return
        self._state.stopping = True
        self._captured_signals.append(sig)
        self._loop.call_soon_threadsafe(lambda: asyncio.ensure_future(self._drain()))

    async def _drain(self) -> None:
        end = asyncio.get_running_loop().time() + GRACE
        while self._state.running and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.05)
        for answering in list(self._state.running.values()):
            answering.stop()
        await asyncio.sleep(0.1)
        self.should_exit = True


def read_keys(settings: ServeSettings) -> list[str]:
    """The API keys of a file, or of the variable RHAPSODE_API_KEY.

    Raises:
        SettingsError: the file cannot be read, or holds none.
    """
    if settings.key_file is None:
        value = os.environ.get("RHAPSODE_API_KEY", "")
        return [value] if value else []
    try:
        lines = Path(settings.key_file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise SettingsError("cannot read the keys", where="--key-file") from None
    keys = [line.strip() for line in lines if line.strip()]
    if not keys:
        raise SettingsError("the file holds no key", where="--key-file")
    return keys


class ModelServer:
    """A server that listens, and answers once it runs.

    Arguments:
        models: run folders or model files; none for those in `runs`.
        settings: of the server.

    Raises:
        RhapsodeError: a model that cannot be opened, or an address that cannot be used.
    """

    def __init__(self, models: Sequence[str | Path], settings: ServeSettings) -> None:
        keys = read_keys(settings)
        check_address(settings, keys=bool(keys))
        table = open_models(list(models) or models_in(RUNS), settings, found=not models)
        self._socket = _listen(settings)
        self.port: int = self._socket.getsockname()[1]
        app, self.state = build_app(table, settings, keys)
        hosts = allowed_hosts(settings, self.port)
        guard = Guard(app, settings, keys, self.state.token, hosts)
        paths = [f"{root}{path}" for root in {"", settings.root_path} for path in WRITING]

        refusing = EarlyRefusal(self.state.refusal, paths, HEADERS)
        self._socket.refusal = refusing

        class Protocol(TimedProtocol):
            refusal = refusing

        self._server = _Server(_configured(guard, settings, Protocol), self.state)
        self._socket.headers = lambda: self._server.server_state.default_headers
        self.url = f"http://{_authority(settings, self.port)}{settings.root_path}/"

    def run(self) -> None:
        """Answer until a signal, or `stop`, ends it."""
        try:
            self._server.run(sockets=[self._socket])
        except KeyboardInterrupt:
            pass
        finally:
            self._socket.close()

    def stop(self) -> None:
        """End as a signal does; from any thread."""
        self._server.handle_exit(signal.SIGTERM, None)


def serve(
    models: Sequence[str | Path],
    settings: ServeSettings,
    *,
    tell: Callable[[str], None] = log.info,
) -> None:
    """Serve models until a signal ends it.

    Arguments:
        models: run folders or model files; none for those in `runs`.
        settings: of the server.
        tell: takes the address, when the server listens.

    Raises:
        RhapsodeError: a model that cannot be opened, or an address that cannot be used.
    """
    server = ModelServer(models, settings)
    tell(f"{server.url}#token={server.state.token}")
    with _frozen_start(server):
        server.run()


@contextmanager
def _frozen_start(server: ModelServer) -> Iterator[None]:
    """Take what is loaded at the start out of the search for garbage.

    The objects of torch, numba and the models are hundreds of thousands: looking through them
    stopped every answer now and then, for a tenth of a second or longer.
    """
    server.state.loaded = gc.freeze
    try:
        yield
    finally:
        gc.unfreeze()


def _authority(settings: ServeSettings, port: int) -> str:
    """Name and port by which clients reach the server."""
    host = settings.host
    if host in EVERYWHERE:
        host = settings.host_name[0] if settings.host_name else "127.0.0.1"
        return host if ":" in host else f"{host}:{port}"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _configured(
    app: ASGIApp, settings: ServeSettings, protocol: type[TimedProtocol]
) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=settings.trust_proxy,
        forwarded_allow_ips="127.0.0.1",
        root_path=settings.root_path,
        limit_concurrency=2048,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=16384,
    )


def _listen(settings: ServeSettings) -> ListeningSocket:
    """A socket at the address.

    Raises:
        RunError: it cannot be used.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = ListeningSocket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
        listening.listen(2048)
    except OSError as problem:
        listening.close()
        raise RunError(
            f"cannot listen on port {settings.port}: {problem.strerror}",
            where="--host" if isinstance(problem, socket.gaierror) else "--port",
            hint="choose another one, or 0 for a free one",
        ) from None
    return listening
