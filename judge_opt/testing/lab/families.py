"""Families of worlds in which optimizers are compared, and the comparison's protocol: registered beforehand.

All of it is frozen. Its hash stands in docs/lab.md and was written there before any optimizer was run in these
worlds; a test compares the two. Whoever changes something here makes another comparison: raise
`parameters.VERSION`, write the new hash down, and run everything again.
"""

from dataclasses import asdict, dataclass, field, replace

from judge_opt.core.hashing import content_hash
from judge_opt.testing.lab.lexicon import FEATURES
from judge_opt.testing.lab.parameters import (
    VERSION,
    JudgeParameters,
    Parameters,
    ReflectionParameters,
    WorldParameters,
)
from judge_opt.testing.lab.world import World

_MODEL = Parameters(fresh_repeats=True, reflection=ReflectionParameters(guess=0.7))
"""Guesses are on: an optimizer that shows its reflection model three records without reasons gets something."""


@dataclass(frozen=True, slots=True)
class Family:
    """Worlds of one kind.

    Attributes:
        name: for tables.
        shows: what it is there for.
        first_seed: of its first world; families share no seed.
        world: their parameters.
        model: the served model's traits.
        perfect: the control whose judge is each world's own policy.
    """

    name: str
    shows: str
    first_seed: int
    world: WorldParameters
    model: Parameters = field(default=_MODEL)
    perfect: bool = False

    def worlds(self, count: int) -> list[World]:
        """The first `count` worlds, always the same."""
        return [World(self.first_seed + k, self.world) for k in range(count)]

    def served(self, world: World) -> Parameters:
        """Parameters of the server for one of its worlds."""
        return replace(self.model, judge=world.perfect()) if self.perfect else self.model


FAMILIES = {
    family.name: family
    for family in (
        Family(
            "easy",
            "few criteria, clear cases, careful raters",
            12_000,
            WorldParameters(features=6, decisive=3, interactions=0, difficulty=0.3, label_noise=0.02, honest=0.85,
                            vague=0.1),
        ),
        Family(
            "noisy raters",
            "three raters of different severity who err, and whose reasons are often vague or wrong",
            20_000,
            WorldParameters(raters=3, rater_bias=0.5, rater_noise=0.5, label_noise=0.1, honest=0.6, vague=0.25),
        ),
        Family(
            "many criteria",
            "nine criteria of twelve features, with interactions: more than a judge follows reliably",
            30_000,
            WorldParameters(features=12, decisive=9, interactions=3),
        ),
    )
}  # fmt: skip
"""The three families of the main comparison."""

CONTROLS = {
    family.name: family
    for family in (
        Family(
            "ignores guidelines",
            "a judge that follows no rule: what is gained comes from examples or from the answers",
            40_000,
            WorldParameters(),
            replace(_MODEL, judge=JudgeParameters(follow=0.0)),
        ),
        Family(
            "ignores the prompt",
            "a judge that follows neither rules nor examples: whoever gains by the prompt is measured wrongly",
            41_000,
            WorldParameters(),
            replace(_MODEL, judge=JudgeParameters(follow=0.0, example_pull=0.0)),
        ),
        Family(
            "perfect judge", "nothing can be gained: a test of harm", 42_000, WorldParameters(), perfect=True
        ),
        Family(
            "words alone",
            "an embedding model that sees words and no meaning: nearness tells little",
            48_000,
            WorldParameters(),
            replace(_MODEL, meaning=0.0),
        ),
        Family("no rationales", "labels alone", 43_000, WorldParameters(rationales=0.0)),
        Family(
            "two groups",
            "one rater in three holds the opposite view on most of what counts",
            44_000,
            WorldParameters(raters=3, group_difference=0.6),
        ),
        Family(
            "drift",
            "the older half of the labels was given when half of the criteria counted the other way",
            45_000,
            WorldParameters(drift=0.5),
        ),
        Family(
            "ordinal", "four ordered labels", 46_000,
            WorldParameters(labels=("poor", "fair", "good", "excellent")),
        ),
        Family(
            "injections",
            "one item in five demands a verdict, and the judge obeys half of them",
            47_000,
            WorldParameters(injections=0.2),
            replace(_MODEL, judge=JudgeParameters(obey=0.5)),
        ),
    )
}  # fmt: skip
"""Worlds in which something is known beforehand of what must, or must not, happen."""

TRIAL = Family("trial", "default worlds to try things in; no part of the comparison", 1, WorldParameters())

PROTOCOL = {
    "labels": [10, 20, 50, 200],
    "worlds": {"10": 20, "20": 20, "50": 50, "200": 20},
    "held_out": 200,
    "metric": "Cohen's kappa with the policy's own label on held-out rows, quadratic weights where ordered; "
    "a row without a verdict counts as a wrong one in a second figure beside it",
    "primary": "mean kappa of judge_opt's default against each rival at 50 labels, in each family",
    "interval": "paired percentile bootstrap over worlds, 95 %, 10000 resamples, Holm over rivals",
    "unsettled": "a difference whose interval holds zero is called unsettled",
    "harm": "worlds in which the aligned judge is worse than the untouched one by more than 0.05",
    "seeds": {"labels": 0, "held_out": 0, "optimizer": 0},
    "temperature": "rivals as they come; unset is 0",
}
"""What is run and how it is counted."""


def registration() -> str:
    """SHA-256 of families, controls, protocol, lexicon and version."""
    families = [
        {**asdict(family), "kind": kind}
        for kind, some in (("family", FAMILIES), ("control", CONTROLS))
        for family in some.values()
    ]
    lexicon = [asdict(feature) for feature in FEATURES.values()]
    return content_hash([VERSION, families, PROTOCOL, lexicon])
