"""A judge as JSON and blobs: everything that it learned, nothing that is secret.

Each kind of judge (an ordinary one, a jury, a function, an agent) is stored by its own class: what all have
in common is written here, and `extra_state` and `from_state` of the class do the rest.
"""

import json
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from judge_opt.core.errors import IntegrityError, NotFound
from judge_opt.core.files import write_bytes
from judge_opt.core.hashing import content_hash, file_sha256
from judge_opt.core.structured import to_json
from judge_opt.core.values import ValueType
from judge_opt.judges.calibration import Calibration
from judge_opt.judges.endpoints import checked_endpoints
from judge_opt.judges.judge import Judge
from judge_opt.judges.options import AskOptions
from judge_opt.judges.template import Template
from judge_opt.memory.stored import dump_memory, load_memory

SCHEMA = 2

KINDS = {
    "judge": "judge_opt.judges.judge:Judge",
    "jury": "judge_opt.judges.jury:Jury",
    "check": "judge_opt.judges.checks.code_check:CodeCheck",
    "agent": "judge_opt.judges.agentic:AgenticJudge",
}
"""How a judge is stored, to the class that reads it: a file cannot name a class of its own."""


def dump_judge(judge: Judge) -> tuple[dict[str, Any], dict[str, bytes]]:
    """(JSON, blobs). Extra headers are left out: they can hold keys."""
    memory, blobs = dump_memory(judge.memory) if judge.memory is not None else (None, {})
    state = {
        "schema": SCHEMA,
        "kind": judge.kind,
        "name": judge.name,
        "description": judge.description,
        "template": judge.template.text,
        "instructions": judge.instructions,
        "value_type": judge.value_type.to_json(),
        "model": judge.model,
        "base_url": judge.base_url,
        "params": {key: value for key, value in judge.params.items() if key != "extra_headers"},
        "rationale": judge.rationale,
        "options": judge.options.to_json(),
        "template_hash": content_hash(judge.template.text),
        "demos": [_demo(demo) for demo in judge.predict.demos],
        "memory": memory,
        "extra": judge.extra_state(),
    }
    if judge.calibration is not None:
        state["calibration"] = judge.calibration.to_json()
    return state, blobs


def _demo(demo: Any) -> dict[str, Any]:
    """A demo as JSON values; DSPy's optimizers add marks such as `augmented`."""
    return {key: to_json(value) for key, value in dict(demo).items()}


def load_judge(state: dict[str, Any], blobs: dict[str, bytes]) -> Judge:
    """The inverse of `dump_judge`. Nothing is embedded and no model is asked.

    Raises:
        IntegrityError: it is from a newer version, or a part is missing. The judge is never loaded without
            what it learned.
    """
    schema = state.get("schema")
    if str(state.get("kind")) not in KINDS or not isinstance(schema, int) or not 1 <= schema <= SCHEMA:
        raise IntegrityError(
            f"This is no judge that schema {SCHEMA} can read (kind {state.get('kind')!r}, "
            f"schema {schema!r}).",
            "Upgrade judge_opt.",
        )
    try:
        return _load(state, blobs)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise IntegrityError(
            f"The judge's stored state is malformed ({type(error).__name__}: {ascii(str(error))[:80]}).",
            "Restore it from a backup or a bundle, or align the judge again.",
        ) from error


def _load(state: dict[str, Any], blobs: dict[str, bytes]) -> Judge:
    value_type = ValueType.from_json(state["value_type"])
    judge = _class_of(state["kind"]).from_state(
        state.get("extra") or {},
        name=state["name"],
        template=Template.parse(state["template"]),
        value_type=value_type,
        model=state["model"],
        base_url=state["base_url"],
        params=state["params"],
        rationale=state["rationale"],
        description=state["description"],
        options=AskOptions.from_json(state["options"]) if "options" in state else None,
        memory=load_memory(state["memory"], blobs, value_type) if state["memory"] is not None else None,
    )
    if state["instructions"] != state["template"]:
        judge.predict.signature = judge.predict.signature.with_instructions(state["instructions"])
    if state.get("calibration") is not None:
        judge.calibration = Calibration.from_json(state["calibration"])
    judge.predict.demos = [dict(demo) for demo in state["demos"]]
    return judge


def _class_of(kind: str) -> type[Judge]:
    module, _, name = KINDS[kind].partition(":")
    return cast(type[Judge], getattr(import_module(module), name))


def save_judge(judge: Judge, folder: Path) -> None:
    """Write `judge.json` and its blobs to a folder. `judge.json` carries their hashes and its own."""
    state, blobs = dump_judge(judge)
    hashes = {}
    for name, data in blobs.items():
        write_bytes(folder / name, data)
        hashes[name] = file_sha256(folder / name)
    body: dict[str, Any] = {"judge": state, "blobs": hashes}
    body["content_hash"] = content_hash(body)
    write_bytes(folder / "judge.json", json.dumps(body, ensure_ascii=True, indent=1).encode("ascii"))


def read_judge(folder: Path | str, *, trust_base_url: bool = False, base_url: str | None = None) -> Judge:
    """A judge that `save_judge` wrote.

    Args:
        trust_base_url: the addresses of endpoints that are stored with it are known to be good. A folder may
            come from anybody: see `judge_opt.judges.endpoints`.
        base_url: used instead of every address in it.

    Raises:
        NotFound: no judge there.
        UsageError: it names an address, and neither argument says what to do with it.
        IntegrityError: a file does not match its hash; the message names it.
    """
    folder = Path(folder)
    path = folder / "judge.json"
    if not path.is_file():
        raise NotFound(f"There is no judge in {folder.name}.", "Give the folder that holds judge.json.")
    remedy = "Restore the file, or align the judge again."
    try:
        body = json.loads(path.read_bytes())
        stated = body.pop("content_hash")
    except (ValueError, KeyError, AttributeError):
        raise IntegrityError("judge.json is not whole.", remedy) from None
    if content_hash(body) != stated:
        raise IntegrityError("judge.json does not match its hash.", remedy)
    if not isinstance(body.get("judge"), dict) or not isinstance(body.get("blobs"), dict):
        raise IntegrityError("judge.json is not whole.", remedy)
    blobs = {}
    for name, sha256 in body["blobs"].items():
        blob = folder / Path(name).name
        if not blob.is_file() or file_sha256(blob) != sha256:
            raise IntegrityError(f"{name} is missing or does not match its hash.", remedy)
        blobs[name] = blob.read_bytes()
    state = checked_endpoints(
        body["judge"], f"The judge in {folder.name}", trust_base_url=trust_base_url, base_url=base_url
    )
    return load_judge(state, blobs)
