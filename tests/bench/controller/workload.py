"""The HelmReleases of a run, and a watch that tells what became of them."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time

from kube import MERGE_PATCH, ApiError, Kube

NAMESPACE = "bench"
ACCOUNT = "deployer"
RELEASES = f"/apis/helm.toolkit.fluxcd.io/v2/namespaces/{NAMESPACE}/helmreleases"
# A thousand objects are not looked through at each event.
LOOK_SECONDS = 0.05
REPOSITORIES = f"/apis/source.toolkit.fluxcd.io/v1/namespaces/{NAMESPACE}/helmrepositories"


def release(number: int, chart: str, impersonate: bool) -> dict:
    spec = {
        "interval": "60m",
        "timeout": "5m",
        "releaseName": f"app-{number:05}",
        "chart": {
            "spec": {
                "chart": chart,
                "version": "1.0.0",
                "interval": "60m",
                "sourceRef": {"kind": "HelmRepository", "name": "charts"},
            }
        },
        "driftDetection": {"mode": "enabled"},
        "values": {"env": {"REVISION": "one"}},
    }
    if impersonate:
        spec["serviceAccountName"] = ACCOUNT
    return {
        "apiVersion": "helm.toolkit.fluxcd.io/v2",
        "kind": "HelmRelease",
        "metadata": {"name": f"app-{number:05}", "namespace": NAMESPACE},
        "spec": spec,
    }


def prepare(kube: Kube, charts_url: str) -> None:
    """Makes the namespace, the account that releases are applied as, and the Helm repository."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    kube.apply(f"/api/v1/namespaces/{NAMESPACE}", namespace)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}}
    kube.apply(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{ACCOUNT}", account)
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": ACCOUNT},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
    }
    kube.apply(f"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{ACCOUNT}", binding)
    repository = {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "HelmRepository",
        "metadata": {"name": "charts", "namespace": NAMESPACE},
        "spec": {"interval": "60m", "url": charts_url},
    }
    kube.apply(f"{REPOSITORIES}/charts", repository)


class Watched:
    """The newest state of each object of a collection, by name, and when it came."""

    def __init__(self, kube: Kube, path: str) -> None:
        self.kube, self.path = kube, path
        self.objects: dict[str, dict] = {}
        self.lock = threading.Lock()
        self.ended = False
        self.list()
        threading.Thread(target=self.follow, daemon=True).start()

    def list(self) -> None:
        listed = self.kube.request("GET", f"{self.path}?resourceVersion=0")
        self.version = listed["metadata"]["resourceVersion"]
        with self.lock:
            self.objects = {item["metadata"]["name"]: item for item in listed["items"]}

    def follow(self) -> None:
        while not self.ended:
            try:
                for event in self.kube.watch(self.path, self.version):
                    self.take(event)
            except (ApiError, OSError, http.client.HTTPException):
                self.again()

    def again(self) -> None:
        """Lists anew after a watch that broke; a server that is going takes no more."""
        time.sleep(0.2)
        with contextlib.suppress(OSError, http.client.HTTPException):
            self.list()

    def take(self, event: dict) -> None:
        found = event["object"]
        if event["type"] == "ERROR":
            raise ApiError(found.get("code", 500), str(found))
        self.version = found["metadata"]["resourceVersion"]
        with self.lock:
            if event["type"] == "DELETED":
                self.objects.pop(found["metadata"]["name"], None)
            else:
                self.objects[found["metadata"]["name"]] = found

    def until(self, holds, seconds: float, what: str) -> None:
        """Waits until `holds(objects)`."""
        end = time.monotonic() + seconds
        while True:
            with self.lock:
                if holds(self.objects):
                    return
            if time.monotonic() > end:
                raise SystemExit(f"not {what} within {seconds:.0f} s: {self.states()}")
            time.sleep(LOOK_SECONDS)

    def states(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for found in self.objects.values():
            state = ready(found).get("message", "no status")[:160]
            counts[state] = counts.get(state, 0) + 1
        return counts


def ready(found: dict) -> dict:
    conditions = found.get("status", {}).get("conditions", [])
    return next((condition for condition in conditions if condition["type"] == "Ready"), {})


def is_ready(found: dict) -> bool:
    """Whether an object says that its newest spec is done."""
    observed = found.get("status", {}).get("observedGeneration")
    return ready(found).get("status") == "True" and observed == found["metadata"]["generation"]


class Releases(Watched):
    """The HelmReleases of the run."""

    def __init__(self, kube: Kube) -> None:
        super().__init__(kube, RELEASES)

    def all_ready(self, count: int, generation: int, seconds: float) -> None:
        def holds(objects: dict[str, dict]) -> bool:
            done = (found["metadata"]["generation"] >= generation and is_ready(found) for found in objects.values())
            return len(objects) == count and all(done)

        self.until(holds, seconds, f"all {count} Ready")

    def patch_all(self, patch: dict) -> None:
        names = sorted(self.objects)
        self.kube.each([("PATCH", f"{RELEASES}/{name}?fieldManager=bench", patch, MERGE_PATCH) for name in names])
