"""Pages that name tests: `tests/file.py::name`, one or several in a cell of a table."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+(?:::\w+)?)`")


def lines(page: str, first: str) -> list[list[str]]:
    """The cells of a page's table, of the lines whose first cell is `first`."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    table = [line.strip("|").split("|") for line in text.splitlines() if re.match(rf"\| {first} \|", line)]
    return [[cell.strip() for cell in line] for line in table]


def named(cell: str) -> list[tuple[Path, str]]:
    """(file, test) of a cell; each is there."""
    found = NAMED.findall(cell)
    assert len(found) == cell.count("`") // 2, "a test is named otherwise than `tests/file.py::name`"
    for path, name in found:
        file = ROOT / path
        there = name in functions(file) or f"\n{name} = " in file.read_text(encoding="utf-8")
        assert there, f"{path} has no {name}"
    return [(ROOT / path, name) for path, name in found]


@cache
def functions(file: Path) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    """Functions of a file by name, methods as Class::name."""
    found = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        members = node.body if isinstance(node, ast.ClassDef) else []
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        for one in (node, *members):
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
                found[prefix + one.name] = one
    return found
