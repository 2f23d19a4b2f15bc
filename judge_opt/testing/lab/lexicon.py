"""The lab's language: features, how items show them, how people name them, and label sets.

It is what a model knows of language, so worlds and server share it. It says nothing about any policy.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Feature:
    """Something that an item shows or does not show.

    Attributes:
        key: its name in code; occurs in no text.
        taste: what the model thinks of it by itself, in [-1, 1].
        names: verb phrases in the infinitive, each another wording of the same ("name a date").
        sentences: what an item that shows it says; one of them.
    """

    key: str
    taste: float
    names: tuple[str, ...]
    sentences: tuple[str, ...]

    @property
    def third(self) -> tuple[str, ...]:
        """ "names a date"."""
        return tuple(_first(name, _third) for name in self.names)

    @property
    def gerund(self) -> tuple[str, ...]:
        """ "naming a date"."""
        return tuple(_first(name, _gerund) for name in self.names)


def _first(name: str, inflect: Callable[[str], str]) -> str:
    verb, _, rest = name.partition(" ")
    return f"{inflect(verb)} {rest}".strip()


def _third(verb: str) -> str:
    return verb + ("es" if verb.endswith("s") else "s")


def _gerund(verb: str) -> str:
    return (verb[:-1] if verb.endswith("e") else verb) + "ing"


FEATURES = {
    feature.key: feature
    for feature in (
        Feature(
            "date",
            0.3,
            ("name a date", "give a day"),
            (
                "We will have this done by Thursday.",
                "You can count on it on 14 March.",
                "Expect it no later than Monday morning.",
            ),
        ),
        Feature(
            "apology",
            0.8,
            ("apologise", "express regret"),
            (
                "We are sorry for the trouble.",
                "Please accept our apologies.",
                "This should not have happened, and we regret it.",
            ),
        ),
        Feature(
            "thanks",
            0.9,
            ("thank the customer", "show gratitude"),
            (
                "Thank you for your patience.",
                "We appreciate that you wrote to us.",
                "Many thanks for getting in touch.",
            ),
        ),
        Feature(
            "blame",
            -0.8,
            ("blame the customer", "place the fault on the customer"),
            (
                "You must have entered it wrongly.",
                "It came about because you skipped a step.",
                "The mistake was on your side.",
            ),
        ),
        Feature(
            "link",
            0.4,
            ("link to a help page", "point to documentation"),
            (
                "The steps are on help dot example dot com.",
                "Our guide on the website covers it.",
                "See the manual for details.",
            ),
        ),
        Feature(
            "compensation",
            0.6,
            ("offer compensation", "promise money back"),
            (
                "We will credit ten euros to your account.",
                "You will receive the full price again.",
                "We have added a voucher for the inconvenience.",
            ),
        ),
        Feature(
            "jargon",
            -0.5,
            ("use technical jargon", "contain technical terms"),
            (
                "The OAuth token expired during the handshake.",
                "Our cron daemon missed the webhook.",
                "A null pointer in the middleware caused it.",
            ),
        ),
        Feature(
            "question",
            0.2,
            ("ask for more details", "request further information"),
            (
                "Could you send us the order number?",
                "Which browser do you use?",
                "Please tell us when it began.",
            ),
        ),
        Feature(
            "advertising",
            -0.6,
            ("advertise another product", "promote an upgrade"),
            (
                "Have you seen our premium plan?",
                "Our new model is on sale this week.",
                "The larger version would give you much more.",
            ),
        ),
        Feature(
            "escalation",
            0.4,
            ("escalate the case", "hand the case to a specialist"),
            (
                "I have passed this to our engineers.",
                "A senior colleague will take over.",
                "Our expert team now has your file.",
            ),
        ),
        Feature(
            "steps",
            0.7,
            ("list concrete steps", "explain what to do"),
            (
                "First sign out, then sign in again.",
                "Open the settings and press reset.",
                "Unplug it, wait a minute, and plug it in.",
            ),
        ),
        Feature(
            "vagueness",
            -0.4,
            ("remain vague", "make no commitment"),
            (
                "We will look into it at some point.",
                "It may or may not change.",
                "Someone will probably see to it.",
            ),
        ),
    )
}

TOPICS = ("refund", "parcel", "login", "invoice", "coupon", "warranty", "address", "password", "delivery")

OPENER = "Regarding your {topic}, case {number}:"
"""Begins each item's reply, so that two items never run into each other."""

QUESTIONS = (
    "My {topic} does not work, what now?",
    "Can you help me with my {topic}?",
    "There is a problem with my {topic} again.",
)

NUISANCE = (
    "Your file is open.",
    "Our office is open on weekdays.",
    "The weather has been mild.",
    "You reached the second floor team.",
    "Our records go back ten years.",
    "The call was logged.",
)

LABEL_SETS: tuple[tuple[str, ...], ...] = (
    ("fail", "pass"),
    ("bad", "good"),
    ("no", "yes"),
    ("false", "true"),
    ("unacceptable", "acceptable"),
    ("poor", "fair", "good", "excellent"),
    ("terrible", "poor", "fair", "good", "excellent"),
)
"""Worst first."""

LABELS = tuple(sorted({label for labels in LABEL_SETS for label in labels}))


def goodness(label: str, labels: tuple[str, ...]) -> float:
    """A label's place in its set: -1 for the worst, 1 for the best."""
    return 2.0 * labels.index(label) / (len(labels) - 1) - 1.0
