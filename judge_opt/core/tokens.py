"""How many tokens a text is, estimated without a tokenizer: one measure for budgets and for views."""

CHARS_PER_TOKEN = 3
"""Low on purpose for English text (about four), so that what is estimated to fit does fit."""


def estimate_tokens(text: str) -> int:
    """An estimate that errs on the high side for English and for JSON, at least 0."""
    return -(-len(text) // CHARS_PER_TOKEN)


def characters(tokens: int) -> int:
    """The longest text that `estimate_tokens` takes for `tokens`, in characters."""
    return tokens * CHARS_PER_TOKEN
