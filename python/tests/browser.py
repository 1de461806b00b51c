"""A headless Chromium, driven by its DevTools protocol over two pipes: no driver, no port, no package.

Messages are JSON with a NUL behind each, on the descriptors 3 (to the browser) and 4 (from it).
"""

import json
import os
import select
import shutil
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SECONDS = 60
SENT = ("Network.requestWillBeSent", "Network.loadingFailed")
FLAGS = (
    *("--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-sandbox"),
    *("--hide-scrollbars", "--force-color-profile=srgb"),
)

# Becomes the browser, with the two pipes where it looks for them; first out of the way, for they may lie crosswise.
LAUNCHER = """
import fcntl, os, sys
for place, end in enumerate([fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]], start=3):
    os.dup2(end, place)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Tab:
    """One page, and all that it said and asked for since it was opened."""

    def __init__(self, browser: "Browser", session: str) -> None:
        self._browser = browser
        self._session = session
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **parameters)

    def open(self, file: Path, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Load a file into a window of that many CSS pixels, and wait until all of it is there."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call(
            "Emulation.setEmulatedMedia", features=[scheme, {"name": "prefers-reduced-motion", "value": "reduce"}]
        )
        self._browser.events.clear()
        self.call("Page.navigate", url=file.resolve().as_uri())
        self._browser.wait(lambda event: event["method"] == "Page.loadEventFired")

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression, also of one that is a promise."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str, code: int) -> None:
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    def write(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def complaints(self) -> list[str]:
        """Return what went to the console or was thrown."""
        self.evaluate("1")  # all that came before has come
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [json.dumps(event["params"]) for event in self._browser.events if event["method"] in kinds]

    def requests(self) -> list[str]:
        """Return the addresses that were asked for, but for what the page's own policy held back."""
        self.evaluate("1")
        named = {name: [event["params"] for event in self._browser.events if event["method"] == name] for name in SENT}
        held = {each["requestId"] for each in named["Network.loadingFailed"] if each.get("blockedReason") == "csp"}
        sent = named["Network.requestWillBeSent"]
        return [each["request"]["url"] for each in sent if each["requestId"] not in held]

    def screenshot(self, file: Path, *, whole: bool = True) -> None:
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        file.write_bytes(b64decode(shot["data"]))


class Browser:
    """The process and its two pipes."""

    def __init__(self, process: subprocess.Popen[bytes], write_to: int, read_from: int) -> None:
        self._process = process
        self._write_to, self._read_from = write_to, read_from
        self._buffer = b""
        self._calls = 0
        self.events: list[dict[str, Any]] = []

    def tab(self) -> Tab:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        return Tab(self, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        self._calls += 1
        message = {"id": self._calls, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._write_to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._calls:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def wait(self, wanted: Any) -> None:
        """Wait for an event, past or to come."""
        while not any(wanted(event) for event in self.events):
            self.events.append(self._read())

    def _read(self) -> dict[str, Any]:
        end = time.monotonic() + SECONDS
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read_from], [], [], max(0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            chunk = os.read(self._read_from, 1 << 16)
            assert chunk, "the browser is gone"
            self._buffer += chunk
        message, self._buffer = self._buffer.split(b"\0", 1)
        parsed: dict[str, Any] = json.loads(message)
        return parsed


@contextmanager
def started(profile: Path) -> Iterator[Browser]:
    """Start a browser with a profile of its own, and end it."""
    assert PROGRAM
    to_browser, from_browser = os.pipe(), os.pipe()

    ends = (to_browser[0], from_browser[1])
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, *map(str, ends), PROGRAM, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=ends,
    )
    os.close(to_browser[0])
    os.close(from_browser[1])
    try:
        yield Browser(process, to_browser[1], from_browser[0])
    finally:
        process.kill()
        process.wait()
        os.close(to_browser[1])
        os.close(from_browser[0])
