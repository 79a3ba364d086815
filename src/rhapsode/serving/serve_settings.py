"""Settings of the server. Loads nothing of HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from rhapsode.config import Repeated, option

Megabytes = Annotated[float, Meta(ge=0.0, le=1e6)]


@dataclass(frozen=True)
class AddressSettings:
    """Address, and who may come."""

    host: Annotated[str, option("ADDRESS")] = "127.0.0.1"
    """Address to listen on. Any other than one of this machine needs a key file."""
    port: Annotated[Annotated[int, Meta(ge=0, le=65535)], option("N")] = 8000
    """Port to listen on; 0 takes a free one."""
    host_name: Annotated[Repeated[tuple[str, ...]], option("NAME", "this machine")] = ()
    """Further name by which clients reach the server, with the port where it differs; may be
    repeated."""
    origin: Annotated[Repeated[tuple[str, ...]], option("URL", "the server itself")] = ()
    """Web page that may call the server from a browser, as https://example.org; may be repeated."""
    key_file: Annotated[str | None, option("FILE", "the variable RHAPSODE_API_KEY")] = None
    """File of API keys, one on each line. With keys, every route but /health needs one of them."""
    root_path: Annotated[str, option("PATH", "none")] = ""
    """Path under which a proxy shows the server, as /models."""
    trust_proxy: bool = False
    """Believe the client address that a proxy on this machine reports."""


@dataclass(frozen=True)
class LimitSettings:
    """Limits of requests."""

    slots: Annotated[Annotated[int, Meta(ge=1, le=4096)], option("N")] = 64
    """Continuations that are written at the same time."""
    queue: Annotated[Annotated[int, Meta(ge=0, le=1 << 20)], option("N")] = 256
    """Requests that may wait; further ones are answered with 429."""
    seconds: Annotated[Annotated[float, Meta(gt=0.0, le=1e6)], option("S")] = 600.0
    """Time that one request may take."""
    max_tokens: Annotated[Annotated[int, Meta(ge=1, le=1 << 30)], option("N")] = 1_000_000
    """Elements that one continuation may have."""
    max_prompt: Annotated[Annotated[int, Meta(ge=1, le=1 << 30)], option("N")] = 2_000_000
    """Elements that a prompt may have."""
    elements_per_minute: Annotated[Annotated[int, Meta(ge=1)] | None, option("N", "no limit")] = (
        None
    )
    """Elements, of prompts and continuations, that the holder of one key may ask for in a minute;
    without keys, one address."""


@dataclass(frozen=True)
class StateSettings:
    """Stored states, and the cache of prefixes."""

    states: Annotated[str | None, option("FOLDER", "runs/states")] = None
    """Folder of stored states."""
    states_mb: Annotated[Megabytes, option("MB")] = 256.0
    """Size of all stored states."""
    prefix_mb: Annotated[Megabytes, option("MB")] = 64.0
    """Memory for states after recent prompts; 0 keeps none."""


@dataclass(frozen=True)
class ServeSettings(StateSettings, LimitSettings, AddressSettings):
    """Settings of the server."""

    chat_template: Literal["plain", "speakers"] = "plain"
    """Text of a chat: plain joins the messages by blank lines, speakers begins each with its role
    and a colon."""
    weights: Literal["float32", "bf16", "int8"] = "float32"
    """Number format of the weights in the compiled engine."""
    threads: Annotated[Annotated[int, Meta(ge=1, le=256)] | None, option("N", "all cores")] = None
    """Maximum number of cores for writing."""
    log_prompts: bool = False
    """Write prompts into the log."""


BODY_BYTES = 8 << 20
CHOICES = 128
PROMPTS = 256
STOPS = 64
STOP_CHARACTERS = 256
LOGPROBS = 20
DEFAULT_TOKENS = 400
BEAMS = 64
