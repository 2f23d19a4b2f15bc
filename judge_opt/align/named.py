"""Optimizers by name: ours, those of installed packages, and a class by its dotted path.

    [project.entry-points."judge_opt.optimizers"]
    mine = "my_package.optimizer:MyOptimizer"

makes `optimizer: {name: mine, settings: {...}}` work in a configuration.
"""

import inspect
import os
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from judge_opt.align.contract import AlignmentOptimizer
from judge_opt.core.errors import ConfigError
from judge_opt.core.text import nearest

GROUP = "judge_opt.optimizers"
TRUSTED = "JUDGE_OPT_TRUSTED_PACKAGES"
"""Environment variable: packages, separated by commas, of which a configuration may name classes."""
OURS = {
    "dspy": "judge_opt.align.any_dspy:AnyDSPy",
    "chain": "judge_opt.align.chain:Chain",
    "calibrate": "judge_opt.align.calibrate:Calibrate",
    "memalign": "judge_opt.align.memalign:MemAlign",
    "noop": "judge_opt.align.noop:NoOp",
    "gepa": "judge_opt.align.gepa:GEPA",
    "simba": "judge_opt.align.simba:SIMBA",
}
_DOTTED = re.compile(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$")


def optimizer_names() -> list[str]:
    """Every name that `make_optimizer` knows, sorted."""
    return sorted({*OURS, *(point.name for point in entry_points(group=GROUP))})


def optimizer_class(name: str, *, trusted: bool = False) -> Any:
    """The class (or function that makes an optimizer) of that name.

    Args:
        name: ours; an entry point's; or "package.module:Class", whose package is imported, so that it is
            only done where the caller vouches for it or the environment lists the package.
        trusted: the name comes from a program and not from a file.

    Raises:
        ConfigError: no such optimizer; it cannot be imported; it has no `align`.
    """
    if name in OURS:
        return _imported(OURS[name], name)
    found = {point.name: point for point in entry_points(group=GROUP)}
    if name in found:
        return _loaded(found[name])
    if _DOTTED.match(name):
        package = name.partition(":")[0].partition(".")[0]
        listed = [one.strip() for one in os.environ.get(TRUSTED, "").split(",")]
        if not trusted and package != "judge_opt" and package not in listed:
            raise ConfigError(
                f"{name!r} would import the package {package!r}, and a configuration may come from anybody.",
                f"Set {TRUSTED}={package} where you trust it, or register the class as an entry point.",
            )
        return _imported(name, name)
    raise ConfigError(
        f"No optimizer is called {name!r}.{nearest(name, optimizer_names())}",
        f"Known: {', '.join(optimizer_names())}; or package.module:Class.",
    )


def make_optimizer(
    name: str, settings: Mapping[str, Any] | None = None, *, trusted: bool = False
) -> AlignmentOptimizer:
    """The optimizer of that name with these settings; see `optimizer_class`.

    Raises:
        ConfigError: as `optimizer_class`; or a setting that it does not know, or refuses.
    """
    made = optimizer_class(name, trusted=trusted)
    given = dict(settings or {})
    known = settings_known(made)
    for key in given:
        if known is not None and key not in known:
            raise ConfigError(
                f"{name} has no setting {key!r}.{nearest(key, known)}",
                f"Its settings: {', '.join(known) or 'none'}.",
            )
    try:
        optimizer = made(**given)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} refuses its settings ({error}).", "Correct them.") from error
    if not callable(getattr(optimizer, "align", None)):
        raise ConfigError(f"{name} is no optimizer: it has no align().", "See docs/optimizers.md.")
    return cast(AlignmentOptimizer, optimizer)


def settings_known(made: Any) -> list[str] | None:
    """Names of settings; None where any is taken."""
    if is_dataclass(made):
        return [field.name for field in fields(made) if field.init]
    parameters = inspect.signature(made).parameters.values()
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters):
        return None
    return [one.name for one in parameters if one.kind is not inspect.Parameter.VAR_POSITIONAL]


def _loaded(point: EntryPoint) -> Any:
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"The optimizer {point.name!r} of {point.value} cannot be imported ({error}).",
            "Install its package again, or remove it.",
        ) from error


def _imported(path: str, name: str) -> Any:
    module, _, attribute = path.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{name} cannot be imported ({error}).", "Check its name.") from error
