"""What a benchmark's YAML file says."""

from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from judge_opt.core.errors import ConfigError
from judge_opt.core.hashing import content_hash
from judge_opt.testing.lab.families import CONTROLS, FAMILIES, TRIAL, Family, registration

KNOWN: dict[str, Family] = FAMILIES | CONTROLS | {TRIAL.name: TRIAL}


class Arm(BaseModel):
    """One contender.

    Attributes:
        name: in tables.
        optimizer: one of ours, or an installed package's (`align.named`).
        settings: of the optimizer.
        rival: what the rivals' runner calls it; instead of `optimizer`.
        baseline: the arm that is this one's judge before alignment: harm is measured against it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    optimizer: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    rival: str | None = None
    baseline: str | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.optimizer is None) == (self.rival is None):
            raise ValueError(f"arm {self.name!r} needs either optimizer or rival")
        return self


class Size(BaseModel):
    """So many labels, in the first so many worlds of each family."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    labels: int = Field(ge=1)
    worlds: int = Field(ge=1)


class BenchConfig(BaseModel):
    """A grid: every arm in every family, at every size.

    Attributes:
        reference: the arm against which all others are held.
        rivals: "package.module:Class" of the rivals' runner; needed where an arm has `rival`.
        latency: seconds that the server waits before each reply.
        limit_s: seconds after which a cell counts as failed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str = Field(pattern=r"^[\w-]+$")
    description: str = ""
    families: tuple[str, ...]
    sizes: tuple[Size, ...]
    held_out: int = Field(default=200, ge=10)
    arms: tuple[Arm, ...]
    reference: str
    rivals: str | None = None
    seed: int = 0
    latency: float = Field(default=0.0, ge=0.0)
    limit_s: int = Field(default=3600, ge=1)
    kind: Literal["lab"] = "lab"

    @model_validator(mode="after")
    def _names(self) -> Self:
        arms = [arm.name for arm in self.arms]
        if len(set(arms)) < len(arms):
            raise ValueError("two arms have one name")
        named = {self.reference, *(arm.baseline for arm in self.arms if arm.baseline)}
        if missing := sorted(named - set(arms)):
            raise ValueError(f"no arm is called {missing[0]!r}")
        if missing := sorted(set(self.families) - set(KNOWN)):
            raise ValueError(f"no family is called {missing[0]!r}; known: {sorted(KNOWN)}")
        if self.rivals is None and any(arm.rival for arm in self.arms):
            raise ValueError("an arm has a rival, and `rivals` names no runner")
        return self

    @property
    def run_id(self) -> str:
        """Of what all cells share. Arms, families and sizes can be added to a run that is there; see
        `sources.source_of`."""
        same = self.model_dump(mode="json", include={"name", "held_out", "seed", "latency", "kind"})
        return content_hash([same, registration()])[:16]


def load_bench(path: Path) -> BenchConfig:
    """Read and check a file.

    Raises:
        ConfigError: it is no YAML, or a key is wrong.
    """
    try:
        return BenchConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path.name} cannot be read: {error}", "See configs/bench/small.yaml.") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{path.name}: {where} {first['msg']}", "See configs/bench/small.yaml.") from None
