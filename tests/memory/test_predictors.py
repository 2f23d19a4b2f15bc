"""What the labelled examples alone predict, and how it is fused with the judge's answer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge_opt.memory.episodic import Episode, EpisodicMemory
from judge_opt.memory.fusion import Fusion, fit_fusion, held_out_fusion
from judge_opt.memory.predictors import fit_head, fit_vote, group_folds


def clusters(n=60, seed=0, spread=0.3):
    """Two labels, each with its own direction; two rows a group."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    centres = np.eye(2, 8)
    vectors = centres[labels] + spread * rng.normal(size=(n, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), labels.astype(np.int64), [f"g{i // 2}" for i in range(n)]


@given(st.lists(st.integers(0, 20), min_size=1, max_size=80), st.integers(2, 6), st.integers(0, 9))
def test_folds_never_cut_a_group_and_do_not_depend_on_the_order(numbers, n, seed):
    groups = [f"g{i}" for i in numbers]
    folds = group_folds(groups, n, seed)
    where = {}
    for group, fold in zip(groups, folds, strict=True):
        assert where.setdefault(group, fold) == fold
    turned = group_folds(groups[::-1], n, seed)
    assert dict(zip(groups[::-1], turned, strict=True)) == where


def test_held_out_predictions_find_a_pattern_and_are_distributions():
    vectors, labels, groups = clusters()
    for held in (fit_vote(vectors, labels, groups, 2)[1], fit_head(vectors, labels, groups, 2, 0)[1]):
        assert held.shape == (60, 2)
        assert held.sum(axis=1) == pytest.approx(np.ones(60))
        assert (held.argmax(axis=1) == labels).mean() > 0.9


def test_held_out_predictions_find_no_pattern_where_there_is_none():
    vectors, labels, groups = clusters(n=200)
    shuffled = np.random.default_rng(1).permutation(labels)
    for held in (fit_vote(vectors, shuffled, groups, 2)[1], fit_head(vectors, shuffled, groups, 2, 0)[1]):
        assert abs((held.argmax(axis=1) == shuffled).mean() - 0.5) < 0.12


def test_a_row_is_never_predicted_from_its_own_group():
    """Twins in one group with labels at random: a leak would make them all right."""
    rng = np.random.default_rng(0)
    base = rng.normal(size=(40, 8))
    vectors = np.repeat(base / np.linalg.norm(base, axis=1, keepdims=True), 2, axis=0).astype(np.float32)
    labels = np.repeat(rng.integers(0, 2, 40), 2).astype(np.int64)
    groups = [f"g{i // 2}" for i in range(80)]
    held = fit_vote(vectors, labels, groups, 2)[1]
    assert (held.argmax(axis=1) == labels).mean() < 0.75


def test_a_label_without_examples_gets_next_to_nothing():
    vectors, labels, groups = clusters()
    head, held = fit_head(vectors, labels, groups, 3, 0)
    assert held[:, 2].max() < 0.05
    assert head.of(vectors).argmax(axis=1).max() == 1


def test_fusion_gives_weight_to_the_source_that_knows():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200)
    knows = np.full((200, 2), 0.1)
    knows[np.arange(200), labels] = 0.9
    guesses = rng.dirichlet([1, 1], size=200)
    fusion = fit_fusion({"judge": guesses, "neighbours": knows}, labels)
    assert fusion.weights["neighbours"] > 5 * fusion.weights["judge"]
    assert (fusion.of({"judge": guesses, "neighbours": knows}).argmax(axis=1) == labels).mean() > 0.97


def test_fusion_corrects_a_judge_that_names_one_label_too_often():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    logits = np.stack([2.5 + np.zeros(300), 1.5 * (2 * labels - 1) + 0.5 * rng.normal(size=300)], axis=1)
    odds = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert (odds.argmax(axis=1) == labels).mean() < 0.6
    fused = held_out_fusion({"judge": odds}, labels, [str(i) for i in range(300)], 0)
    assert (fused.argmax(axis=1) == labels).mean() > 0.9


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000))
def test_fused_values_are_distributions(seed):
    rng = np.random.default_rng(seed)
    sources = {name: rng.dirichlet([0.3] * 3, size=12) for name in ("judge", "classifier")}
    fused = fit_fusion(sources, rng.integers(0, 3, 12)).of(sources)
    assert np.isfinite(fused).all()
    assert fused.sum(axis=1) == pytest.approx(np.ones(12))


def test_no_source_can_rule_a_label_out():
    sure = np.asarray([[1.0, 0.0]])
    assert (
        Fusion({"judge": 1.0, "classifier": 1.0}, (0.0, 0.0)).of({"judge": sure, "classifier": sure})[0, 1]
        > 0
    )


def memory(n=30):
    vectors, labels, groups = clusters(n)
    episodes = [
        Episode(f"e{i:02}", groups[i], {"outputs": f"text {i}"}, "ab"[labels[i]], {"ab"[labels[i]]: 1})
        for i in range(n)
    ]
    return EpisodicMemory(episodes, vectors, "test")


@given(st.integers(0, 29), st.integers(1, 12))
def test_nearest_leaves_the_group_out_and_is_sorted(i, k):
    store = memory()
    found = store.nearest(store.vectors[i], k, not_group=store.episodes[i].group)
    assert len(found) == min(k, 28)
    assert all(store.episodes[j].group != store.episodes[i].group for j, _ in found)
    assert [s for _, s in found] == sorted((s for _, s in found), reverse=True)
    exact = sorted(
        (
            float(store.vectors[i] @ store.vectors[j])
            for j in range(30)
            if store.episodes[j].group != store.episodes[i].group
        ),
        reverse=True,
    )
    assert [s for _, s in found] == pytest.approx(exact[: len(found)], abs=1e-4)


def test_nothing_is_shown_rather_than_something_irrelevant():
    store = memory()
    assert store.examples(np.zeros(8, dtype=np.float32), 3) == []


def test_examples_avoid_showing_the_same_thing_twice():
    one = np.asarray([1, 0, 0], dtype=np.float32)
    near = np.asarray([0.95, 0.31, 0], dtype=np.float32)
    vectors = np.stack([one, one, near])
    episodes = [Episode(str(i), str(i), {}, "a", {"a": 1}) for i in range(3)]
    found = EpisodicMemory(episodes, vectors, "t").examples(one, 2, diversity=0.5)
    assert {i for i, _ in found} == {0, 2}
