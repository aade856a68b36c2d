"""What is done to a controller, one phase after the other, on one control plane."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import charts
from kube import MERGE_PATCH, Kube
from measure import Cost, Meter
from servers import TOP, ControlPlane, Controller, Site, program
from workload import NAMESPACE, RELEASES, REPOSITORIES, Releases, Watched, is_ready, prepare, release

# The longest that a phase may take, in seconds, and as much again for each release.
PHASE_SECONDS = 60
QUIET_SECONDS = 3
INGRESSES = f"/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/ingresses"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
HOST = "/spec/rules/0/host"


class Bench:
    """A control plane, a site and a controller, and what was measured on them."""

    def __init__(self, command: str, folder: Path, impersonate: bool, idle_seconds: float) -> None:
        self.folder, self.impersonate, self.idle_seconds = folder, impersonate, idle_seconds
        charts.publish(folder / "charts")
        self.site = Site(folder)
        self.plane = ControlPlane()
        self.controller = Controller(command, self.plane.kubeconfig("bowline"), folder / "controller.log")
        self.kube = Kube(self.plane.kubeconfig("admin"))
        self.meter = Meter(self.plane, self.controller)
        self.costs: list[Cost] = []
        self.watches: list[Watched] = []

    def __enter__(self) -> Bench:
        kubectl = [program("kubectl", "tools"), "--kubeconfig", self.plane.kubeconfig("admin")]
        subprocess.run([*kubectl, "apply", "--server-side", "-f", TOP / "crds"], check=True, stdout=subprocess.DEVNULL)
        prepare(self.kube, f"{self.site.url}/charts")
        self.controller.start()
        # The repository's index is read before the clock starts, as in flux-benchmark.
        repositories = self.watch(REPOSITORIES)
        repositories.until(lambda found: found and all(map(is_ready, found.values())), PHASE_SECONDS, "the repository Ready")
        repositories.ended = True
        return self

    def __exit__(self, *_: object) -> None:
        for watched in self.watches:
            watched.ended = True
        self.controller.stop()
        self.plane.stop()

    def watch(self, path: str) -> Watched:
        self.watches.append(Watched(self.kube, path))
        return self.watches[-1]

    def limit(self, count: int) -> float:
        return PHASE_SECONDS + count

    def keep(self, cost: Cost) -> None:
        self.costs.append(cost)
        kinds = f"{cost.requests_a_release():.1f} requests a release"
        print(f"  {cost.phase:8} {cost.seconds:8.2f} s, {cost.cpu:.1f} s CPU, {cost.peak:.0f} MiB, {kinds}", flush=True)

    def quiet(self) -> None:
        """Waits until the controller asks nothing for a while."""
        mark, since = self.meter.audit.mark(), time.monotonic()
        while time.monotonic() - since < QUIET_SECONDS:
            time.sleep(0.2)
            now = self.meter.audit.mark()
            if now != mark and self.meter.audit.since(mark):
                since = time.monotonic()
            mark = now

    def install(self, count: int, kinds: list[str]) -> None:
        self.releases = Releases(self.kube)
        self.watches.append(self.releases)
        self.meter.begin("install", count)
        made = [release(n, kinds[n % len(kinds)], self.impersonate) for n in range(count)]
        self.kube.each([("POST", f"{RELEASES}?fieldManager=bench", found) for found in made])
        self.releases.all_ready(count, 1, self.limit(count))
        self.meter.done()
        self.keep(self.meter.end())

    def change(self, count: int) -> None:
        self.meter.begin("change", count)
        self.releases.patch_all({"spec": {"values": {"env": {"REVISION": "two"}}}})
        self.releases.all_ready(count, 2, self.limit(count))
        self.meter.done()
        self.keep(self.meter.end())
        listed = self.kube.request("GET", DEPLOYMENTS)["items"]
        values = {found["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] for found in listed}
        if values != {"two"} or len(listed) != count:
            raise SystemExit(f"{len(listed)} deployments of {count} with the values {values}, not all two")

    def idle(self, count: int) -> None:
        """At an interval of a minute."""
        self.releases.patch_all({"spec": {"interval": "1m"}})
        self.releases.all_ready(count, 3, self.limit(count))
        self.quiet()
        self.meter.begin("idle", count)
        time.sleep(self.idle_seconds)
        self.meter.done()
        self.keep(self.meter.end())

    def restart(self, count: int) -> None:
        """Until it is quiet again; its latency is how long until it said that it is ready."""
        self.controller.stop()
        self.controller.start()
        self.meter.begin("restart", count)
        self.meter.restarted()
        self.meter.cost.latencies += self.controller.ready(self.limit(count))
        self.quiet()
        self.meter.done()
        self.meter.cost.seconds -= QUIET_SECONDS
        self.keep(self.meter.end())

    def drift(self, count: int) -> None:
        """A tenth of the ingresses get another host, ten at a time; how long each keeps it."""
        watched = self.watch(INGRESSES)
        names = sorted(watched.objects)[:: max(1, count // max(10, count // 10))]
        self.meter.begin("drift", len(names))
        for batch in (names[at : at + 10] for at in range(0, len(names), 10)):
            drifted = {"op": "replace", "path": HOST, "value": "drifted.case.test"}
            begun = time.monotonic()
            changed = self.kube.each(
                [("PATCH", f"{INGRESSES}/{name}", [drifted], "application/json-patch+json") for name in batch]
            )
            versions = {found["metadata"]["name"]: found["metadata"]["resourceVersion"] for found in changed}
            left = set(batch)

            def holds(objects: dict[str, dict], left=left, versions=versions, begun=begun) -> bool:
                for name in list(left):
                    found = objects[name]
                    newer = int(found["metadata"]["resourceVersion"]) > int(versions[name])
                    if newer and found["spec"]["rules"][0]["host"] != "drifted.case.test":
                        left.remove(name)
                        self.meter.cost.latencies.append(time.monotonic() - begun)
                return not left

            watched.until(holds, PHASE_SECONDS, f"{batch} corrected")
        self.meter.done()
        watched.ended = True
        self.keep(self.meter.end())

    def delete(self, count: int) -> None:
        self.meter.begin("delete", count)
        self.kube.request("DELETE", RELEASES)
        self.releases.until(lambda objects: not objects, self.limit(count), "all gone")
        self.meter.done()
        self.keep(self.meter.end())
        left = self.kube.request("GET", DEPLOYMENTS)["items"]
        if left:
            raise SystemExit(f"{len(left)} deployments are left after all releases are gone")

    def enlarge(self, definitions: int) -> None:
        """Fills the cluster with large CustomResourceDefinitions."""
        for number in range(definitions):
            self.kube.request("POST", DEFINITIONS, charts.large_definition(number))


class Push:
    """A Git repository with environments of one HelmRelease each, changed commit by commit."""

    def __init__(self, bench: Bench, environments: int) -> None:
        self.bench, self.environments = bench, environments
        self.work = bench.folder / "work"
        bare = bench.folder / "releases.git"
        self.git(bench.folder, "init", "--quiet", "--bare", "--initial-branch=main", str(bare))
        self.git(bench.folder, "clone", "--quiet", str(bare), str(self.work))
        for key, value in {"user.name": "bench", "user.email": "bench@case.test"}.items():
            self.git(self.work, "config", key, value)
        self.git(self.work, "checkout", "--quiet", "-B", "main")
        for number in range(environments):
            self.write(number, "one")
        self.push("one")

    def git(self, folder: Path, *args: str) -> None:
        subprocess.run(["git", "-C", folder, *args], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def write(self, number: int, revision: str) -> None:
        folder = self.work / f"env-{number:02}"
        folder.mkdir(exist_ok=True)
        (folder / "app.yaml").write_text(
            f"""apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {{name: pushed-{number:02}, namespace: {NAMESPACE}}}
spec:
  interval: 60m
  releaseName: pushed-{number:02}
  chart: {{spec: {{chart: app, version: 1.0.0, sourceRef: {{kind: HelmRepository, name: charts}}}}}}
  values: {{env: {{REVISION: "{revision}"}}}}
"""
        )

    def push(self, message: str) -> None:
        self.git(self.work, "add", "--all")
        self.git(self.work, "commit", "--quiet", "-m", message)
        self.git(self.work, "push", "--quiet", "origin", "main")

    def run(self, pushes: int) -> None:
        """How long from `requestedAt` on the GitRepository until the change is in the Deployment."""
        bench = self.bench
        sources = f"/apis/source.toolkit.fluxcd.io/v1/namespaces/{NAMESPACE}/gitrepositories/releases"
        source = {
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "GitRepository",
            "metadata": {"name": "releases", "namespace": NAMESPACE},
            "spec": {"interval": "60m", "url": f"{bench.site.url}/releases.git", "ref": {"branch": "main"}},
        }
        bench.kube.apply(sources, source)
        for number in range(self.environments):
            kustomization = {
                "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
                "kind": "Kustomization",
                "metadata": {"name": f"env-{number:02}", "namespace": NAMESPACE},
                "spec": {
                    "interval": "60m",
                    "prune": True,
                    "path": f"./env-{number:02}",
                    "sourceRef": {"kind": "GitRepository", "name": "releases"},
                },
            }
            path = f"/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/{NAMESPACE}/kustomizations/env-{number:02}"
            bench.kube.apply(path, kustomization)
        watched = bench.watch(DEPLOYMENTS)
        self.applied(watched, "pushed-", "one", self.environments)
        bench.quiet()
        bench.meter.begin("push", pushes)
        for number in range(pushes):
            environment = number % self.environments
            self.write(environment, f"push-{number}")
            self.push(f"push {number}")
            begun = time.monotonic()
            asked = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": str(time.time_ns())}}}
            bench.kube.request("PATCH", f"{sources}?fieldManager=bench", asked, MERGE_PATCH)
            self.applied(watched, f"pushed-{environment:02}", f"push-{number}", 1)
            bench.meter.cost.latencies.append(time.monotonic() - begun)
        bench.meter.done()
        watched.ended = True
        bench.keep(bench.meter.end())

    def applied(self, watched: Watched, prefix: str, revision: str, count: int) -> None:
        def holds(objects: dict[str, dict]) -> bool:
            found = [found for name, found in objects.items() if name.startswith(prefix)]
            env = [found["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] for found in found]
            return env == [revision] * count

        watched.until(holds, PHASE_SECONDS, f"{prefix} at {revision}")
