"""Drives Debian's Chromium through chromedriver's HTTP interface (W3C WebDriver).

Nothing but `requests` is needed. Where there is no browser, tests that need one are
reported as not run.
"""

import base64
import shutil
import subprocess
import time

import pytest
import requests

INSTALL = "apt-get install chromium chromium-driver"
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
KEYS = {"Tab": "\ue004", "Enter": "\ue007", "Escape": "\ue00c", "Space": "\ue00d"}
KEYS |= {"Down": "\ue015", "Up": "\ue013", "Right": "\ue014", "Control": "\ue009"}
KEYS |= {"Shift": "\ue008"}


def find_programs():
    """Return the paths of the browser and its driver, or report the test as not run."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if not (browser and driver):
        pytest.skip(f"not run: needs a browser; on Debian: {INSTALL}")
    return browser, driver


class Browser:
    """One window of a headless Chromium; a context manager."""

    def __init__(self):
        browser, driver = find_programs()
        self._process = subprocess.Popen(
            [driver, "--port=0"], stdout=subprocess.PIPE, text=True
        )
        self._url = f"http://127.0.0.1:{self._read_port()}"
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--lang=en"]
        arguments += ["--hide-scrollbars=false", "--force-device-scale-factor=1"]
        capabilities = {
            "goog:chromeOptions": {"binary": browser, "args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        self._session = ""
        created = self._call(
            "POST", "/session", capabilities={"alwaysMatch": capabilities}
        )
        self._session = f"/session/{created['sessionId']}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self._call("DELETE", "")
        finally:
            self._process.terminate()
            self._process.wait(timeout=10)
            self._process.stdout.close()

    def _read_port(self):
        for line in self._process.stdout:
            if "started successfully on port" in line:
                return int(line.rstrip(".\n").rsplit(" ", 1)[1])
        raise RuntimeError("chromedriver ended before it listened")

    def _call(self, method, path, **body):
        json = body if method == "POST" else None
        url = self._url + (path if path == "/session" else self._session + path)
        answer = requests.request(method, url, json=json, timeout=60).json()["value"]
        if isinstance(answer, dict) and "error" in answer:
            raise RuntimeError(f"{answer['error']}: {answer['message']}")
        return answer

    def open(self, url):
        """Load a page; the same page with another hash is loaded anew."""
        self._call("POST", "/url", url="about:blank")
        self._call("POST", "/url", url=url)

    def run(self, script, *arguments):
        """Return what a function body returns in the present frame."""
        return self._call("POST", "/execute/sync", script=script, args=list(arguments))

    def command(self, name, **parameters):
        """Send a command of the DevTools protocol."""
        return self._call("POST", "/goog/cdp/execute", cmd=name, params=parameters)

    def resize(self, width, height):
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def wait(self, script, *arguments, seconds=180):
        """Return the first true value of `script`."""
        end = time.monotonic() + seconds
        while True:
            value = self.run(script, *arguments)
            if value or time.monotonic() > end:
                assert value, f"not within {seconds} s: {script}"
                return value
            time.sleep(0.05)

    def enter_frame(self, css="iframe"):
        """Go into a frame, once it is there."""
        self.wait("return !!document.querySelector(arguments[0])", css)
        frame = self._call("POST", "/element", using="css selector", value=css)
        self._call("POST", "/frame", id=frame)

    def enter_tab(self, seconds=180):
        """Go into the Doctor's frame, once it is drawn."""
        self.top()
        self.enter_frame("iframe[src*='name=doctor']")
        self.wait("return document.body.dataset.state === 'ready'", seconds=seconds)

    def top(self):
        self._call("POST", "/frame", id=None)

    def find(self, css):
        return self._call("POST", "/element", using="css selector", value=css)[ELEMENT]

    def click(self, css):
        self._call("POST", f"/element/{self.find(css)}/click")

    def type(self, css, text):
        self._call("POST", f"/element/{self.find(css)}/value", text=text)

    def press(self, *names):
        """Press keys one after the other; "Control+v" holds the first."""
        actions = []
        for name in names:
            keys = [KEYS.get(part, part) for part in name.split("+")]
            actions += [{"type": "keyDown", "value": key} for key in keys]
            actions += [{"type": "keyUp", "value": key} for key in reversed(keys)]
        source = {"type": "key", "id": "keyboard", "actions": actions}
        self._call("POST", "/actions", actions=[source])

    def text(self, css):
        """Return the visible text of all elements that match, joined by lines."""
        script = (
            "return [...document.querySelectorAll(arguments[0])]"
            ".map(e => e.innerText).join('\\n')"
        )
        return self.run(script, css)

    def logs(self):
        """Return the console's messages since the last call."""
        return [m["message"] for m in self._call("POST", "/se/log", type="browser")]

    def screenshot(self):
        """Return what the window shows, as the bytes of a PNG."""
        return base64.b64decode(self._call("GET", "/screenshot"))
