"""The control plane, the controller under test, and what charts and Git repositories are read from."""

from __future__ import annotations

import contextlib
import http.server
import os
import shlex
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
START_SECONDS = 120
POLL_SECONDS = 0.02


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def program(name: str, part: str) -> Path:
    """The path of a program in a part of what `tests/cluster/setup.sh` provides."""
    said = subprocess.run([TOP / "tests/cluster/setup.sh", part], check=True, capture_output=True, text=True).stdout
    found = [line.split("=", 1)[1] for line in said.splitlines() if line.startswith(f"{name}=")]
    return Path(found[0])


class ControlPlane:
    """A control plane of our own in a folder that goes with it."""

    def __init__(self) -> None:
        self.dir = Path(tempfile.mkdtemp(prefix="bowline-bench-"))
        flow = "--max-requests-inflight=400"
        command = [program("control-plane", "control-plane"), "up", "--dir", self.dir, "--remove", "--apiserver-arg", flow]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline().strip() != "ready":
            raise SystemExit("the control plane did not start")

    def kubeconfig(self, user: str) -> Path:
        return self.dir / f"{user}.kubeconfig"

    def pid(self, component: str) -> int:
        return int((self.dir / f"{component}.pid").read_text())

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait()


class Controller:
    """The controller under test: a command line, of which are replaced `{kubeconfig}`, `{folder}`, one that goes with the
    run, and `{health}`, an address where it answers `/readyz`.

    Several processes (Flux has two) are separated by ` ;; `.
    """

    def __init__(self, command: str, kubeconfig: Path, log: Path) -> None:
        self.health = f"127.0.0.1:{free_port()}" if "{health}" in command else None
        places = {"kubeconfig": kubeconfig, "folder": log.parent, "health": self.health}
        self.commands = [shlex.split(part.format(**places)) for part in command.split(" ;; ")]
        self.kubeconfig = kubeconfig
        self.log = log
        self.processes: list[subprocess.Popen] = []

    def start(self) -> None:
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "RUNTIME_NAMESPACE": "flux-system"}
        with self.log.open("a") as log:
            self.processes = [
                subprocess.Popen(command, stdout=log, stderr=log, env=environment) for command in self.commands
            ]

    def pids(self) -> list[int]:
        ended = [process.args[0] for process in self.processes if process.poll() is not None]
        if ended:
            raise SystemExit(f"{ended} ended by itself; its log is {self.log}")
        return [process.pid for process in self.processes]

    def ready(self, limit: float) -> list[float]:
        """How many seconds until it says that it is ready; nothing where it was not told to say so."""
        begun = time.monotonic()
        while self.health and time.monotonic() - begun < limit:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{self.health}/readyz", timeout=limit):
                return [time.monotonic() - begun]
            time.sleep(POLL_SECONDS)
        return []

    def stop(self) -> float:
        """Asks it to end, and returns how many seconds that took."""
        begun = time.monotonic()
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait(timeout=START_SECONDS)
        self.processes = []
        return time.monotonic() - begun


class Site:
    """An HTTP server on loopback: files of a folder at `/charts`, a Git repository at `/releases.git`."""

    def __init__(self, folder: Path) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                if self.path.startswith("/charts/"):
                    self.answer(200, "application/octet-stream", (folder / self.path.lstrip("/")).read_bytes())
                else:
                    self.git(b"")

            def do_POST(self) -> None:
                self.git(self.rfile.read(int(self.headers["Content-Length"])))

            def answer(self, status: int, content_type: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def git(self, body: bytes) -> None:
                path, _, query = self.path.partition("?")
                environment = {
                    **os.environ,
                    "GIT_PROJECT_ROOT": str(folder),
                    "GIT_HTTP_EXPORT_ALL": "1",
                    "PATH_INFO": path,
                    "QUERY_STRING": query,
                    "REQUEST_METHOD": self.command,
                    "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                    "CONTENT_LENGTH": str(len(body)),
                    "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                    "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                }
                said = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True).stdout
                head, _, content = said.partition(b"\r\n\r\n")
                fields = dict(line.split(": ", 1) for line in head.decode().splitlines())
                status = int(fields.get("Status", "200").split()[0])
                self.answer(status, fields.get("Content-Type", "text/plain"), content)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
