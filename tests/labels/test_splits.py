import json
import time
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from judge_opt.core.errors import DataError, IntegrityError, LeakageError, UsageError
from judge_opt.labels import LabelledExample, Split, Vote, check_no_leakage, make_split
from judge_opt.labels.near_duplicates import THRESHOLD, near_duplicate_links, words

WORDS = [
    "the",
    "a",
    "fast",
    "slow",
    "red",
    "blue",
    "cat",
    "dog",
    "runs",
    "sleeps",
    "on",
    "under",
    "big",
    "small",
    "tree",
    "house",
]


def example(item, gold=True, text=None, group=None, outputs="yes"):
    votes = (Vote("ana", gold),) if gold is not None else (Vote("ana", True), Vote("bo", False))
    fields = {"inputs": {"text": f"item {item}" if text is None else text}, "outputs": outputs}
    return LabelledExample(str(item), str(item if group is None else group), fields, votes)


def plain(count, classes=2, **more):
    return [example(n, n % classes == 0, **more) for n in range(count)]


texts = st.lists(st.sampled_from(WORDS), min_size=0, max_size=25).map(" ".join)
pools = st.lists(
    st.tuples(texts, st.integers(0, 30), st.sampled_from([True, False, None]), texts),
    min_size=10,
    max_size=40,
).map(lambda rows: [example(n, gold, text, group, out) for n, (text, group, gold, out) in enumerate(rows)])


def jaccard(one, other):
    def shingles(e):
        found = words(dict(e.fields))
        return {tuple(found[n : n + 3]) for n in range(max(1, len(found) - 2))}

    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)


@settings(max_examples=150, deadline=None)
@given(pools, st.integers(-3, 3), st.booleans(), st.randoms(use_true_random=False))
def test_no_group_and_no_near_duplicate_stands_on_two_sides(examples, seed, stratify, random):
    options = {"train": 0.4, "valid": 0.2, "test": 0.4, "seed": seed, "stratify": stratify}
    try:
        split = make_split(examples, **options)
    except DataError:
        assume(False)
    shuffled = random.sample(examples, len(examples))
    assert make_split(shuffled, **options) == split
    sides = split.select(shuffled, unchanged=True)
    assert all(one.gold is not None for side in sides for one in side)
    usable = sum(one.gold is not None for one in examples)
    assert sum(map(len, sides)) + split.unused == usable
    assert split.contested == len(examples) - usable
    assert len(sides[0]) <= 0.4 * usable
    for n, side in enumerate(sides):
        for other in sides[n + 1 :]:
            check_no_leakage(side, other)
            for one in side:
                for two in other:
                    assert one.group != two.group
                    assert jaccard(one, two) < THRESHOLD
    assert Split.from_json(json.loads(json.dumps(split.to_json()))) == split


@settings(max_examples=200, deadline=None)
@given(pools)
def test_the_links_connect_exactly_what_brute_force_connects(examples):
    def connected(pairs):
        parent = list(range(len(examples)))

        def find(n):
            while parent[n] != n:
                n = parent[n]
            return n

        for a, b in pairs:
            parent[find(a)] = find(b)
        return [[find(a) == find(b) for b in range(len(examples))] for a in range(len(examples))]

    def same_outputs(a, b):
        mine, other = (words(one.fields["outputs"]) for one in (a, b))
        return mine == other and len(mine) >= 5

    brute = [
        (i, j)
        for i, a in enumerate(examples)
        for j, b in enumerate(examples[:i])
        if jaccard(a, b) >= THRESHOLD or same_outputs(a, b)
    ]
    assert connected(near_duplicate_links(examples)) == connected(brute)


def test_twins_in_writing_are_one_item():
    text = "Caf\u00e9 menus, which are long enough to matter, cost 10 euros."
    twins = [text, unicodedata.normalize("NFD", text), text.upper(), f"  {text.replace(' ', chr(10))}!!"]
    examples = [example(n, text=twin) for n, twin in enumerate(twins)] + [example("other", text="x y z")]
    assert len(near_duplicate_links(examples)) == 3
    assert (
        near_duplicate_links([example(n, text=text) for n, text in enumerate(["\u732b", "\u72ac", "!", "?"])])
        == []
    )


def test_the_same_long_output_is_one_item_but_the_same_short_one_is_not():
    story = "Once upon a time there was a judge."
    assert len(near_duplicate_links([example(n, outputs=story) for n in range(4)])) == 3
    assert near_duplicate_links(plain(4, outputs="Yes, it is.")) == []


def test_labels_are_spread_evenly_and_sizes_are_kept():
    examples = [example(n, n % 10 == 0) for n in range(200)]
    split = make_split(examples, train=50, valid=30, test=100)
    sides = split.select(examples)
    assert [len(side) for side in sides] == [50, 30, 100]
    assert [sum(one.gold for one in side) for side in sides] == [5, 3, 10]
    assert split.unused == 20


def test_whole_groups_come_as_near_as_they_can_and_train_never_exceeds():
    examples = [example(n, n % 2 == 0, group=n // 12) for n in range(660)]
    split = make_split(examples, train=50, test=202, group_key="inputs.article")
    assert (len(split.train), len(split.test)) == (48, 204)
    assert split.group_key == "inputs.article"


def test_seeds_differ_and_zero_is_a_seed():
    examples = plain(60)
    assert len({make_split(examples, train=20, test=20, seed=seed).train for seed in (0, 1, 42, -1)}) == 4
    assert make_split(examples, train=20, test=20) == make_split(examples, train=20, test=20, seed=0)


def test_shares_that_sum_to_one_use_every_row():
    assert make_split(plain(33), train=0.5, valid=0.2, test=0.3).unused == 0


def test_numbers_and_texts_can_be_split_too():
    numbers = [
        LabelledExample(str(n), str(n), {"inputs": f"item {n}"}, (Vote("a", n / 7),)) for n in range(100)
    ]
    split = make_split(numbers, train=50, test=50)
    assert abs(sum(one.gold for one in split.select(numbers)[0]) / 50 - 99 / 14) < 1
    texts = [
        LabelledExample(str(n), str(n), {"inputs": f"item {n}"}, (Vote("a", f"t{n}"),)) for n in range(100)
    ]
    assert len(make_split(texts, train=50, test=50).train) == 50


@pytest.mark.parametrize(
    ("examples", "sizes", "message"),
    [
        (plain(3), {"train": 1, "test": 1}, "3 labels only: a split needs at least 10. Label more items."),
        (
            [*plain(4), *(example(f"c{n}", None) for n in range(7))],
            {"train": 1, "test": 1},
            r"4 labels only \(7 more are contested: their raters tie\)",
        ),
        (
            plain(20),
            {"train": 20, "test": 5},
            "No held-out rows left: train=20 and valid=0 take all 20 usable",
        ),
        (plain(20), {"train": 15, "test": 10}, "train=15, valid=0 and test=10 ask for 25 rows, but only 20"),
        (
            plain(20, group="one"),
            {"train": 5, "test": 5},
            "There are no training rows: the 20 usable rows make 1 gr",
        ),
        (plain(20), {"train": 5, "test": 0.01}, "test=0.01 of 20 rows is no row. Ask for a larger share."),
        (
            plain(20, classes=1),
            {"train": 5, "test": 5},
            "All 5 training rows have the one label True.*another class",
        ),
        ([*plain(12), example(3)], {"train": 5, "test": 5}, "The id '3' is there twice"),
    ],
)
def test_what_cannot_be_split_is_said(examples, sizes, message):
    with pytest.raises(DataError, match=message):
        make_split(examples, **sizes)


@pytest.mark.parametrize(
    "sizes",
    [
        {"train": 0, "test": 5},
        {"train": 1.5, "test": 5},
        {"train": True, "test": 5},
        {"train": -1, "test": 5},
        {"train": 5, "test": "5"},
    ],
)
def test_a_wrong_size_is_a_usage_error(sizes):
    with pytest.raises(UsageError, match="is no size"):
        make_split(plain(20), **sizes)


def test_leakage_is_refused_with_the_ids():
    text = " ".join(f"word{n}" for n in range(60))
    train = [example("a", group="g"), example("b", text=text), example("c")]
    with pytest.raises(LeakageError, match=r"1 test rows share an item with the training rows: 'a' and 'a'"):
        check_no_leakage(train, [example("a", group="h")])
    with pytest.raises(LeakageError, match=r"share a group with the training rows: 'a' and 'd'"):
        check_no_leakage(train, [example("d", group="g")])
    with pytest.raises(
        LeakageError, match=r"near-duplicate with the training rows: 'b' and 'e'. Split with make_"
    ):
        check_no_leakage(train, [example("e", text=f"{text} end")])
    check_no_leakage(train, [example("f")])


def test_a_changed_split_is_refused(tmp_path):
    examples = plain(30)
    split = make_split(examples, train=10, test=10)
    split.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json") == split
    data = json.loads((tmp_path / "split.json").read_text())
    data["train"], data["test"] = data["test"], data["train"]
    (tmp_path / "split.json").write_text(json.dumps(data))
    with pytest.raises(IntegrityError, match=r"split.json does not match its hash"):
        Split.load(tmp_path / "split.json")
    for broken, message in (
        ("{", "is not JSON"),
        ("{}", "no split of schema 1"),
        ('{"schema": 1}', "is no split"),
    ):
        (tmp_path / "split.json").write_text(broken)
        with pytest.raises(IntegrityError, match=message):
            Split.load(tmp_path / "split.json")
    with pytest.raises(DataError, match="Cannot read the split"):
        Split.load(tmp_path / "none.json")


def test_select_notices_missing_and_changed_examples():
    examples = plain(30)
    split = make_split(examples, train=10, test=10)
    with pytest.raises(DataError, match=f"the first: {split.train[0]!r}"):
        split.select([one for one in examples if one.id != split.train[0]])
    changed = [example(one.id, one.gold, "new") if one.id == split.test[0] else one for one in examples]
    assert split.select(changed)
    with pytest.raises(IntegrityError, match="changed after they were split"):
        split.select(changed, unchanged=True)


def test_ten_thousand_rows_take_seconds():
    boilerplate = " ".join(f"rule{n}" for n in range(120))
    examples = [
        example(n, n % 2 == 0, text=f"{boilerplate} " + " ".join(f"w{n * k % 7919}" for k in range(3, 60)))
        for n in range(10_000)
    ]
    start = time.process_time()
    make_split(examples, train=1000, test=1000)
    assert time.process_time() - start < 20


def test_a_split_that_is_far_from_what_was_asked_for_is_told(caplog):
    rows = [
        LabelledExample(
            f"i{n:02}", "all" if n < 34 else f"g{n}", {"outputs": f"{n * 7919}"}, (Vote("ana", bool(n % 2)),)
        )
        for n in range(40)
    ]
    make_split(rows, train=0.5, test=0.5, stratify=False)
    assert "The split is far from what was asked for: train" in caplog.text
    caplog.clear()
    make_split([replace(one, group=one.id) for one in rows], train=0.5, test=0.5)
    assert caplog.text == ""
