"""A run as a table, as JSON, against an earlier run, and as curves."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from pathlib import Path

from measure import Cost

# How much a short run may grow before it fails: requests repeat to the request, memory does not to the megabyte.
REQUESTS_GROW = 1.1
MEMORY_GROWS = 1.25
MEMORY_SLACK = 8
LARGEST_REQUESTS = 4


def percentile(values: list[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def table(costs: list[Cost]) -> str:
    """GitHub's table; seconds and MiB."""
    rows = [
        "| phase | releases | time | CPU | peak memory | API server CPU | requests a release | writes | of these |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for cost in costs:
        count = max(1, cost.releases)
        top = list(cost.requests.items())[:LARGEST_REQUESTS]
        of_these = ", ".join(f"{what} {number / count:.1f}" for what, number in top)
        time = f"{cost.seconds:.1f} s"
        if cost.phase.endswith("restart") and cost.latencies:
            time += f" (ready after {cost.latencies[0]:.2f} s)"
        elif cost.latencies:
            time += f" (each: median {percentile(cost.latencies, 0.5):.2f} s, p99 {percentile(cost.latencies, 0.99):.2f} s)"
        rows.append(
            f"| {cost.phase} | {cost.releases} | {time} | {cost.cpu:.1f} s | {cost.peak:.0f} MiB "
            f"| {cost.api_server_cpu:.1f} s | {cost.requests_a_release():.1f} | {cost.writes()} | {of_these} |"
        )
    return "\n".join(rows)


def save(path: Path, command: str, costs: list[Cost]) -> None:
    machine = {"cores": os.cpu_count(), "kernel": platform.release()}
    phases = [dataclasses.asdict(cost) for cost in costs]
    path.write_text(json.dumps({"controller": command, "machine": machine, "phases": phases}, indent=1) + "\n")


def load(path: Path) -> list[Cost]:
    return [Cost(**phase) for phase in json.loads(path.read_text())["phases"]]


def compare(before: list[Cost], after: list[Cost]) -> tuple[str, list[str]]:
    """A table of ratios, and what has grown more than it may."""
    old = {(cost.phase, cost.releases): cost for cost in before}
    rows = ["| phase | releases | time | CPU | peak memory | requests a release |", "|---|---|---|---|---|---|"]
    grown = []
    for cost in after:
        was = old.get((cost.phase, cost.releases))
        if was is None:
            continue
        pairs = [(was.seconds, cost.seconds), (was.cpu, cost.cpu), (was.peak, cost.peak)]
        pairs.append((was.requests_a_release(), cost.requests_a_release()))
        cells = " | ".join(f"{a:.1f} to {b:.1f} ({b / a:.2f})" if a else f"{a:.1f} to {b:.1f}" for a, b in pairs)
        rows.append(f"| {cost.phase} | {cost.releases} | {cells} |")
        name = f"{cost.phase} of {cost.releases}"
        if sum(cost.requests.values()) > sum(was.requests.values()) * REQUESTS_GROW + 1:
            grown.append(f"{name}: {pairs[3][0]:.1f} to {pairs[3][1]:.1f} requests a release")
        if cost.peak > was.peak * MEMORY_GROWS + MEMORY_SLACK:
            grown.append(f"{name}: {was.peak:.0f} to {cost.peak:.0f} MiB")
    return "\n".join(rows), grown


COLOURS = {"install": "#2563eb", "change": "#d97706", "delete": "#dc2626", "restart": "#059669"}
WIDTH, HEIGHT, MARGIN = 360, 240, 44


def curve(costs: list[Cost], title: str, unit: str, value) -> str:
    """One drawing: a value over the number of releases, a line a phase."""
    shown = [cost for cost in costs if cost.phase in COLOURS]
    most_x = max(cost.releases for cost in shown)
    most_y = max(value(cost) for cost in shown) or 1

    def place(cost: Cost) -> str:
        x = MARGIN + (WIDTH - 2 * MARGIN) * cost.releases / most_x
        y = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * value(cost) / most_y
        return f"{x:.1f},{y:.1f}"

    text = '<text x="{}" y="{}" font-size="11" font-family="sans-serif" fill="#555">{}</text>'
    parts = [
        f'<path d="M{MARGIN},{MARGIN} V{HEIGHT - MARGIN} H{WIDTH - MARGIN}" fill="none" stroke="#999"/>',
        text.format(MARGIN, 20, f"{title} ({unit})"),
        text.format(4, MARGIN + 4, f"{most_y:.0f}"),
        text.format(WIDTH - MARGIN - 30, HEIGHT - MARGIN + 16, f"{most_x} releases"),
    ]
    for at, (phase, colour) in enumerate(COLOURS.items()):
        line = sorted((cost for cost in shown if cost.phase == phase), key=lambda cost: cost.releases)
        points = " ".join(place(cost) for cost in line)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(text.format(MARGIN + 70 * at, HEIGHT - 8, phase).replace("#555", colour))
    return "".join(parts)


def draw(path: Path, costs: list[Cost]) -> None:
    """Time, CPU, memory and requests over the number of releases, as SVG."""
    drawings = [
        curve(costs, "time", "s", lambda cost: cost.seconds),
        curve(costs, "CPU", "s", lambda cost: cost.cpu),
        curve(costs, "peak memory", "MiB", lambda cost: cost.peak),
        curve(costs, "requests a release", "", lambda cost: cost.requests_a_release()),
    ]
    groups = "".join(f'<g transform="translate({WIDTH * (at % 2)},{HEIGHT * (at // 2)})">{d}</g>' for at, d in enumerate(drawings))
    size = f'width="{2 * WIDTH}" height="{2 * HEIGHT}"'
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" {size}><rect {size} fill="#fff"/>{groups}</svg>\n')
