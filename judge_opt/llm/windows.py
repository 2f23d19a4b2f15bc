"""A text in parts that an embedding model reads whole.

An embedding model silently drops what is past its window (256 tokens in MiniLM). So a long text is cut here
first, at white space and into parts of about the same length, and whoever embeds the parts knows how many
there were.
"""

import itertools
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

_SPARE = 8
"""Tokens left free: the two marks, and what a cut in mid-word may add."""


class TokenWindow:
    """The window of a model in a folder, counted with its own tokenizer (which does not import torch).

    Args:
        folder: of a sentence-transformers model.
        default: tokens, where the folder does not say.
    """

    def __init__(self, folder: Path, default: int = 256) -> None:
        self.folder = folder
        self.default = default

    @cached_property
    def tokens(self) -> int:
        """Tokens that the model reads."""
        for name, field in (
            ("sentence_bert_config.json", "max_seq_length"),
            ("tokenizer_config.json", "model_max_length"),
        ):
            file = self.folder / name
            found = json.loads(file.read_text("utf-8")).get(field) if file.is_file() else None
            if isinstance(found, int) and 16 <= found <= 1_000_000:
                return found
        return self.default

    def pieces(self, text: str) -> list[str]:
        """The text in parts of at most `tokens` tokens; itself, alone, where it fits."""
        room = self.tokens - _SPARE
        if len(text.encode("utf-8", "replace")) <= room:  # a token is at least one byte
            return [text]
        if self._tokenizer is None:
            return split_evenly(text, range(len(text)), 3 * room)
        encoded = self._tokenizer.encode(text.encode("utf-8", "replace").decode(), add_special_tokens=False)
        return split_evenly(text, [start for start, _ in encoded.offsets], room)

    @cached_property
    def _tokenizer(self) -> Any:
        file = self.folder / "tokenizer.json"
        if not file.is_file():
            return None
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(file))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer


def split_evenly(text: str, starts: Sequence[int], most: int) -> list[str]:
    """`text` cut into the fewest parts of at most `most` units each, as even as white space allows.

    Args:
        starts: where each unit (a token, a character) begins in the text, in order.
    """
    n_parts = -(-len(starts) // most)
    if n_parts <= 1:
        return [text]
    cuts, begin = [0], 0
    while len(starts) - begin > most:
        even = -(-(len(starts) - begin) // -(-(len(starts) - begin) // most))
        end = begin + min(even, most)
        # Back to the last white space, but by no more than a quarter of a part: some scripts have none.
        for place in range(end, begin + max(1, 3 * (end - begin) // 4), -1):
            if starts[place] > 0 and text[starts[place] - 1].isspace():
                end = place
                break
        cuts.append(starts[end])
        begin = end
    cuts.append(len(text))
    parts = [text[a:b].strip() for a, b in itertools.pairwise(cuts)]
    return [part for part in parts if part]
