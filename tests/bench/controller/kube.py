"""A client of the API server: requests on kept connections, and watches."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import re
import ssl
import threading
import time
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

WORKERS = 4
TRIES = 10
TOO_MANY_REQUESTS = 429
MERGE_PATCH = "application/merge-patch+json"


class ApiError(Exception):
    """The API server refused a request; `status` is its HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text[:500]}")
        self.status = status


class Kube:
    """Talks to the server of a kubeconfig that the control plane of `tests/cluster` wrote."""

    def __init__(self, kubeconfig: Path) -> None:
        text = kubeconfig.read_text()

        def found(pattern: str) -> str:
            match = re.search(pattern, text)
            if match is None:
                raise SystemExit(f"{kubeconfig}: nothing matches {pattern}")
            return match[1]

        self.server = urllib.parse.urlsplit(found(r'server: "([^"]+)"'))
        authority = base64.b64decode(found(r'certificate-authority-data: "([^"]+)"')).decode()
        self.tls = ssl.create_default_context(cadata=authority)
        self.headers = {"Authorization": f'Bearer {found(r"token: .([0-9a-f]+)")}', "User-Agent": "bench"}
        self.local = threading.local()
        self.pool = ThreadPoolExecutor(WORKERS)

    def connect(self, timeout: float | None) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self.server.hostname, self.server.port, context=self.tls, timeout=timeout)

    def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """Sends one request and returns the JSON of the answer; tries again when the server asks for it."""
        for _ in range(TRIES):
            status, text = self.send(method, path, body, content_type)
            if status != TOO_MANY_REQUESTS:
                break
            time.sleep(1)
        if status >= 400:
            raise ApiError(status, text.decode(errors="replace"))
        return json.loads(text)

    def send(self, method: str, path: str, body: Any, content_type: str) -> tuple[int, bytes]:
        data = None if body is None else json.dumps(body).encode()
        headers = {**self.headers, "Content-Type": content_type}
        connection = getattr(self.local, "connection", None)
        if connection is not None:
            # The server may have closed a connection that was at rest.
            with contextlib.suppress(http.client.RemoteDisconnected, ConnectionError, ssl.SSLEOFError):
                return self.exchange(connection, method, path, data, headers)
            connection.close()
        self.local.connection = self.connect(60)
        return self.exchange(self.local.connection, method, path, data, headers)

    def exchange(self, connection: http.client.HTTPSConnection, *request: Any) -> tuple[int, bytes]:
        connection.request(*request)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def each(self, calls: list[tuple]) -> list[Any]:
        """Sends requests, a few at a time, and returns the answers in their order."""
        return list(self.pool.map(lambda call: self.request(*call), calls))

    def apply(self, path: str, body: Any) -> Any:
        """Makes or changes an object by server-side apply."""
        return self.request("PATCH", f"{path}?fieldManager=bench&force=true", body, "application/apply-patch+yaml")

    def watch(self, path: str, resource_version: str) -> Iterator[dict]:
        """Yields the events of a collection from a resource version on, until the server ends the watch."""
        connection = self.connect(None)
        connection.request("GET", f"{path}?watch=1&resourceVersion={resource_version}", headers=self.headers)
        answer = connection.getresponse()
        if answer.status >= 400:
            raise ApiError(answer.status, answer.read().decode(errors="replace"))
        for line in answer:
            yield json.loads(line)
