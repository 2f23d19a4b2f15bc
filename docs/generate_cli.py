"""Writes the help of every command into docs/cli.md, between its two marks.

python docs/generate_cli.py            writes
python docs/generate_cli.py --check    exits 1 where docs/cli.md is not current
"""

import os
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parent / "cli.md"
BEGIN, END = "<!-- help: begin (python docs/generate_cli.py) -->", "<!-- help: end -->"
COMMANDS = (
    "",
    "align",
    "loop",
    "evaluate",
    "compare",
    "validate",
    "audit",
    "drift",
    "judge",
    "label import",
    "trace import",
    "trace export",
    "queue create",
    "queue label",
    "queue next",
    "queue submit",
    "queue progress",
    "queue results",
    "raters",
    "power",
    "report",
    "runs",
    "registry list",
    "registry show",
    "registry diff",
    "registry alias",
    "registry tag",
    "registry delete",
    "registry export",
    "registry import",
    "prompts list",
    "prompts show",
    "prompts diff",
    "prompts alias",
    "memory show",
    "memory edit",
    "memory pin",
    "memory retire",
    "memory forget",
    "doctor",
    "serve-model",
)


def help_of(command: str) -> str:
    """`judge-opt <command> --help`, 80 columns wide."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JUDGE_OPT_")}
    environment = {**kept, "COLUMNS": "80", "TERMINAL_WIDTH": "80", "PYTHONPATH": str(PAGE.parents[1])}
    arguments = [sys.executable, "-m", "judge_opt", *command.split(), "--help"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, env=environment)  # noqa: S603
    return done.stdout.strip()


def page() -> str:
    """docs/cli.md with the help as it is now."""
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, tail = rest.partition(END)
    parts = []
    for command in COMMANDS:
        title = f"judge-opt {command}".strip()
        parts.append(f"### `{title}`\n\n```text\n{help_of(command)}\n```\n")
    return f"{head}{BEGIN}\n\n" + "\n".join(parts) + f"\n{END}{tail}"


def main() -> int:
    current = page()
    if "--check" in sys.argv:
        if PAGE.read_text(encoding="utf-8") != current:
            sys.stderr.write("docs/cli.md is not current: run python docs/generate_cli.py\n")
            return 1
        return 0
    PAGE.write_text(current, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
