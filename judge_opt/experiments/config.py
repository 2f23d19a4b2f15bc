"""A runnable experiment as one YAML file, checked in full before anything else happens."""

import difflib
import os
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from judge_opt.core.errors import ConfigError, NotFound, TemplateError
from judge_opt.core.hashing import content_hash
from judge_opt.core.values import BOOL, ValueType

M = TypeVar("M", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ValuesConfig(_Strict):
    """What the judge may say: one of the keys.

    Attributes:
        ordered: labels, first to last.
        categories: labels without an order.
        scale: [low, high], whole numbers.
        bool: true.
    """

    ordered: list[str] | None = None
    categories: list[str] | None = None
    scale: tuple[int, int] | None = None
    bool: Literal[True] | None = None

    @model_validator(mode="after")
    def _one(self) -> "ValuesConfig":
        if sum(v is not None for v in (self.ordered, self.categories, self.scale, self.bool)) != 1:
            raise ValueError("give exactly one of ordered, categories, scale, bool")
        try:
            self.value_type()
        except TemplateError as error:
            raise ValueError(str(error)) from None
        return self

    def value_type(self) -> ValueType:
        if self.ordered is not None:
            return ValueType("ordinal", tuple(self.ordered))
        if self.categories is not None:
            return ValueType("nominal", tuple(self.categories))
        if self.scale is not None:
            return ValueType("int", low=self.scale[0], high=self.scale[1])
        return BOOL


class JudgeConfig(_Strict):
    """See `judge_opt.make_judge`."""

    name: str
    instructions: str
    values: ValuesConfig
    model: str = "local:/smollm2"
    base_url: str | None = None
    inference_params: dict[str, Any] = Field(default_factory=dict)
    generate_rationale_first: bool | None = None


class DataConfig(_Strict):
    """Where the labelled rows come from.

    Attributes:
        dataset: a data set that ships with the package; or
        path: a JSON Lines or CSV file; relative to the configuration file. `$NAME` is read from the
            environment.
        label: the label's name in the file; default: the judge's name. Or
        labels: several names, each a row of its own, with the name in `inputs[label_field]`.
        group: dotted path of the group; default: the row's session, else its id.
        value_map: the source's labels to the judge's.
        pools: raters of these pools only; `null` in it stands for raters without a pool.
        rows: what a row is, in the plural, for the report.
    """

    dataset: str | None = None
    path: str | None = None
    label: str | None = None
    labels: list[str] | None = None
    label_field: str | None = None
    group: str | None = None
    value_map: dict[str | int | float | bool, str | int | float | bool] = Field(default_factory=dict)
    pools: list[str | None] | None = None
    rows: str = "rows"

    @model_validator(mode="after")
    def _one(self) -> "DataConfig":
        if (self.dataset is None) == (self.path is None):
            raise ValueError("give exactly one of dataset and path")
        if (self.labels is None) != (self.label_field is None):
            raise ValueError("labels and label_field go together")
        return self


class SplitConfig(_Strict):
    """Rows (a number) or a share of them (between 0 and 1) for each side; whole groups only."""

    train: int | float
    test: int | float
    seed: int = 0


class OptimizerConfig(_Strict):
    """Attributes:
    name: of ours (memalign, simba, gepa, calibrate, ...), of an installed package's, or package.module:Class;
        see `judge_opt.align.named`.
    settings: of the optimizer; for memalign see `judge_opt.MemAlign`.
    """

    name: str = "memalign"
    settings: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known(self) -> "OptimizerConfig":
        from judge_opt.align.named import optimizer_class, settings_known

        try:
            known = settings_known(optimizer_class(self.name))
        except ConfigError as error:
            raise ValueError(str(error)) from None
        for key in self.settings:
            if known is not None and key not in known:
                raise ValueError(f"unknown setting {key!r}.{_hint(key, known)}")
        return self


class GateConfig(_Strict):
    """When the aligned judge replaces the untouched one: the keys of `judge_opt.validate.GatePolicy` that a
    run can measure."""

    alpha: float = Field(default=0.05, gt=0, lt=1)
    min_coverage: float = Field(default=0.95, ge=0, le=1)
    min_rows: int = Field(default=30, ge=1)
    candidates: int | None = Field(default=None, ge=1)
    min_agreement: float | None = Field(default=None, ge=0, le=1)
    min_metric: float | None = Field(default=None, ge=-1, le=1)
    margin: float | None = Field(default=None, gt=0, lt=1)
    max_lean: float | None = Field(default=None, gt=0)

    @model_serializer(mode="wrap")
    def _said(self, write: Any) -> dict[str, Any]:
        """Keys that ask for nothing are not part of a run's identity."""
        return {key: value for key, value in write(self).items() if value is not None}


class BudgetConfig(_Strict):
    """The hard stop of the run; a missing limit is none."""

    calls: int | None = Field(default=None, ge=1)
    tokens: int | None = Field(default=None, ge=1)
    usd: float | None = Field(default=None, gt=0)


class RegisterConfig(_Strict):
    """Under which name a promoted judge is registered; default: the judge's name, alias "production"."""

    name: str | None = None
    alias: str | None = "production"


class ExperimentConfig(_Strict):
    """The whole file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$")
    description: str = ""
    data: DataConfig
    judge: JudgeConfig
    optimizer: OptimizerConfig = OptimizerConfig()
    split: SplitConfig
    gate: GateConfig = GateConfig()
    budget: BudgetConfig = BudgetConfig()
    register_as: RegisterConfig = Field(default=RegisterConfig(), alias="register")
    seed: int = 0
    concurrency: int = Field(default=8, ge=1, le=512)

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @field_validator("description")
    @classmethod
    def _strip(cls, text: str) -> str:
        return text.strip()

    def resolved(self) -> dict[str, Any]:
        """Everything, defaults included, as JSON."""
        return self.model_dump(mode="json", by_alias=True)

    def run_id(self, data_sha256: str) -> str:
        """The same configuration on the same data is the same run: it resumes where it stopped. The data
        counts by its content, wherever its file lies."""
        resolved = self.resolved()
        resolved["data"] |= {"path": None, "dataset": None, "sha256": data_sha256}
        return f"{self.name}-{content_hash(resolved)[:8]}"


def load_config(path: Path, changes: dict[str, Any] | None = None) -> tuple[ExperimentConfig, Path]:
    """Read and check a configuration; see `load_yaml`."""
    return load_yaml(path, changes, ExperimentConfig, "quickstart.yaml")


def load_yaml(path: Path, changes: dict[str, Any] | None, model: type[M], example: str) -> tuple[M, Path]:
    """Read a configuration of any kind and check it.

    Args:
        changes: dotted name to value, put over the file's: {"split.seed": 1}.
        model: what the file has to be.
        example: a file in configs/ that is one.

    Returns:
        the configuration and the folder that its relative paths start from.

    Raises:
        NotFound: no such file.
        ConfigError: one line: what is wrong where, with the nearest known key.
    """
    if not path.is_file():
        raise NotFound(f"There is no configuration {path}.", "See the folder configs for examples.")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = getattr(error, "problem_mark", None)
        where = f" (line {place.line + 1})" if place is not None else ""
        raise ConfigError(f"{path.name} is not YAML{where}.", "Check its indentation and quotes.") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path.name} holds no keys.", f"See configs/{example} for an example.")
    for dotted, value in (changes or {}).items():
        _put(data, dotted, value)
    try:
        return model.model_validate(data), path.resolve().parent
    except ValidationError as error:
        raise ConfigError(f"{path.name}: {_explain(error, model)}", "See docs/configuration.md.") from None


def data_path(config: DataConfig, folder: Path) -> Path:
    """The file of labelled rows.

    Raises:
        ConfigError: the name of a shipped data set, or of an environment variable, is not known.
    """
    if config.dataset is not None:
        shipped = Path(__file__).parent.parent / "data"
        known = sorted(p.name for p in shipped.iterdir() if p.is_dir() and (p / f"{p.name}.jsonl").is_file())
        if config.dataset not in known:
            raise ConfigError(
                f"Unknown data set {config.dataset!r}.{_hint(config.dataset, known)}",
                f"Known: {', '.join(known)}.",
            )
        return shipped / config.dataset / f"{config.dataset}.jsonl"
    assert config.path is not None
    written = os.path.expandvars(config.path)
    if "$" in written:
        raise ConfigError(
            f"data.path is {config.path!r}, but that variable is not set.", "Export it, or write the path."
        )
    path = Path(written).expanduser()
    return path if path.is_absolute() else folder / path


def _put(data: dict[str, Any], dotted: str, value: Any) -> None:
    *outer, last = dotted.split(".")
    for key in outer:
        inner = data.setdefault(key, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{dotted}: {key} holds no keys.", "Name a key that the file could have.")
        data = inner
    data[last] = value


def _explain(error: ValidationError, model: type[BaseModel]) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key {place!r}.{_hint(str(first['loc'][-1]), _known_keys(first['loc'][:-1], model))}"
    if first["type"] == "missing":
        return f"the key {place!r} is missing."
    more = len(error.errors()) - 1
    return f"{place or 'file'}: {first['msg'].removeprefix('Value error, ')}" + (
        f" ({more} more)" if more else ""
    )


def _known_keys(place: tuple[Any, ...], model: Any) -> list[str]:
    for part in place:
        by_name = {f.alias or n: f for n, f in model.model_fields.items()}
        model = by_name[part].annotation if part in by_name else None
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return []
    return [f.alias or n for n, f in model.model_fields.items()]


def _hint(name: str, known: list[str]) -> str:
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f" Did you mean {found[0]!r}?" if found else (f" Known: {', '.join(known)}." if known else "")
