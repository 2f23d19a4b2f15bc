"""CPU of the lab's server for a reply, over HTTP: `python -m benchmarks.lab_speed.run`."""

import http.client
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.record import check, write_results
from judge_opt.testing.lab import World

HERE = Path(__file__).parent
ASK = "Is this a reply that our experts accept? Say pass or fail."


def requests() -> dict[str, list[dict[str, Any]]]:
    """Kind to bodies; no two are the same."""
    world = World(5)
    rows, asked, rules = world.examples(50), world.held_out(300), "\n".join(f"- {r}" for r in world.rules())

    def shown(some: Any) -> str:
        return "\n\n".join(
            f"outputs: {row.fields['outputs']}\nrationale: {row.rationale}\nverdict: {row.gold}"
            for row in some
        )

    def body(system: str, text: str, model: str = "sim-judge") -> dict[str, Any]:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
        return {"model": model, "messages": messages, "temperature": 0.0}

    return {
        "judge, nothing shown": [body(ASK, row.fields["outputs"]) for row in asked],
        "judge, 6 rules and 5 examples": [
            body(f"{ASK}\n\n{rules}\n\n{shown(rows[k % 45 : k % 45 + 5])}", row.fields["outputs"])
            for k, row in enumerate(asked)
        ],
        "judge, 50 examples": [body(f"{ASK}\n\n{shown(rows)}", row.fields["outputs"]) for row in asked],
        "reflection, 50 records": [
            body("Write rules.", f"Number {k}. {ASK}\n\n{shown(rows)}", "sim-reflect") for k in range(60)
        ],
    }


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    rows = []
    for name, bodies in requests().items():
        child = subprocess.Popen(
            [sys.executable, "-m", "judge_opt.testing.lab"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(b"{}\n")
        child.stdin.flush()
        address = urlsplit(child.stdout.readline().decode().strip())
        connection = http.client.HTTPConnection(str(address.hostname), address.port)
        before = cpu(child.pid)
        for body in bodies:
            connection.request("POST", "/v1/chat/completions", json.dumps(body).encode())
            assert connection.getresponse().read()
        spent = (cpu(child.pid) - before) / len(bodies) * 1e3
        connection.close()
        child.stdin.close()
        child.wait()
        rows.append({"request": name, "requests": len(bodies), "cpu_ms": round(spent, 2)})
        print(rows[-1], flush=True)
    checks = [
        check("plain", "CPU of a judge's reply with nothing shown, ms", rows[0]["cpu_ms"], "<=", 1.5),
        check(
            "aligned", "CPU of a judge's reply with 6 rules and 5 examples, ms", rows[1]["cpu_ms"], "<=", 3.0
        ),
    ]
    write_results(HERE, "python -m benchmarks.lab_speed.run", rows, checks, ())


if __name__ == "__main__":
    main()
