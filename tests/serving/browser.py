"""A headless Chromium, driven over pipes with the DevTools protocol."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any, Self

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
"""The program; None where it is not installed."""
KEYS = {
    "Enter": ("Enter", 13, "\r"),
    "Escape": ("Escape", 27, ""),
    "Tab": ("Tab", 9, ""),
    " ": (" ", 32, " "),
    "Home": ("Home", 36, ""),
    "End": ("End", 35, ""),
    "ArrowLeft": ("ArrowLeft", 37, ""),
    "ArrowUp": ("ArrowUp", 38, ""),
    "ArrowRight": ("ArrowRight", 39, ""),
    "ArrowDown": ("ArrowDown", 40, ""),
}
ALT, CONTROL, SHIFT = 1, 2, 8


class BrowserError(Exception):
    """A script of the page failed, or a condition was not met in time."""


class Browser:
    """A browser with one page.

    Every host but this machine is blocked: names cannot be resolved.

    Arguments:
        language: of the browser, as a tag.
    """

    def __init__(self, language: str = "en-GB") -> None:
        assert CHROMIUM is not None
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        commands, answers = os.pipe(), os.pipe()
        arguments = [
            CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--hide-scrollbars", "--disable-extensions", "--disable-background-networking",
            "--remote-debugging-pipe", f"--user-data-dir={self._profile.name}",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--lang={language}",
            f"--accept-lang={language}", "about:blank",
        ]  # fmt: skip
        # The protocol wants the pipes as file descriptors 3 and 4.
        pipes = [(os.POSIX_SPAWN_DUP2, commands[0], 3), (os.POSIX_SPAWN_DUP2, answers[1], 4)]
        quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
        self._process = os.posix_spawn(
            CHROMIUM, arguments, os.environ, file_actions=[*pipes, *quiet]
        )
        os.close(commands[0])
        os.close(answers[1])
        self._commands, self._answers = commands[1], answers[0]
        self._buffer, self._number = b"", 0
        self.events: list[dict[str, Any]] = []
        """Events of the protocol that have not been read."""
        targets = self._send("Target.getTargets")["targetInfos"]
        page = next(each for each in targets if each["type"] == "page")
        self._session: str | None = self._send(
            "Target.attachToTarget", targetId=page["targetId"], flatten=True
        )["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        os.kill(self._process, signal.SIGTERM)
        os.waitpid(self._process, 0)
        os.close(self._commands)
        os.close(self._answers)
        self._profile.cleanup()

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command to the page, and wait for its result."""
        return self._send(method, session=self._session, **parameters)

    def _send(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._answers, 1 << 16)
            if not part:
                raise BrowserError("the browser has ended")
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def run(self, script: str) -> Any:
        """The value of an expression of the page, awaited if it is a promise."""
        answer = self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise BrowserError(details.get("exception", details).get("description", str(details)))
        return answer["result"].get("value")

    def longest_task(self, script: str) -> float:
        """Milliseconds of the longest task of the page while a script runs.

        This is time of the processor, so that other programs do not count.
        """
        known = {"includedCategories": ["toplevel"], "excludedCategories": ["*"]}
        self._send("Tracing.start", transferMode="ReportEvents", traceConfig=known)
        self.run(script)
        self._send("Tracing.end")
        while not any(each.get("method") == "Tracing.tracingComplete" for each in self.events):
            self.events.append(self._read())
        parts = [e for e in self.events if e.get("method", "").startswith("Tracing.")]
        self.events = [each for each in self.events if each not in parts]
        trace = [event for part in parts for event in part["params"].get("value", ())]
        pages = {
            (event["pid"], event["tid"])
            for event in trace
            if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
        }
        times: list[float] = [
            event["tdur"] / 1000
            for event in trace
            if event["name"].endswith("RunTask")
            and (event["pid"], event["tid"]) in pages
            and "tdur" in event
        ]
        return max(times)

    def wait(self, condition: str, seconds: float = 10.0) -> None:
        """Wait until an expression of the page is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.run(f"Boolean({condition})"):
                return
            time.sleep(0.03)
        raise BrowserError(f"not met in {seconds:g} s: {condition}")

    def open(self, url: str) -> None:
        """Open a page that tells when it is ready."""
        self.send("Page.navigate", url="about:blank")
        self.send("Page.navigate", url=url)
        self.wait("document.documentElement?.dataset.ready", 20)

    def reload(self) -> None:
        """Load the page again."""
        self.run("delete document.documentElement.dataset.ready")
        self.send("Page.reload")
        self.wait("document.documentElement?.dataset.ready", 20)

    def size(self, width: int, height: int, *, phone: bool = False, scale: float = 1) -> None:
        """Set the size of the window in CSS pixels."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=phone,
        )

    def media(self, **features: str) -> None:
        """Set media features, as prefers_color_scheme="dark"."""
        named = [{"name": k.replace("_", "-"), "value": v} for k, v in features.items()]
        self.send("Emulation.setEmulatedMedia", features=named)

    def picture(self, path: Path) -> None:
        """Save what the window shows as a PNG file."""
        data = self.send("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def type(self, text: str) -> None:
        """Type a text into what has the focus."""
        self.send("Input.insertText", text=text)

    def press(self, key: str, modifiers: int = 0) -> None:
        """Press a key."""
        code, number, text = KEYS.get(key, (key, ord(key[0].upper()), key))
        common = {
            "key": key,
            "code": code,
            "windowsVirtualKeyCode": number,
            "modifiers": modifiers,
        }
        down = {"text": text} if text and not modifiers & (CONTROL | ALT) else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", **common, **down)
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def move(self, x: float, y: float) -> None:
        """Move the mouse."""
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, x: float, y: float) -> None:
        """Click at a point."""
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def drop(self, path: Path, selector: str) -> None:
        """Drop a file onto an element, as from a file manager."""
        x, y = self.middle(selector)
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.send("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def choose_file(self, path: Path, selector: str) -> None:
        """Choose a file in an input, as the dialog of the system does."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", files=[str(path)], nodeId=node)

    def tab_to(self, selector: str, most: int = 60) -> None:
        """Press Tab until an element has the focus."""
        for _ in range(most):
            if self.run(f"document.activeElement.matches({json.dumps(selector)})"):
                return
            self.press("Tab")
        raise BrowserError(f"Tab does not lead to {selector}")

    def click_on(self, selector: str) -> None:
        """Click in the middle of an element."""
        self.click(*self.middle(selector))

    def middle(self, selector: str) -> tuple[float, float]:
        """The middle of an element, which is brought into sight and which nothing covers."""
        where = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'nearest'}); const b = e.getBoundingClientRect();"
            "const x = b.x + b.width / 2, y = b.y + b.height / 2;"
            "return [x, y, e.contains(document.elementFromPoint(x, y))]; })()"
        )
        if not where[2]:
            raise BrowserError(f"something covers {selector}")
        return where[0], where[1]

    def problems(self) -> list[str]:
        """Errors of scripts, of the console and of requests so far."""
        self.run("0")
        found = []
        for event in self.events:
            parameters = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                details = parameters["exceptionDetails"]
                found.append(details.get("exception", details).get("description", str(details)))
            elif event["method"] == "Log.entryAdded" and parameters["entry"]["level"] == "error":
                entry = parameters["entry"]
                if "status of 4" not in entry["text"]:  # refusals are shown on the page
                    found.append(f"{entry['text']} {entry.get('url', '')}")
        return found
