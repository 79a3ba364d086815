"""Checks before any handler, and headers of every answer."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from http.cookies import CookieError, SimpleCookie

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rhapsode.serving.http.element_rate import CLIENT
from rhapsode.serving.http.exchange import MAY_WRITE
from rhapsode.serving.serve_settings import ServeSettings
from rhapsode.serving.wire.api_errors import ApiError
from rhapsode.serving.wire.json_text import encode_json

COOKIE = "rhapsode"
"""Cookie of the page, which holds the start-up token."""


EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104
"""Addresses that stand for all of this machine."""
OPEN = ("/health", "/health/live")
"""Routes that need no key."""
HEADER_BYTES = 16384
"""Bytes of all headers of a request."""
STATIC = "/static/"
"""Path of the files of the page, which hold no secret."""
RAW_BODIES = "/api/uploads"
"""Path of the routes whose bodies are files."""
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; worker-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
"""Headers of every answer."""


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def is_one_of(secret: str, known: Iterable[bytes]) -> bool:
    """True if a secret has one of some digests."""
    own, found = _digest(secret), False
    # All of them are compared, so that the time tells nothing.
    for digest in known:
        found |= hmac.compare_digest(own, digest)
    return found


def allowed_hosts(settings: ServeSettings, port: int) -> frozenset[str]:
    """Values of the Host header by which this server is reached."""
    names = ["localhost", "127.0.0.1", "[::1]"]
    if settings.host not in EVERYWHERE:
        names.append(f"[{settings.host}]" if ":" in settings.host else settings.host)
    hosts = {f"{name}:{port}" for name in names}
    if port == 80:
        hosts |= set(names)
    for name in settings.host_name:
        hosts |= {name.lower(), f"{name.lower()}:{port}"}
    return frozenset(hosts)


class Guard:
    """An ASGI application in front of another.

    Arguments:
        app: answers what is let through.
        settings: of the server.
        keys: that clients must have; empty for none.
        token: opens what writes.
        hosts: values of the Host header; None until the port is known.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: ServeSettings,
        keys: Sequence[str],
        token: str,
        hosts: frozenset[str],
    ) -> None:
        self._app, self.hosts = app, hosts
        self._origins = frozenset(each.rstrip("/").lower() for each in settings.origin)
        self._keys = tuple(map(_digest, keys))
        self._token = (_digest(token),)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = _Headers(scope)
        origin = headers.one(b"origin")
        shared = origin is not None and origin.lower() in self._origins
        more = list(HEADERS)
        if shared and origin is not None:
            more += [
                (b"access-control-allow-origin", origin.encode("latin-1")),
                (b"vary", b"origin"),
            ]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *more]}
            await send(message)

        try:
            self._check(scope, headers, shared=shared)
        except ApiError as error:
            await _send_error(error, send_with_headers)
            return
        if scope["method"] == "OPTIONS" and shared:
            await _send_preflight(send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)

    def _check(self, scope: Scope, headers: _Headers, *, shared: bool) -> None:
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        host = self._host(headers)
        if headers.size > HEADER_BYTES or len(scope.get("raw_path") or b"") > HEADER_BYTES:
            raise ApiError(431, "header_invalid", f"headers have at most {HEADER_BYTES:,} bytes")
        if headers.has(b"content-length") and headers.has(b"transfer-encoding"):
            raise ApiError(400, "header_invalid", "a body has a length or is chunked, not both")
        is_static = scope["method"] in ("GET", "HEAD") and _is_static(path)
        if not shared and not is_static:
            self._check_origin(headers, host, scope["scheme"])
        if scope["method"] == "OPTIONS" and shared:
            return
        if scope["method"] in ("POST", "PUT", "PATCH"):
            _check_media_type(headers, path)
        secret, token = _secret(headers), _cookie(headers) or headers.one(b"x-rhapsode-token")
        known = secret is not None and is_one_of(secret, self._keys)
        owner = any(is_one_of(each, self._token) for each in (secret, token) if each is not None)
        if self._keys and not known and not owner and path not in OPEN and not is_static:
            raise ApiError(401, "invalid_api_key", "a valid key is needed")
        scope[MAY_WRITE] = known or owner
        client = scope.get("client")
        scope[CLIENT] = secret if known else client[0] if client else ""

    def _host(self, headers: _Headers) -> str:
        """The only Host of a request.

        Raises:
            ApiError: there is none, several, or one that is not this server.
        """
        hosts = headers.all(b"host")
        if len(hosts) != 1:
            raise ApiError(400, "header_invalid", "a request has one Host header")
        host = hosts[0].lower()
        if host not in self.hosts:
            raise ApiError(
                403,
                "host_not_allowed",
                f"the server is not known as {host[:128]!r}; start it with --host-name NAME",
            )
        return host

    def _check_origin(self, headers: _Headers, host: str, scheme: str) -> None:
        origin, site = headers.one(b"origin"), headers.one(b"sec-fetch-site")
        foreign = origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}")
        if foreign or site == "cross-site":
            raise ApiError(
                403,
                "origin_not_allowed",
                "web pages of other sites may not call this server; "
                "start it with --origin URL to allow one",
            )


class _Headers:
    """Headers of a request, by name in lower case."""

    def __init__(self, scope: Scope) -> None:
        self._pairs: list[tuple[bytes, bytes]] = list(scope["headers"])

    @property
    def size(self) -> int:
        return sum(len(name) + len(value) for name, value in self._pairs)

    def all(self, name: bytes) -> list[str]:
        return [value.decode("latin-1") for key, value in self._pairs if key == name]

    def one(self, name: bytes) -> str | None:
        values = self.all(name)
        return values[0] if values else None

    def has(self, name: bytes) -> bool:
        return any(key == name for key, _ in self._pairs)


def _is_static(path: str) -> bool:
    return path in ("/", "/favicon.ico") or path.startswith(STATIC)


def _check_media_type(headers: _Headers, path: str) -> None:
    kind = (headers.one(b"content-type") or "").partition(";")[0].strip().lower()
    wanted = "application/octet-stream" if path.startswith(RAW_BODIES) else "application/json"
    if kind != wanted:
        raise ApiError(415, "unsupported_media_type", f"the body must be {wanted}")


def _secret(headers: _Headers) -> str | None:
    """The key of a request, in either of two headers."""
    value = headers.one(b"authorization")
    if value is not None and value[:7].lower() == "bearer ":
        return value[7:].strip()
    return headers.one(b"x-api-key")


def _cookie(headers: _Headers) -> str | None:
    try:
        jar = SimpleCookie(headers.one(b"cookie") or "")
    except CookieError:
        return None
    return jar[COOKIE].value if COOKIE in jar else None


async def _send_error(error: ApiError, send: Send) -> None:
    content = encode_json(error.to_mapping())
    own = [(name.encode(), value.encode()) for name, value in error.headers]
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        (b"connection", b"close"),
        *own,
    ]
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def _send_preflight(send: Send) -> None:
    headers = [
        (b"access-control-allow-methods", b"GET, POST, DELETE"),
        (b"access-control-allow-headers", b"authorization, content-type, x-api-key"),
        (b"access-control-max-age", b"600"),
        (b"content-length", b"0"),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
