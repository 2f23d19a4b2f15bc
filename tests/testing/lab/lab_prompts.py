"""One content, written as requests in many forms. No form is any framework's own."""

import json
from dataclasses import dataclass

from judge_opt.testing.lab.draws import stream
from judge_opt.testing.lab.items import write_item
from judge_opt.testing.lab.lexicon import FEATURES, TOPICS

TASK = "Decide whether the reply is acceptable. The verdict is one of: fail, pass."


@dataclass(frozen=True)
class Content:
    """Rules, labelled items (item, label, reason), and the item to judge."""

    rules: tuple[str, ...]
    examples: tuple[tuple[str, str, str], ...]
    item: str


def item(number, *shown):
    rng = stream("item", number)
    return write_item(rng.choice(TOPICS), 10_000 + number, shown, 1, rng)


def content(number):
    """A content drawn at random: 2 rules, 3 examples with reasons, an item."""
    rng = stream("content", number)
    keys = sorted(FEATURES)

    def some():
        return tuple(k for k in keys if rng.random() < 0.35)

    examples = []
    for k in range(3):
        named = FEATURES[rng.choice(keys)]
        examples.append(
            (
                item(100 * number + k, *some()),
                rng.choice(("fail", "pass")),
                f"It {named.third[0]}, in my opinion.",
            )
        )
    one, two = rng.sample(keys, 2)
    rules = (
        f"Replies that {FEATURES[one].names[0]} should be rated {rng.choice(('higher', 'lower'))}.",
        f"If a reply {FEATURES[two].third[1]}, lean towards {rng.choice(('fail', 'pass'))}.",
    )
    return Content(rules, tuple(examples), item(100 * number + 99, *some()))


def _m(*turns):
    return [{"role": role, "content": text} for role, text in turns]


def chat(c):
    turns = [("system", TASK + "\n\nGuidelines:\n" + "\n".join(f"- {r}" for r in c.rules))]
    for text, label, reason in c.examples:
        turns += [("user", text), ("assistant", json.dumps({"reason": reason, "verdict": label}))]
    return _m(*turns, ("user", c.item))


def label_after(c):
    shown = "\n\n".join(f"Reply: {t}\nExpert label: {v}\nReason: {r}" for t, v, r in c.examples)
    rules = "\n".join(f"{k}. {r}" for k, r in enumerate(c.rules, 1))
    return _m(("user", f"{TASK}\n\n{shown}\n\nKeep to these:\n{rules}\n\nReply: {c.item}"))


def label_before(c):
    shown = "\n\n".join(f"Expert label: {v}\nReason: {r}\nReply: {t}" for t, v, r in c.examples)
    return _m(
        ("system", TASK + "\n" + " ".join(c.rules)), ("user", f"{shown}\n\nNow this one.\nReply: {c.item}")
    )


def tight_before(c):
    """No blank line, no heading: only the order says what belongs together."""
    shown = "\n".join(f"label: {v} ({r})\n{t}" for t, v, r in c.examples)
    return _m(("system", TASK + "\n" + "\n".join(c.rules)), ("user", f"{shown}\n{c.item}"))


def tight_after(c):
    shown = "\n".join(f"{t}\nlabel: {v} ({r})" for t, v, r in c.examples)
    return _m(("system", TASK + "\n" + "\n".join(c.rules)), ("user", f"{shown}\n{c.item}"))


def objects(c):
    rows = [{"verdict": v, "why": r, "reply": t} for t, v, r in c.examples]
    text = "\n".join(json.dumps(row, indent=2) for row in rows)
    rules = json.dumps({"guidelines": list(c.rules)})
    return _m(("system", f"{TASK}\n{rules}\n\n{text}"), ("user", json.dumps({"reply": c.item})))


def tags(c):
    rows = "\n".join(
        f"<example>\n<reply>{t}</reply>\n<verdict>{v}</verdict>\n<why>{r}</why>\n</example>"
        for t, v, r in c.examples
    )
    rules = "\n".join(f"<rule>{r}</rule>" for r in c.rules)
    return _m(("system", f"{TASK}\n{rows}\n{rules}"), ("user", f"<reply>\n{c.item}\n</reply>"))


def item_first(c):
    shown = "\n\n".join(f"Reply: {t}\nExpert label: {v}\nReason: {r}" for t, v, r in c.examples)
    rules = "\n".join(f"* {r}" for r in c.rules)
    return _m(("user", f"{TASK}\n\nTo judge:\n{c.item}\n\nExamples\n\n{shown}\n\n{rules}"))


def wrapped(c):
    """As `label_after`, with lines of 60 characters."""
    import textwrap

    text = label_after(c)[0]["content"]
    lines = [textwrap.fill(line, 60) if line else "" for line in text.split("\n")]
    return _m(("user", "\n".join(lines)))


def reordered(c):
    """The same content with examples and rules the other way round."""
    return chat(Content(c.rules[::-1], c.examples[::-1], c.item))


FORMS = (
    chat,
    label_after,
    label_before,
    tight_before,
    tight_after,
    objects,
    tags,
    item_first,
    wrapped,
    reordered,
)
