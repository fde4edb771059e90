"""`wirescribe` as a user starts it: commands that end, and `up` in another process."""

import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from click.testing import CliRunner

from cli.main import wirescribe
from storage import processes
from storage.datadir import DataDir

PATIENCE_S = 60  # only a hang reaches it
AGENT = (sys.executable, str(Path(__file__).parent / "agent.py"))
ANSWER = b'{"data": ["a-model"]}'


class Model(ThreadingHTTPServer):
    """A provider that answers everything with `ANSWER`; `asked` are the paths."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Answer)
        self.asked = []
        self.url = f"http://127.0.0.1:{self.server_port}"
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self):
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_):
        pass


class Place:
    """A data dir and a HOME of the test's own."""

    def __init__(self, folder, model=None):
        self.home = folder / "home"
        self.home.mkdir()
        self.datadir = DataDir(folder / "data")
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "WIRESCRIBE_DATA_DIR": str(self.datadir.root),
            "WIRESCRIBE_PORT": "0",
            "WIRESCRIBE_PROXY_PORT": "0",
        }
        if model:
            self.environ["WIRESCRIBE_UPSTREAM"] = f"api.anthropic.com={model.url}"

    def start(self, *arguments, **options):
        options = {"stdin": subprocess.DEVNULL, "text": True, "env": self.environ} | options
        return subprocess.Popen([sys.executable, "-P", "-m", "cli", *arguments], **options)

    def wirescribe(self, *arguments, **options):
        """Run a command to its end; its output is text."""
        options = {"stdin": subprocess.DEVNULL} | options
        if "input" in options:
            del options["stdin"]
        return subprocess.run(
            [sys.executable, "-P", "-m", "cli", *arguments],
            env=self.environ | options.pop("more", {}),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            **options,
        )

    def here(self, *arguments, more=None, **options):
        """As `wirescribe`, in this process: for commands that only talk."""
        assert arguments[0] != "run", "it leaves this process with its signals blocked"
        runner = CliRunner(env=self.environ | (more or {}))
        done = runner.invoke(wirescribe, arguments, prog_name="wirescribe", **options)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)

    def up(self, *arguments):
        return Up(self, *arguments)

    def processes(self):
        return {found.role: found for found in processes.running(self.datadir)}

    def wait_for(self, condition, what):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            found = condition()
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError(f"{what} did not come about")


class Up:
    """A `wirescribe up` that has said where to point an agent; ends with the block."""

    def __init__(self, place, *arguments):
        self.place = place
        self.log = place.home / "up.log"
        with self.log.open("wb") as log:
            self.process = place.start("up", *arguments, stdout=log, stderr=log, text=False)

    def __enter__(self):
        try:
            self.place.wait_for(self._is_ready, f"up: {self.said()}")
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.end()

    def _is_ready(self):
        assert self.process.poll() is None, self.said()
        return "^C ends both" in self.said()

    def said(self):
        return self.log.read_text()

    @property
    def proxy(self):
        return self.place.processes()["proxy"]

    @property
    def server(self):
        return self.place.processes()["server"]

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)
