#!/usr/bin/env python3
"""What a controller needs for many Helm releases, on a control plane of our own.

For each size: install all, change a value on all, idle at an interval of a minute, restart, drift on a tenth, delete all;
for each phase the time, CPU and peak memory of the controller, CPU of the API server, and requests by verb and resource.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import charts
import report
from measure import Cost
from phases import Bench, Push
from servers import TOP

# Artifacts outlive a restart, as on the volume of a cluster.
BOWLINE = (
    "{program} run --kubeconfig {{kubeconfig}} --storage-path {{folder}}/artifacts "
    "--metrics-addr 127.0.0.1:0 --health-addr {{health}} --storage-addr 127.0.0.1:0 --log-level error"
)
PHASES = "change,idle,restart,drift,delete"
SPREAD_DEFINITIONS = 100
ENVIRONMENTS = 20


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--controller", help="its command line; {kubeconfig}, {folder} and {health} are replaced, ' ;; ' separates processes")
    parser.add_argument("--program", type=Path, default=TOP / "target/release/bowline", help="the bowline to measure")
    parser.add_argument("--sizes", default="100,500,1000", help="numbers of releases, with commas")
    parser.add_argument("--phases", default=PHASES, help="what comes after the install, with commas (default: %(default)s)")
    parser.add_argument("--idle-seconds", type=float, default=180)
    parser.add_argument("--spread", type=int, default=0, help="releases of 20 charts on a large cluster, after the sizes")
    parser.add_argument("--pushes", type=int, default=0, help="commits to 20 environments, each timed")
    parser.add_argument("--no-impersonation", action="store_true", help="releases without a service account")
    parser.add_argument("--json", type=Path, help="where the figures are written")
    parser.add_argument("--svg", type=Path, help="where the curves are drawn")
    parser.add_argument("--compare", type=Path, help="an earlier run's JSON; exit status 1 if requests or memory grew")
    return parser.parse_args()


def measured(options: argparse.Namespace, command: str, count: int, kinds: list[str], is_spread: bool) -> list[Cost]:
    """All phases with so many releases, on a control plane that is new."""
    print(f"{count} releases of {len(kinds)} chart{'s' * (len(kinds) > 1)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="bowline-bench-") as folder:
        with Bench(command, Path(folder), not options.no_impersonation, options.idle_seconds) as bench:
            if is_spread:
                bench.enlarge(SPREAD_DEFINITIONS)
            bench.install(count, kinds)
            for phase in filter(None, options.phases.split(",")):
                getattr(bench, phase)(count)
            if is_spread:
                for cost in bench.costs:
                    cost.phase = f"spread {cost.phase}"
            return bench.costs


def pushed(options: argparse.Namespace, command: str) -> list[Cost]:
    print(f"{options.pushes} pushes to {ENVIRONMENTS} environments", flush=True)
    with tempfile.TemporaryDirectory(prefix="bowline-bench-") as folder:
        with Bench(command, Path(folder), False, options.idle_seconds) as bench:
            Push(bench, ENVIRONMENTS).run(options.pushes)
            return bench.costs


def main() -> int:
    options = arguments()
    command = options.controller or BOWLINE.format(program=options.program)
    if shutil.which("git") is None:
        raise SystemExit("git is missing")
    costs = []
    for count in map(int, filter(None, options.sizes.split(","))):
        costs += measured(options, command, count, ["app"], is_spread=False)
    if options.spread:
        kinds = [f"app-{kind}" for kind in range(charts.KINDS_OF_CHARTS)]
        costs += measured(options, command, options.spread, kinds, is_spread=True)
    if options.pushes:
        costs += pushed(options, command)
    print(report.table(costs))
    if options.json:
        report.save(options.json, command, costs)
    if options.svg:
        report.draw(options.svg, costs)
    if options.compare:
        text, grown = report.compare(report.load(options.compare), costs)
        print("", text, *(f"grown: {line}" for line in grown), sep="\n")
        return 1 if grown else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
