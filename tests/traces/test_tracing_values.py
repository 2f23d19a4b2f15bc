"""Any value can be recorded: as JSON, bounded, without disturbing the traced function."""

import collections
import dataclasses
import datetime
import decimal
import enum
import json
import pathlib
import uuid

import dspy
import numpy as np
import pandas as pd
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge_opt.traces.as_json import Limits, as_json
from judge_opt.traces.json_text import dump_json


def plain(value, **limits):
    return as_json(value, Limits(**limits)).value


@dataclasses.dataclass
class Point:
    x: int
    secret: str = dataclasses.field(default="s", repr=False)


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    point: Point
    when: datetime.date


class Colour(enum.Enum):
    RED = "red"


Pair = collections.namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ({"a": (1, 2.5, None, True)}, {"a": [1, 2.5, None, True]}),
        ({1: "a", "1": "b", None: "c", Colour.RED: "d"}, {"1": "a", "1 (str)": "b", "None": "c", "red": "d"}),
        (Point(1), {"x": 1}),
        (
            Model(point=Point(2), when=datetime.date(2026, 1, 2), more=3),
            {"point": {"x": 2}, "when": "2026-01-02", "more": 3},
        ),
        (Pair(1, {2}), {"a": 1, "b": [2]}),
        (Colour.RED, "red"),
        (float("nan"), "nan"),
        ([float("inf")], ["inf"]),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=1), str(uuid.UUID(int=1))),
        (pathlib.PurePosixPath("a/b"), "a/b"),
        (b"12345", "<5 bytes>"),
        (10**5000, "<int of 16610 bits>"),
        (ValueError("x"), {"type": "ValueError", "message": "x"}),
        (np.float64(1.5), 1.5),
        (np.int32(3), 3),
        (np.bool_(True), True),
        (np.arange(3), [0, 1, 2]),
        (np.zeros((50, 4), dtype=np.float32), {"type": "ndarray", "shape": [50, 4], "dtype": "float32"}),
        (
            pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}),
            {
                "type": "DataFrame",
                "shape": [2, 2],
                "columns": ["a", "b"],
                "head": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}],
            },
        ),
        (dspy.Prediction(answer="yes", score=1), {"answer": "yes", "score": 1}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_known_types(value, wanted):
    assert plain(value) == wanted
    dump_json(plain(value), "x")


def test_objects_by_a_repr_without_addresses():
    assert plain(object()) == "<object object>"
    assert plain(lambda: 1).startswith("<function ")
    assert "0x" not in plain([object(), print])[0]


class Hostile:
    """Raises wherever it is touched."""

    def __repr__(self):
        raise RuntimeError("no repr")

    def __getattr__(self, name):
        raise RuntimeError(name)


class LyingMapping(collections.abc.Mapping):
    def __len__(self):
        raise OSError("gone")

    def __iter__(self):
        raise OSError("gone")

    def __getitem__(self, key):
        raise OSError("gone")


class Endless(collections.abc.Mapping):
    def __len__(self):
        return 3

    def __iter__(self):
        n = 0
        while True:
            yield str(n)
            n += 1

    def __getitem__(self, key):
        return key


@pytest.mark.parametrize(
    "value", [Hostile(), {"a": Hostile()}, LyingMapping(), Endless()], ids=["1", "2", "3", "4"]
)
def test_hostile_objects_do_no_harm(value):
    dump_json(plain(value, items=50), "x")


def test_cycles_and_depth_end():
    loop = {"a": 1}
    loop["self"] = loop
    assert plain(loop) == {"a": 1, "self": "<dict again>"}
    twice = [1]
    assert plain([twice, twice]) == [[1], [1]]
    deep = []
    for _ in range(100_000):
        deep = [deep]
    recorded = as_json(deep, Limits(depth=5))
    assert recorded.value == [[[[["<list nested too deeply>"]]]]]
    assert recorded.cuts == [{"path": "0.0.0.0.0", "kept": 0, "of": 1}]


def test_many_cuts_are_counted():
    recorded = as_json(["ab"] * 50, Limits(characters=10))
    assert len(recorded.cuts) == 20
    assert recorded.cuts[-1]["further_cuts"] == 45 - 19
    assert "".join(recorded.value) == "ab" * 5


def test_a_huge_value_stays_within_the_limits():
    recorded = as_json({"rows": [["x" * 1000] * 100] * 300}, Limits(characters=50_000, values=1_000))
    assert len(json.dumps(recorded.value)) < 70_000
    assert recorded.cuts


LEAF = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.binary()
    | st.datetimes()
    | st.frozensets(st.integers())
)
ANYTHING = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.integers() | st.text() | st.none(), inner)
        | st.tuples(inner, inner)
    ),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(value=ANYTHING, characters=st.integers(0, 50), items=st.integers(1, 4))
def test_whatever_comes_can_be_stored_and_cuts_are_said(value, characters, items):
    limits = Limits(characters=characters, items=items)
    recorded = as_json(value, limits)
    dump_json(recorded.value, "x")
    assert recorded.characters <= characters
    whole = as_json(value, Limits())
    if not recorded.cuts:
        assert recorded.value == whole.value
