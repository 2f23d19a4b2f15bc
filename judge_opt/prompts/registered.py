"""Prompts in the registry, under MLflow's names: registered by their owner, loaded by an agent while it runs.

They lie beside the judges, as versions of the kind "prompt": `Registry.export_bundle("prompt", ...)`, `import_bundle`,
`delete` and `check` hold for them too.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from judge_opt.core.errors import IntegrityError, NotFound, TemplateError, UsageError
from judge_opt.prompts.loading import seen
from judge_opt.prompts.prompt import Prompt, parse_reference
from judge_opt.prompts.template import Template, check_template
from judge_opt.registry.judges import Home, code_version, registry_in
from judge_opt.registry.registry import Registry
from judge_opt.registry.versions import Version

KIND = "prompt"
_MESSAGE = "commit_message"


def register_prompt(
    name: str,
    template: Template,
    commit_message: str = "",
    tags: Mapping[str, str] | None = None,
    *,
    alias: str | None = None,
    lineage: Mapping[str, Any] | None = None,
    home: Home = None,
    registry: Registry | None = None,
) -> Prompt:
    """Store a template as an immutable version.

    Args:
        template: a text, or messages with role and content; `{{ name }}` is a variable.
        commit_message: why; kept with the version.
        alias: pointed at the new version.
        lineage: where it came from, JSON.
        home, registry: as of `judge_opt.register_judge`.

    Returns:
        the version; the latest one, with what it was registered with, where the template is the same as that.

    Raises:
        UsageError: a name is not allowed.
        TemplateError: the template is none.
    """
    made = check_template(template)
    said = {_MESSAGE: commit_message} if commit_message else {}
    where = registry_in(home, registry)
    version = where.register(
        KIND,
        name,
        {"schema": 1, "template": made},
        lineage={"code": code_version(), **said, **(lineage or {})},
        tags=tags,
    )
    if alias is not None:
        where.set_alias(KIND, name, alias, version.version)
        version = replace(version, aliases=tuple(sorted({*version.aliases, alias})))
    return _prompt(version, made)


def load_prompt(
    name_or_uri: str,
    version: int | str | None = None,
    *,
    allow_missing: bool = False,
    home: Home = None,
    registry: Registry | None = None,
) -> Any:
    """Load a prompt: by name (the latest version), `prompts:/name/3`, or `prompts:/name@alias`.

    While `optimize_prompts` runs an agent, what the agent loads is noted, and comes with a candidate's template.

    Args:
        version: a number or an alias, where a name is given.
        allow_missing: None instead of an error where there is no such prompt.

    Returns:
        a `Prompt`.

    Raises:
        NotFound, IntegrityError: never another version instead.
        UsageError: the address is none, or `version` is given beside a URI that has one.
    """
    name, wanted = parse_reference(name_or_uri)
    if version is not None:
        if wanted is not None:
            raise UsageError(f"{name_or_uri!r} names a version already.", "Leave `version` out.")
        wanted = version

    def found() -> Prompt:
        stored, payload, _ = registry_in(home, registry).get(KIND, name, wanted)
        return _prompt(stored, payload.get("template"))

    try:
        return seen((name, wanted), found)
    except NotFound:
        if allow_missing:
            return None
        raise


def set_prompt_alias(
    name: str, alias: str, version: int, *, home: Home = None, registry: Registry | None = None
) -> None:
    """Point an alias at a version. See `Registry.set_alias`."""
    registry_in(home, registry).set_alias(KIND, name, alias, version)


def delete_prompt_alias(
    name: str, alias: str, *, home: Home = None, registry: Registry | None = None
) -> None:
    """Remove an alias."""
    registry_in(home, registry).set_alias(KIND, name, alias, None)


def set_prompt_tag(
    name: str,
    version: int | str | None,
    key: str,
    value: str | None,
    *,
    home: Home = None,
    registry: Registry | None = None,
) -> None:
    """Set a tag of a version, or remove it (None)."""
    registry_in(home, registry).set_tag(KIND, name, version, key, value)


def search_prompts(text: str = "", *, home: Home = None, registry: Registry | None = None) -> list[Prompt]:
    """The latest version of every prompt whose name holds `text`, by name."""
    where = registry_in(home, registry)
    return [_loaded(where, version) for version in where.list(KIND) if text in version.name]


def list_prompt_versions(name: str, *, home: Home = None, registry: Registry | None = None) -> list[Prompt]:
    """Every version of a prompt that is not deleted, the first first; [] for no such prompt."""
    where = registry_in(home, registry)
    return [_loaded(where, one) for one in where.versions(KIND, name) if not one.deleted]


def diff_prompts(
    name: str, a: int | str, b: int | str, *, home: Home = None, registry: Registry | None = None
) -> list[str]:
    """What changed from version `a` to `b`, in words, one change an entry; see `Registry.diff`."""
    return registry_in(home, registry).diff(KIND, name, a, b)


def _loaded(where: Registry, version: Version) -> Prompt:
    stored, payload, _ = where.get(KIND, version.name, version.version)
    return _prompt(stored, payload.get("template"))


def _prompt(version: Version, template: Any) -> Prompt:
    try:
        checked = check_template(template)
    except TemplateError as error:
        raise IntegrityError(
            f"The prompt {version.name!r} version {version.version} holds no template: {error.message}",
            "It was not written by register_prompt: register it again.",
        ) from None
    return Prompt(
        version.name,
        version.version,
        checked,
        str(version.lineage.get(_MESSAGE, "")),
        dict(version.tags),
        version.aliases,
        dict(version.lineage),
        version.content_hash,
    )
