"""What the tests of evaluation share: rows, judges, and a server that says yes where it reads please."""

import json
from pathlib import Path
from typing import Any

from judge_opt.judges.make import make_judge
from judge_opt.testing.fault_server import FaultServer, Reply

INSTRUCTIONS = "Is {{ outputs.reply }} polite?"


def rows(count: int, *, session: int = 0) -> list[dict[str, Any]]:
    """Rows of which the odd ones are polite; `session` puts that many neighbours into one session."""
    made = []
    for number in range(count):
        row: dict[str, Any] = {
            "id": f"r{number:04d}",
            "inputs": {"question": f"Where is order {number}?"},
            "outputs": {"reply": f"Order {number} is late{', please wait' if number % 2 else ''}."},
        }
        if session:
            row["session"] = f"s{number // session}"
        made.append(row)
    return made


def say(body: dict[str, Any]) -> str:
    """The server's answer: true exactly where the item holds please."""
    item = body["messages"][-1]["content"]
    return json.dumps({"verdict": "true" if "please" in item else "false"})


def polite(server: FaultServer, name: str = "polite", **options: Any) -> Any:
    options = {"feedback_value_type": bool, "generate_rationale_first": False, **options}
    return make_judge(
        name, options.pop("instructions", INSTRUCTIONS), "openai:/any", base_url=server.base_url, **options
    )


def failing(*words: str) -> Any:
    """A server's answer that is no verdict for items that hold one of these words."""

    def answer(body: dict[str, Any]) -> str | Reply:
        said = " ".join(str(message["content"]) for message in body["messages"])  # also where it asks again
        return "perhaps" if any(word in said for word in words) else say(body)

    return answer


def result_files(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "results.json").read_bytes(), (folder / "verdicts.jsonl").read_bytes()
