"""How every benchmark writes what it found: one `results.json` in its folder, in one shape."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).parents[1]
OPERATORS = {"<=": lambda a, b: a <= b, ">=": lambda a, b: a >= b, "==": lambda a, b: a == b}


def check(name: str, what: str, value: float, op: Literal["<=", ">=", "=="], goal: float) -> dict[str, Any]:
    """A figure that an issue asked for, met or not."""
    return {
        "id": name,
        "what": what,
        "value": round(value, 4),
        "op": op,
        "goal": goal,
        "holds": bool(OPERATORS[op](value, goal)),
    }


def write_results(
    folder: Path,
    command: str,
    rows: Sequence[dict[str, Any]],
    checks: Sequence[dict[str, Any]],
    packages: Sequence[str],
    *,
    file: str = "results.json",
    **more: Any,
) -> None:
    """Write `results.json`, and print the checks.

    Args:
        packages: whose versions matter.
        file: another name, for a second result of the same folder.
        more: further keys, such as a summary.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    body = {
        "benchmark": folder.name,
        "command": command,
        "commit": subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout.strip(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_gib": round(memory, 1),
            "system": platform.system(),
        },
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        **more,
        "rows": list(rows),
        "checks": list(checks),
    }
    (folder / file).write_text(json.dumps(body, indent=1) + "\n")
    for one in checks:
        print(
            f"{'holds' if one['holds'] else 'MISSED'}  {one['what']}: {one['value']} {one['op']} {one['goal']}"
        )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
