"""Chats and subtitles as lines of speaker and message, without their times."""

import html
import json
import re
from collections.abc import Iterator
from typing import Any

from rhapsode.data.sources.blob import Found, NotText

_CUE = re.compile(r"^\s*[\d:.,]+\s*-->\s*[\d:.,]+.*$")
_SPEAKER = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
_MARKUP = re.compile(r"<[^<>]*>|\{\\[^{}]*\}")
_CHAT = re.compile(
    r"[\u200e\u200f\ufeff]*(?:"
    r"\[\d{1,4}[./-]\d{1,2}[./-]\d{1,4}, "
    r"\d{1,2}[:.]\d\d(?:[:.]\d\d)?(?:[\s\u202f][ap]\.?\s?m\.?)?\] "
    r"|\d{1,4}[./-]\d{1,2}[./-]\d{1,4},? \d{1,2}[:.]\d\d(?:[\s\u202f][ap]\.?\s?m\.?)? - )"
    r"(?:([^:\n]{1,60}): )?(.*)",
    re.IGNORECASE,
)  # fmt: skip
_OMITTED = re.compile(r"[\u200e\u200f]*(?:<[^<>]*>|\w+ omitted|\w+ weggelassen)[\u200e\u200f]*")
_AHEAD = 40
_EXPORT = re.compile(
    r'"messages"\s*:\s*\[|"type"\s*:\s*"message"|"ts"\s*:\s*"\d+\.\d+"|"team_id"\s*:'
)
_LISTS = ({"id", "team_id"}, {"id", "created", "members"}, {"user_id", "app_id"})


def spoken_lines(text: str) -> list[str]:
    """Lines of subtitles (SRT, WebVTT), with the speaker where one is marked.

    A line that repeats the one before it, as in captions that scroll, is kept once.
    """
    lines: list[str] = []
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n")):
        rows = block.split("\n")
        cue = next((place for place, row in enumerate(rows) if _CUE.match(row)), None)
        for row in rows[cue + 1 :] if cue is not None else ():
            named = _SPEAKER.search(row)
            said = html.unescape(_MARKUP.sub("", row)).strip()
            line = f"{named[1].strip()}: {said}" if named and said else said
            if line and (not lines or line != lines[-1]):
                lines.append(line)
    return lines


def without_stamps(chunks: Iterator[str], found: Found) -> Iterator[str]:
    """Text of a file, without the times of a WhatsApp chat.

    Notices without a speaker and placeholders of media are left out. Other text passes unchanged.
    """
    first = next(chunks, "")
    head = [line for line in first[:20_000].split("\n") if line.strip()][:_AHEAD]
    stamped = [match for match in map(_CHAT.fullmatch, head) if match]
    if len(stamped) < 3 or 2 * len(stamped) < len(head) or sum(bool(m[1]) for m in stamped) < 2:
        yield first
        yield from chunks
        return
    found.count("formats", "WhatsApp chat")
    rest, kept = first, False
    while True:
        chunk = next(chunks, None)
        lines = (rest + (chunk or "")).split("\n")
        rest = lines.pop() if chunk is not None else ""
        out: list[str] = []
        for line in lines:
            stamp = _CHAT.fullmatch(line)
            if stamp is None:
                if kept and line.strip():
                    out.append(line)
                continue
            kept = bool(stamp[1]) and not _OMITTED.fullmatch(stamp[2])
            if kept:
                out.append(f"{stamp[1].strip()}: {stamp[2].strip()}")
            else:
                found.count("left_out", "chat notice")
        if out:
            yield "\n".join(out) + "\n"
        if chunk is None:
            return


def is_chat_export(head: str) -> bool:
    """True if a JSON file begins as a chat export may."""
    return _EXPORT.search(head) is not None


def messages_of_export(text: str, where: str) -> tuple[str, list[str], int]:
    """Messages of an export of Telegram, Discord or Slack.

    Returns:
        The kind, lines of speaker and message, and the number of messages without text. The kind is
        empty for other or malformed JSON.

    Raises:
        NotText: a list of users or channels that belongs to an export.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return "", [], 0
    records = data if isinstance(data, list) else [data]
    first = records[0] if records and isinstance(records[0], dict) else {}
    if isinstance(data, list) and any(names <= set(first) for names in _LISTS):
        raise NotText("a list that belongs to a chat export, without messages", where=where)
    if isinstance(data, dict) and isinstance(data.get("chats"), dict):  # Telegram, all chats
        records = [chat for chat in data["chats"].get("list", []) if isinstance(chat, dict)]
    if isinstance(data, list):
        kind, messages = "Slack chat", data
    else:
        kind = "Discord chat" if "guild" in data else "Telegram chat"
        messages = [m for chat in records for m in _messages(chat)]
    said = [_said(message) for message in messages if isinstance(message, dict)]
    lines = [f"{speaker}: {words}" for speaker, words in said if speaker and words]
    if not lines and said and not any(speaker for speaker, _ in said):
        return "", [], 0
    return kind, lines, len(said) - len(lines)


def _messages(chat: dict[str, Any]) -> list[Any]:
    found = chat.get("messages")
    return found if isinstance(found, list) else []


def _said(message: dict[str, Any]) -> tuple[str, str]:
    """Speaker and words of a message of any of the exports."""
    author = message.get("author")
    if isinstance(author, dict):  # Discord
        return str(author.get("nickname") or author.get("name") or ""), _words(message["content"])
    if "user" in message or "username" in message:  # Slack
        profile = message.get("user_profile") or {}
        names = (profile.get("display_name"), profile.get("real_name"), message.get("username"))
        speaker = next((name for name in names if name), message.get("user"))
        return str(speaker or ""), "" if message.get("subtype") else _words(message.get("text"))
    return str(message.get("from") or ""), _words(message.get("text"))


def _words(text: Any) -> str:
    """Text of a message, which may come in pieces with formats."""
    if isinstance(text, list):
        text = "".join(p if isinstance(p, str) else str(p.get("text", "")) for p in text)
    return str(text or "").strip()
