"""Drives a headless Chromium through the DevTools protocol. Only the standard library is used.

With --remote-debugging-pipe Chromium reads commands from file descriptor 3 and writes answers and events to 4. Each is a
JSON text that ends with a zero byte. A command has an id, and its answer has the same; an event has no id.
"""
import fcntl
import json
import os
import pathlib
import select
import shutil
import subprocess
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable",
         "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")


def find():
    """The path of a Chromium, or None."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class BrowserError(Exception):
    pass


class Browser:
    """A Chromium with one page. Events are kept in `events` until take_events()."""

    def __init__(self, program, timeout=30):
        self.timeout = timeout
        self.next_id = 1
        self.rest = bytearray()
        self.events = []
        self.profile = tempfile.mkdtemp(prefix="docs-check-")
        command_read, self.command = os.pipe()
        self.answer, answer_write = os.pipe()
        # The child's ends get high numbers first, so that neither is overwritten when they become 3 and 4.
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (command_read, answer_write)]

        def connect():
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        arguments = ["--headless", "--remote-debugging-pipe", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
                     "--disable-extensions", "--disable-background-networking", "--user-data-dir=" + self.profile]
        if os.getuid() == 0:
            arguments.append("--no-sandbox")  # root has no sandbox in Chromium
        self.process = subprocess.Popen([program] + arguments, preexec_fn=connect, close_fds=False,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for fd in ends + [command_read, answer_write]:
            os.close(fd)
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")

    def close(self):
        os.close(self.command)
        os.close(self.answer)
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        shutil.rmtree(pathlib.Path(self.profile), ignore_errors=True)

    def receive(self, until):
        """The next message. Fails when the clock passes `until`."""
        searched = 0  # bytes of `rest` without an end, so that a long message is not searched again with each part
        while (end := self.rest.find(b"\0", searched)) < 0:
            searched = len(self.rest)
            if not select.select([self.answer], [], [], max(0, until - time.monotonic()))[0]:
                raise BrowserError("no answer from Chromium in time")
            data = os.read(self.answer, 1 << 20)
            if not data:
                raise BrowserError("Chromium ended")
            self.rest += data
        message, self.rest = self.rest[:end], self.rest[end + 1:]
        return json.loads(message)

    def call(self, method, **params):
        """Sends a command and returns its result."""
        message = {"id": self.next_id, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.next_id += 1
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.command, data):]
        until = time.monotonic() + self.timeout
        while True:
            answer = self.receive(until)
            if answer.get("id") == message["id"]:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            if "method" in answer:
                self.events.append(answer)

    def wait_for(self, name, seconds=None):
        """Waits for an event, which stays among the events."""
        until = time.monotonic() + (seconds or self.timeout)
        while not any(event["method"] == name for event in self.events):
            message = self.receive(until)
            if "method" in message:
                self.events.append(message)

    def take_events(self):
        taken, self.events = self.events, []
        return taken

    def evaluate(self, script):
        """The value of a JavaScript expression; if that is a promise, the value that it is resolved with."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise BrowserError(details.get("exception", {}).get("description") or details["text"])
        return answer["result"].get("value")

    def open(self, url):
        """Loads a page and waits for its load event."""
        self.take_events()
        self.call("Page.navigate", url=url)
        self.wait_for("Page.loadEventFired")

    def set_width(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, screenWidth=width,
                  screenHeight=height, deviceScaleFactor=1, mobile=width < 768)
        self.wait_for_frame()

    def set_colours(self, scheme):
        """`scheme` is light or dark: what the reader's system prefers."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.wait_for_frame()

    def wait_for_frame(self):
        """Pages hear of another width or colour when the next frame is drawn; the second one shows what they did."""
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))")

    def press(self, key, text=""):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                      windowsVirtualKeyCode={"Enter": 13, "Escape": 27, "ArrowDown": 40, "ArrowUp": 38}.get(key, 0),
                      **({"text": text} if text and kind == "keyDown" else {}))
