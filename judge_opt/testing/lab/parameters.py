"""Every number of the lab, in one place.

These values are FROZEN BEFORE RESULTS ARE LOOKED AT. They were set once, from published orders of magnitude
(a few percent of flips at temperature 0, guidelines followed more often than not, reliability that falls
with their number), and not tuned towards any optimizer. A study that varies them says so and reports the
whole sweep. Whoever changes a default here changes every figure that was ever measured with it: raise
`VERSION`, and measure again. Traits that came later are off by default, so that old figures stand.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from judge_opt.testing.lab.embedding import MEANING
from judge_opt.testing.lab.policy import Policy

VERSION = 1


@dataclass(frozen=True, slots=True)
class WorldParameters:
    """What a world is made of. Rates and shares are in [0, 1].

    Attributes:
        labels: the label set, worst first: one of `lexicon.LABEL_SETS`.
        features: features that items of this world may show.
        decisive: of these, how many the expert's policy weighs.
        interactions: pairs of decisive features that count for more together than alone.
        agreement: probability that the policy's sign on a feature is the model's own taste.
        presence: probability that an item shows a feature.
        difficulty: share of the border region that is kept: 0 leaves only clear cases, 1 leaves all.
        raters: people who label each item.
        rater_bias: standard deviation of a rater's severity, on the policy's score scale.
        rater_noise: standard deviation of a rater's error on one item, on the same scale.
        label_noise: probability that a label is replaced by another one at random.
        rationales: probability that a rater gives a reason.
        honest: of the reasons, the share that names what decided.
        vague: of the reasons, the share that names nothing. The rest names what did not decide.
        nuisance: sentences of no meaning in an item, at most.
        group_difference: share of the decisive features on which every third rater, beginning with the second,
            holds the opposite view: two groups that disagree. The truth is the larger group's.
        drift: share of the labelled rows, the first ones, that were labelled when half of the decisive
            features counted the other way. The truth is what counts now.
        injections: share of the items that hold an instruction to give a certain label, drawn at random.
    """

    labels: tuple[str, ...] = ("fail", "pass")
    features: int = 8
    decisive: int = 5
    interactions: int = 1
    agreement: float = 0.5
    presence: float = 0.4
    difficulty: float = 0.7
    raters: int = 1
    rater_bias: float = 0.15
    rater_noise: float = 0.15
    label_noise: float = 0.05
    rationales: float = 1.0
    honest: float = 0.75
    vague: float = 0.15
    nuisance: int = 2
    group_difference: float = 0.0
    drift: float = 0.0
    injections: float = 0.0


@dataclass(frozen=True, slots=True)
class JudgeParameters:
    """How the judge persona behaves. A property of the model, never of a world.

    Attributes:
        taste: replaces the lexicon's taste of features; None keeps it.
        policy: judges by this policy itself and by nothing else: the control "a perfect judge".
        miss: probability that a feature of an item is overlooked; fixed for an item and a feature.
        false_alarm: probability that a feature is seen that is not there.
        follow: probability that a rule is applied to an item, up to `attention` rules; 0 is the control "a
            judge that ignores guidelines".
        attention: rules that are followed with full reliability.
        dilution: factor on `follow` for each rule beyond `attention`.
        rule_weight: pull of a rule; the taste for a feature is in [-1, 1].
        contrast: pull of a rule whose condition does not hold, in the other direction.
        taste_kept: factor on the taste for features that no rule names, once rules are shown.
        example_pull: most that examples together can move the score.
        example_focus: exponent on similarity; large means that only near examples count.
        example_floor: similarity below which an example does not count at all.
        reason_weight: pull of an expert's reason in an example, as a share of a rule's.
        width: width of a label on the score scale; small means sure verdicts.
        step: distance between two neighbouring labels' centres on the score scale.
        noise: standard deviation of the score's noise at any temperature, drawn anew for another prompt.
        malformed: probability of a reply that holds no verdict.
        obey: probability that an instruction inside the item under judgement is followed.
        lost_in_middle: share of a rule's reliability that is lost in the middle of the rules; none at either
            end.
        late_examples: weight of the last example above that of the first, as a share of the mean weight.
        recency: probability that of two rules with the same condition and opposite effect only the later one
            counts; else both do, and cancel.
        flip: probability that a request that is asked again gets another label, at any temperature.
    """

    taste: Mapping[str, float] | None = None
    policy: Policy | None = None
    miss: float = 0.08
    false_alarm: float = 0.01
    follow: float = 0.88
    attention: int = 6
    dilution: float = 0.96
    rule_weight: float = 1.0
    contrast: float = 0.6
    taste_kept: float = 0.3
    example_pull: float = 1.2
    example_focus: float = 4.0
    example_floor: float = 0.25
    reason_weight: float = 0.2
    width: float = 0.6
    step: float = 1.0
    noise: float = 0.15
    malformed: float = 0.0
    obey: float = 0.0
    lost_in_middle: float = 0.0
    late_examples: float = 0.0
    recency: float = 0.0
    flip: float = 0.0


@dataclass(frozen=True, slots=True)
class ReflectionParameters:
    """How the reflection persona behaves.

    Attributes:
        comprehend: probability that a stated reason is understood, up to `attention` records.
        attention: records of one request that are read with full attention; the rest share it.
        association: least difference of mean label (labels in [-1, 1]) between records with and without a
            feature from which a rule is made where no reason says so.
        support: least records on each side of that difference.
        flip: probability that a rule's direction comes out reversed.
        specific: probability that a rule is narrowed by a further condition that does not belong to it.
        hallucinated: probability that a rule about nothing that was shown is added.
        forget: probability that a rule of an instruction that is rewritten is lost.
        rules: rules written where the request does not say how many.
        guess: probability that, where nothing else was found, a rule is guessed from one feature and the label
            of one record, one that the model got wrong if there is one: what can be had from few records
            without reasons.
    """

    comprehend: float = 0.7
    attention: int = 25
    association: float = 0.5
    support: int = 4
    flip: float = 0.05
    specific: float = 0.1
    hallucinated: float = 0.2
    forget: float = 0.05
    rules: int = 8
    guess: float = 0.0


@dataclass(frozen=True, slots=True)
class AgentParameters:
    """How the agent persona behaves.

    Attributes:
        follow: probability that it does what it is told, for one feature and one request.
        habit: probability that it shows a feature of which it is told nothing; a little more or less by the
            model's taste.
        attention: instructions that are followed with full reliability.
        dilution: factor on `follow` for each further one.
        nuisance: sentences of no meaning in an output, at most.
    """

    follow: float = 0.85
    habit: float = 0.4
    attention: int = 6
    dilution: float = 0.96
    nuisance: int = 2


@dataclass(frozen=True, slots=True)
class Parameters:
    """The model's personas.

    Attributes:
        seed: of the model; the same request to the same seed has the same reply.
        latency: seconds before each reply.
        fresh_repeats: above temperature 0 the same request, asked again, is drawn again; by default it has
            the same reply, so that a run is repeatable whatever its order.
        context: tokens of a request that are read; of a longer one the middle is lost. 0: all are.
        meaning: what the embedding model knows of features, beside words; 0: nothing.
    """

    seed: int = 0
    judge: JudgeParameters = field(default_factory=JudgeParameters)
    reflection: ReflectionParameters = field(default_factory=ReflectionParameters)
    latency: float = 0.0
    fresh_repeats: bool = False
    agent: AgentParameters = field(default_factory=AgentParameters)
    context: int = 0
    meaning: float = MEANING
