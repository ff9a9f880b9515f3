"""A page in headless Chromium: what it said, what it asked for, how it looks. Debian's package is `chromium`."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import websocket

from tests.waiting import wait_until

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0"),
    *("--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"),
)


def chromium() -> str | None:
    """Give where Chromium is, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Page:
    """One page; its answers and events come over one line."""

    def __init__(self, address: str) -> None:
        self._line = websocket.create_connection(address, timeout=30, suppress_origin=True)
        self._count = 0
        self.complaints: list[str] = []
        self.requests: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask Chromium for something, and give its answer; events that come meanwhile are noted."""
        self._count += 1
        self._line.send(json.dumps({"id": self._count, "method": method, "params": params}))
        while True:
            said = json.loads(self._line.recv())
            if said.get("id") == self._count:
                assert "error" not in said, said
                return dict(said["result"])
            self._note(said)

    def _note(self, said: dict[str, Any]) -> None:
        method, params = said.get("method"), said.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"])[:500])
        elif method == "Log.entryAdded":
            self.complaints.append(params["entry"]["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(params["args"])[:500])

    def value(self, script: str) -> Any:
        """Give what a script gives, in the page."""
        return self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def open(self, path: Path, width: int = 1200, height: int = 900, **media: str) -> None:
        """Show a file, and wait until it is drawn."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        features = [{"name": "prefers-color-scheme", "value": media.get("scheme", "light")}]
        self.call("Emulation.setEmulatedMedia", media=media.get("medium", ""), features=features)
        self.call("Page.navigate", url=path.as_uri())
        wait_until(lambda: self.value("document.documentElement.dataset.drawn") == "yes", 20, "the page was drawn")
        awaited = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"
        self.call("Runtime.evaluate", expression=awaited, awaitPromise=True)

    def press(self, key: str) -> None:
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def picture(self, path: Path) -> None:
        """Write what the whole page looks like into a PNG file."""
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def printed(self, path: Path) -> None:
        """Write what would be printed into a PDF file."""
        found = self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=False)
        path.write_bytes(base64.b64decode(found["data"]))

    def close(self) -> None:
        """End the line."""
        self._line.close()


@contextmanager
def opened_page(folder: Path) -> Iterator[Page]:
    """Run Chromium with an empty profile in a folder, and give its page; it is gone at the end."""
    program = chromium()
    assert program is not None
    profile = folder / "profile"
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen([program, *_FLAGS, f"--user-data-dir={profile}"], stdout=log, stderr=log)
    try:
        told = profile / "DevToolsActivePort"
        wait_until(lambda: told.exists() and told.read_text().count("\n") >= 1, 30, "Chromium told its port")
        port, browser = told.read_text().split("\n")[:2]
        control = websocket.create_connection(f"ws://127.0.0.1:{port}{browser}", timeout=30, suppress_origin=True)
        control.send(json.dumps({"id": 1, "method": "Target.createTarget", "params": {"url": "about:blank"}}))
        while (said := json.loads(control.recv())).get("id") != 1:
            pass
        control.close()
        page = Page(f"ws://127.0.0.1:{port}/devtools/page/{said['result']['targetId']}")
        try:
            yield page
        finally:
            page.close()
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
