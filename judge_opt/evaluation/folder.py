"""The folder of an evaluation: `<home>/evaluations/<id>/`.

config.json      what was evaluated, by whom, and with which settings; with its own hash
rows.jsonl       the rows, as they were read; config.json holds their hash
journal.jsonl    what each row got, when, and at what cost; see journal.py
verdicts.jsonl   one line a row, in the order of the rows: the same bytes for the same replies
results.json     metrics and criteria: the same bytes for the same replies
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judge_opt.core.errors import Conflict, IntegrityError, NotFound, UsageError
from judge_opt.core.files import write_bytes, write_chunks
from judge_opt.core.hashing import content_hash
from judge_opt.core.text import nearest
from judge_opt.evaluation.journal import json_bytes, read_json
from judge_opt.evaluation.rows import Row

SCHEMA = 1
CONFIG, ROWS, VERDICTS, RESULTS = "config.json", "rows.jsonl", "verdicts.jsonl", "results.json"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")
_UNSLUG = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class JudgeEntry:
    """A judge as the configuration has it.

    Attributes:
        source: (source type, source id), as its assessments in the store name it.
        digest: the content hash of the judge; None for a function.
        value_type: as JSON; None for a function that does not say.
    """

    name: str
    source: tuple[str, str]
    digest: str | None
    model: str
    value_type: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Config:
    """What identifies a run (rows, judges, agent), and how its figures are made (the rest).

    Attributes:
        rows_digest: of the rows in their order, without the names of their traces.
        agent: the name of `predict_fn`; None where there is none.
        labels: judge to label name, where they differ.
    """

    id: str
    name: str
    rows: int
    rows_digest: str
    judges: tuple[JudgeEntry, ...]
    agent: str | None
    seed: int
    n_boot: int
    confidence: float
    min_coverage: float
    criteria: tuple[str, ...]
    labels: Mapping[str, str]

    @property
    def identity(self) -> dict[str, Any]:
        """What must be equal for two calls to be one run."""
        return {
            "rows": self.rows_digest,
            "judges": [[one.name, one.digest] for one in self.judges],
            "agent": self.agent is not None,
        }

    def to_json(self) -> dict[str, Any]:
        judges = [
            {
                "name": one.name,
                "source": list(one.source),
                "digest": one.digest,
                "model": one.model,
                "value_type": one.value_type,
            }
            for one in self.judges
        ]
        settings = (
            "id",
            "name",
            "rows",
            "rows_digest",
            "agent",
            "seed",
            "n_boot",
            "confidence",
            "min_coverage",
        )
        return {
            "schema": SCHEMA,
            **{name: getattr(self, name) for name in settings},
            "judges": judges,
            "criteria": list(self.criteria),
            "labels": dict(self.labels),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Config":
        kept = {key: value for key, value in data.items() if key not in ("schema", "judges", "criteria")}
        judges = tuple(JudgeEntry(**{**one, "source": tuple(one["source"])}) for one in data["judges"])
        return cls(judges=judges, criteria=tuple(data["criteria"]), **kept)


def evaluations(home: Path) -> Path:
    """The folder of all evaluations of a home."""
    return home / "evaluations"


def make_id(name: str, identity: Mapping[str, Any] | None, chance: str) -> str:
    """An id for a run without one: its name, and the hash of what it is; where that cannot be known
    (`identity` None), a number that never comes twice."""
    slug = _UNSLUG.sub("-", name).strip("-.")[:60] or "evaluation"
    return f"{slug}-{content_hash(identity)[:8] if identity is not None else chance[:8]}"


def check_id(run_id: str) -> str:
    """`run_id`, if it can name a folder.

    Raises:
        UsageError: it cannot.
    """
    if not isinstance(run_id, str) or not _ID.fullmatch(run_id) or ".." in run_id:
        raise UsageError(
            f"{ascii(run_id)[:80]} cannot name an evaluation.",
            "Use letters, digits, '.', '_' or '-'; at most 120; a letter or digit first.",
        )
    return run_id


def rows_digest(rows: Sequence[Row]) -> str:
    """Hash of the rows in their order. The traces that they are stored as do not enter: they follow from
    the store."""
    digest = hashlib.sha256()
    for row in rows:
        body = row.to_json()
        body.pop("trace_id", None)
        digest.update(json_bytes(body) + b"\n")
    return digest.hexdigest()


def prepare(folder: Path, config: Config, rows: Sequence[Row]) -> Sequence[Row]:
    """Make the folder, or check that the run in it is this one.

    Returns:
        The rows of the run: with the traces that they were given when it was begun.

    Raises:
        Conflict: the id is taken by a run with other rows, judges, or agent.
    """
    if (folder / CONFIG).is_file():
        known = read_config(folder)
        if known.identity != config.identity:
            parts = [part for part, value in config.identity.items() if known.identity[part] != value]
            raise Conflict(
                f"Evaluation {config.id!r} was made with other {' and '.join(parts)}.",
                "Give this one another run_id.",
            )
        rows = read_rows(folder, known)
    else:
        write_chunks(folder / ROWS, (json_bytes(row.to_json()) + b"\n" for row in rows))
    write_config(folder, config)
    return rows


def write_config(folder: Path, config: Config) -> None:
    """Write `config.json`, with its hash and that of the rows' file."""
    body = {**config.to_json(), "rows_sha256": _sha256(folder / ROWS)}
    body["content_hash"] = content_hash(body)
    write_bytes(folder / CONFIG, json.dumps(body, ensure_ascii=True, indent=1).encode("ascii") + b"\n")


def read_config(folder: Path) -> Config:
    """The configuration of a run.

    Raises:
        IntegrityError: it was changed or damaged, or is from a newer version.
    """
    return Config.from_json(_checked(folder / CONFIG, ("rows_sha256",)))


def read_rows(folder: Path, config: Config) -> list[Row]:
    """The rows of a run.

    Raises:
        IntegrityError: their file does not match the hash in `config.json`.
    """
    stated = _checked(folder / CONFIG, ())["rows_sha256"]
    path = folder / ROWS
    if _sha256(path) != stated:
        raise IntegrityError(f"{path} does not match its hash.", _REMEDY)
    with path.open("rb") as stream:
        return [Row.from_json(read_json(line)) for line in stream if line.strip()]


def write_results(folder: Path, verdicts: Iterable[Mapping[str, Any]], results: Mapping[str, Any]) -> None:
    """Write the two files of results; `results.json` holds the hash of the other and its own."""
    digest = write_chunks(folder / VERDICTS, (json_bytes(one) + b"\n" for one in verdicts))
    body = {**results, "schema": SCHEMA, "verdicts_sha256": digest}
    body["content_hash"] = content_hash(body)
    write_bytes(
        folder / RESULTS, json.dumps(body, ensure_ascii=True, indent=1, sort_keys=True).encode() + b"\n"
    )


def drop_results(folder: Path) -> None:
    """Take results away that the journal is about to leave behind."""
    for name in (RESULTS, VERDICTS):
        (folder / name).unlink(missing_ok=True)


def read_results(folder: Path) -> dict[str, Any] | None:
    """`results.json`, or None where the run has none yet.

    Raises:
        IntegrityError: it, or the file of verdicts that it stands on, was changed or damaged.
    """
    path, verdicts = folder / RESULTS, folder / VERDICTS
    if not path.is_file():
        return None
    results = _checked(path, ())
    if _sha256(verdicts) != results["verdicts_sha256"]:
        raise IntegrityError(f"{verdicts} does not match its hash.", _REMEDY)
    return results


def find(home: Path, run_id: str) -> Path:
    """The folder of a run, by its id, its path, or its title where one run alone has it.

    Raises:
        NotFound: there is none; the nearest id is suggested.
        UsageError: several runs have that title; the message names them.
    """
    root = evaluations(home)
    for folder in (root / run_id, Path(run_id)) if run_id else ():
        if (folder / CONFIG).is_file():
            return folder
    names = sorted(path.parent.name for path in root.glob(f"*/{CONFIG}"))
    titled = [name for name in names if name.rpartition("-")[0] == run_id]
    if len(titled) == 1:
        return root / titled[0]
    if titled:
        raise UsageError(
            f"{len(titled)} evaluations are called {run_id[:80]!r}: {', '.join(titled[:10])}.",
            "Give one of these ids.",
        )
    raise NotFound(
        f"There is no evaluation {run_id[:80]!r} in {home}.{nearest(run_id, names)}",
        "judge_opt.list_evaluations() lists what there is.",
    )


def _sha256(path: Path) -> str:
    """Of a file's content, read in pieces; one that is not there counts as empty."""
    if not path.is_file():
        return hashlib.sha256().hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


_REMEDY = "Restore the file from a backup, or evaluate again under another run_id."


def _checked(path: Path, without: Sequence[str]) -> dict[str, Any]:
    try:
        body = json.loads(path.read_bytes())
        stated = body.pop("content_hash")
        schema = int(body["schema"])
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        raise IntegrityError(f"{path} is not whole.", _REMEDY) from None
    if schema > SCHEMA:
        raise IntegrityError(
            f"{path} was written by a newer judge_opt (schema {schema}).", "Upgrade judge_opt."
        )
    if content_hash(body) != stated:
        raise IntegrityError(f"{path} does not match its hash.", _REMEDY)
    return {key: value for key, value in body.items() if key not in without}
