"""Judges in the registry: registered by their owner, loaded by their users.

MLflow's names are here too: a judge is a scorer there, and `get_scorer`, `list_scorers` and so on find it.
"""

import platform
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from judge_opt.judges.endpoints import checked_endpoints
from judge_opt.judges.judge import Judge
from judge_opt.judges.stored import dump_judge, load_judge
from judge_opt.llm.session import current_session
from judge_opt.registry.names import parse_reference
from judge_opt.registry.registry import Registry
from judge_opt.registry.versions import Version

KIND = "judge"

Home = Path | str | None


def registry_path(home: Home = None) -> Path:
    """The database of a home folder; default: the current session's."""
    return Path(home if home is not None else current_session().home) / "store.db"


def register(
    judge: Judge,
    name: str | None = None,
    *,
    tags: Mapping[str, str] | None = None,
    lineage: Mapping[str, Any] | None = None,
    alias: str | None = None,
    home: Home = None,
    registry: Registry | None = None,
) -> Version:
    """Store a judge as an immutable version, with everything that it learned.

    Args:
        name: default: the judge's own.
        lineage: where it came from. The code's version is added under "code".
        alias: pointed at the new version, for example "production".
        home: whose `store.db` holds the registry; default: the current store's database, see
            `judge_opt.traces.default_store`.
        registry: another one.

    Returns:
        the version; the latest one where the judge is the same as that.
    """
    state, blobs = dump_judge(judge)
    where = registry_in(home, registry)
    version = where.register(
        KIND, name or judge.name, state, blobs, {"code": code_version(), **(lineage or {})}, tags
    )
    if alias is not None:
        where.set_alias(KIND, name or judge.name, alias, version.version)
        version = replace(version, aliases=tuple(sorted({*version.aliases, alias})))
    return version


def get_judge(
    name: str,
    version: int | str | None = None,
    *,
    home: Home = None,
    registry: Registry | None = None,
    trust_base_url: bool = False,
    base_url: str | None = None,
) -> Judge:
    """Load a registered judge. No model is asked and nothing is embedded.

    Args:
        name: the judge's; also `name/3` or `name@production`, where `version` is left out.
        version: number or alias; default: the latest.
        home, registry: as of `register`.
        trust_base_url: the addresses of endpoints in a version that was imported from a bundle are known to
            be good. What was registered here is believed without this.
        base_url: used instead of every address in the version.

    Raises:
        NotFound, IntegrityError: never another version, and never the untouched judge, instead.
        UsageError: the version came from a bundle and names an address: see `judge_opt.judges.endpoints`.
    """
    if version is None:
        name, version = parse_reference(name)
    where = registry_in(home, registry)
    found, state, blobs = where.get(KIND, name, version)
    state = checked_endpoints(
        state,
        f"The judge {found.name!r} version {found.version}",
        trust_base_url=trust_base_url or found.trusted,
        base_url=base_url,
    )
    return load_judge(state, blobs)


def list_judges(*, home: Home = None, registry: Registry | None = None) -> list[Version]:
    """The latest version of every registered judge, by name."""
    return registry_in(home, registry).list(KIND)


def list_versions(name: str, *, home: Home = None, registry: Registry | None = None) -> list[Version]:
    """Every version of a judge, the first first, with the tombstones of deleted ones; [] for no such judge."""
    return registry_in(home, registry).versions(KIND, name)


def delete_judge(
    name: str,
    version: int,
    *,
    reason: str | None = None,
    by: str | None = None,
    force: bool = False,
    home: Home = None,
    registry: Registry | None = None,
) -> Version:
    """Remove a version's content; its number is never given again, and loading it says who deleted it and
    why. See `Registry.delete`."""
    where = registry_in(home, registry)
    return where.delete(KIND, name, version, reason=reason, by=by, force=force)


def registry_in(home: Home, registry: Registry | None) -> Registry:
    """The registry that `home` and `registry` name; default: in the current store's database."""
    if registry is not None:
        return registry
    if home is not None:
        return Registry(registry_path(home))
    from judge_opt.traces.default_store import current_store

    return Registry(current_store())


def code_version() -> dict[str, str]:
    """What ran: of a judge's lineage."""
    from importlib.metadata import version

    from judge_opt import __version__

    return {"judge_opt": __version__, "dspy": version("dspy"), "python": platform.python_version()}
