"""What a phase cost: seconds, CPU, memory, and the requests in the API server's audit log."""

from __future__ import annotations

import collections
import dataclasses
import json
import os
import time
from pathlib import Path

from servers import ControlPlane, Controller

USER = "bowline"
TICK = os.sysconf("SC_CLK_TCK")
# The audit log is written behind the requests.
AUDIT_SECONDS = 1.0
LONGEST_LINE = 1 << 20
DRY_RUN = "dry-run"
READS = ("get", "list", DRY_RUN)


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of processes, in seconds."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def memory(pids: list[int], field: str) -> float:
    """`VmHWM` (peak since it was last forgotten) or `VmRSS` of processes together, in MiB."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                total += int(line.split()[1])
    return total / 1024


def forget_peak(pids: list[int]) -> None:
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")


@dataclasses.dataclass
class Cost:
    """One phase. Times in seconds, memory in MiB; `requests` by verb and resource, of the controller's user alone."""

    phase: str
    releases: int
    seconds: float = 0.0
    cpu: float = 0.0
    peak: float = 0.0
    api_server_cpu: float = 0.0
    requests: dict[str, int] = dataclasses.field(default_factory=dict)
    # Seconds of each single thing that the phase waited for.
    latencies: list[float] = dataclasses.field(default_factory=list)

    def requests_a_release(self) -> float:
        return sum(self.requests.values()) / max(1, self.releases)

    def writes(self) -> int:
        """Requests that changed something."""
        return sum(count for what, count in self.requests.items() if not what.startswith(READS))


class AuditLog:
    """The requests that a user made, also those that it made as someone else. Watches and leases are not counted."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def mark(self) -> int:
        """Where the next line begins: the last may be half written."""
        size = self.path.stat().st_size
        with self.path.open("rb") as log:
            tail = log.seek(max(0, size - LONGEST_LINE))
            return tail + log.read(size - tail).rfind(b"\n") + 1

    def since(self, mark: int) -> dict[str, int]:
        counts: collections.Counter[str] = collections.Counter()
        with self.path.open("rb") as log:
            log.seek(mark)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                request = json.loads(line)
                reference = request.get("objectRef", {})
                at_rest = request["verb"] == "watch" or reference.get("resource") == "leases"
                if request["user"]["username"] != USER or at_rest or request["stage"] == "ResponseStarted":
                    continue
                path, _, query = request["requestURI"].partition("?")
                what = "/".join(filter(None, [reference.get("resource"), reference.get("subresource")]))
                verb = f'{DRY_RUN} {request["verb"]}' if "dryRun=All" in query else request["verb"]
                counts[f"{verb} {what or path}"] += 1
        return dict(counts.most_common())


class Meter:
    """Measures phases of a controller on a control plane."""

    def __init__(self, plane: ControlPlane, controller: Controller) -> None:
        self.plane, self.controller = plane, controller
        self.audit = AuditLog(plane.dir / "audit.log")

    def begin(self, phase: str, releases: int) -> None:
        pids = self.controller.pids()
        forget_peak(pids)
        self.cost = Cost(phase, releases)
        self.mark = self.audit.mark()
        self.begun = time.monotonic()
        self.cpu = cpu_seconds(pids)
        self.api_server_cpu = cpu_seconds([self.plane.pid("kube-apiserver")])

    def restarted(self) -> None:
        """The controller is another process since `begin`: its CPU time counts from nothing."""
        self.cpu = 0.0

    def done(self) -> None:
        """The time of the phase ends here; what it still causes is counted until `end`."""
        self.cost.seconds = time.monotonic() - self.begun

    def end(self) -> Cost:
        time.sleep(AUDIT_SECONDS)
        pids = self.controller.pids()
        cost = self.cost
        cost.cpu = cpu_seconds(pids) - self.cpu
        cost.peak = memory(pids, "VmHWM")
        cost.api_server_cpu = cpu_seconds([self.plane.pid("kube-apiserver")]) - self.api_server_cpu
        cost.requests = self.audit.since(self.mark)
        return cost
