"""Immutable versions of judges and prompts, with aliases that move by compare-and-swap.

registry = Registry(store)
version = registry.register("judge", "is_correct", payload, lineage={"split": split.content_hash})
registry.set_alias("judge", "is_correct", "production", version.version, expected=None)
version, payload, blobs = registry.get("judge", "is_correct", "production")
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from judge_opt.registry.bundles import export_bundle, import_bundle
    from judge_opt.registry.diff import diff_payloads
    from judge_opt.registry.names import check_name
    from judge_opt.registry.registry import Registry
    from judge_opt.registry.versions import ANY, Version

_HOMES = {
    "ANY": "versions",
    "Registry": "registry",
    "Version": "versions",
    "check_name": "names",
    "diff_payloads": "diff",
    "export_bundle": "bundles",
    "import_bundle": "bundles",
}

__all__ = ["ANY", "Registry", "Version", "check_name", "diff_payloads", "export_bundle", "import_bundle"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
