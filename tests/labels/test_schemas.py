"""Label schemas: checked at every write, bound to judges by id."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from judge_opt.core.errors import Conflict, DataError, NotFound, TemplateError, UsageError
from judge_opt.core.results import NOT_APPLICABLE
from judge_opt.core.values import BOOL, ValueType, ordered, scale
from judge_opt.labels.inputs import (
    InputCategorical,
    InputCategoricalList,
    InputNumeric,
    InputOrdinal,
    InputPairwise,
    InputPassFail,
    InputText,
    InputTextList,
    input_from_json,
    input_to_json,
)
from judge_opt.labels.schemas import (
    bind_label_schema,
    create_label_schema,
    delete_label_schema,
    get_label_schema,
    list_label_schemas,
    schema_of_judge,
)
from judge_opt.traces import AssessmentSource, Store, Trace
from judge_opt.traces.bulk import Record
from judge_opt.traces.schema import Assessment, now

JUDGE = AssessmentSource("LLM_JUDGE", "tone/1")


@pytest.fixture
def store(store_url):
    with Store(store_url) as opened:
        opened.add_traces(Trace(f"t{n}", inputs={"n": n}) for n in range(5))
        yield opened


def make(store, name="tone", input=None, **more):
    return create_label_schema(
        name, input=input or InputOrdinal(["poor", "fair", "good"]), store=store, **more
    )


INPUTS = [
    (
        InputPassFail("Correct", "Wrong"),
        {"Correct": True, "wrong": False, True: True, "yes": True},
        ["maybe", 3],
    ),
    (InputCategorical(["a", "b"]), {"a": "a", " B ": "b"}, ["c", "", None, True]),
    (InputOrdinal(["poor", "good"]), {"Good": "good"}, ["god"]),
    (InputNumeric(0, 1), {0.5: 0.5, 1: 1.0}, [1.5, -1, "x", float("nan")]),
    (InputNumeric(1, 5, whole=True), {4: 4, "5": 5}, [6, 2.5]),
    (InputNumeric(min_value=0), {1e6: 1e6}, [-0.1]),
    (InputPairwise("A", "B"), {"A": "A", "tie": "tie"}, ["C"]),
    (InputPairwise("A", "B", tie=None), {"B": "B"}, ["tie"]),
    (InputText(max_length=5), {"short": "short"}, ["longer", "", "  ", 7]),
    (BOOL, {True: True}, ["perhaps"]),
    (ValueType.of(bool | None), {True: True, "n/a": NOT_APPLICABLE}, ["perhaps"]),
    (scale(1, 3), {3: 3}, [4]),
]


@pytest.mark.parametrize(("declared", "good", "bad"), INPUTS, ids=lambda one: type(one).__name__)
def test_every_form_says_what_is_a_label(store, declared, good, bad):
    schema = make(store, input=declared)
    assert get_label_schema("tone", store=store) == schema
    for given_, meant in good.items():
        said = store.log_feedback("t0", "tone", given_, rater="ana")
        assert (said.value, type(said.value)) == (meant, type(meant))
    before = store.assessments("t0")
    for value in bad:
        with pytest.raises(DataError, match=r"Trace 't0'"):
            store.log_feedback("t0", "tone", value, rater="ana")
    assert store.assessments("t0") == before


def test_lists_of_texts_are_labels_too(store):
    make(store, "facts", InputTextList(max_length_each=10, max_count=2), type="expectation")
    make(store, "topics", InputCategoricalList(["food", "service"]))
    make(store, "colours", InputCategorical(["red", "blue"], multi_select=True))
    assert store.log_expectation("t0", "facts", ["one", "two"]).value == ["one", "two"]
    assert store.log_feedback("t0", "topics", ["food"]).value == ["food"]
    assert store.log_feedback("t0", "colours", ["red", "blue"]).value == ["red", "blue"]
    for call in (
        lambda: store.log_expectation("t0", "facts", ["one", "two", "three"]),
        lambda: store.log_expectation("t0", "facts", ["much too long"]),
        lambda: store.log_expectation("t0", "facts", "one"),
        lambda: store.log_feedback("t0", "topics", ["foot"]),
        lambda: store.log_feedback("t0", "topics", [""]),
    ):
        with pytest.raises(DataError):
            call()


@pytest.mark.parametrize(
    "form", [declared for declared, *_ in INPUTS[:9]], ids=lambda one: type(one).__name__
)
def test_forms_are_stored_as_they_are(form):
    assert input_from_json(input_to_json(form)) == form


def test_a_misspelt_name_is_an_error_when_it_is_written(store):
    store.log_feedback("t0", "anything", 1)  # no schemas yet: nobody is bothered
    make(store)
    make(store, "facts", InputText(), type="expectation")
    with pytest.raises(
        DataError, match=r"No label schema of this store is called 'tonne'. Did you mean 'tone'\?"
    ):
        store.log_feedback("t0", "tonne", "good", rater="ana")
    with pytest.raises(DataError, match=r"called 'fact'. Did you mean 'facts'\?"):
        store.log_expectation("t0", "fact", "x")
    assert [said.name for said in store.assessments("t0")] == ["anything"]
    store.log_feedback("t0", "tonne", "good", rater="ana", strict=False)
    store.log_feedback("t0", "latency", 3.5, source="CODE")  # only people's labels need a schema
    store.log_feedback("t0", "other_judge", "x", source=JUDGE)
    with pytest.raises(DataError, match="label 'god' is not allowed"):
        store.log_feedback("t0", "tone", "god", rater="ana", strict=False)


def test_schemas_of_one_type_do_not_bother_the_other(store):
    make(store)
    store.log_expectation("t0", "whatever", "x")


def test_every_door_checks(store):
    make(store)
    said = store.log_feedback("t0", "tone", "good", rater="ana")
    with pytest.raises(DataError, match="'god'"):
        store.override(said.id, "god", rater="bo")
    with pytest.raises(DataError, match="'god'"):
        store.log_feedback("t0", "tone", "god", source=JUDGE)
    failed = Assessment(
        "as-e", "t0", "feedback", "tone", None, None, "LLM_JUDGE", "j", now(), error="timeout"
    )
    assert store.log_assessment("t0", failed).error == "timeout"
    assert store.assessments("t0")[0].votes

    def record(n, value, source="HUMAN", name="tone"):
        word = Assessment(f"as-{n}", f"n{n}", "feedback", name, value, None, source, "ana", now())
        return Record(Trace(f"n{n}"), [word])

    refused = []
    added = store.add_records(
        [record(1, "Good"), record(2, "god"), record(3, "x", name="free"), record(4, "god", "LLM_JUDGE")],
        on_error=lambda one, error: refused.append((one.trace.id, error.message)),
    )
    assert (added.assessments, added.failed) == (3, 1)
    assert refused[0][0] == "n2"
    assert "Did you mean 'good'" in refused[0][1]
    assert store.assessments("n1")[0].value == "good"
    again = store.add_records([record(1, "Good")])
    assert (again.assessments, again.assessments_known) == (0, 1)
    with pytest.raises(DataError, match="'god'"):
        store.add_records([record(5, "god")])


def test_a_judge_is_bound_by_the_id_of_the_schema(store):
    class Judge:
        name, value_type = "tone_judge", ordered("poor", "fair", "good")

    schema = make(store, judge=Judge())
    assert schema.judges == ("tone_judge",)
    assert schema_of_judge(Judge(), store=store) == schema
    changed = make(store, input=InputOrdinal(["poor", "fair", "good", "great"]), overwrite=True)
    assert (changed.id, changed.judges) == (schema.id, ("tone_judge",))
    with pytest.raises(DataError, match="'tone_judge' is a judge; people's labels for it are called 'tone'"):
        store.log_feedback("t0", "tone_judge", "good", rater="ana")
    verdict = store.log_feedback("t0", "tone_judge", "Great", source=JUDGE)
    assert verdict.value == "great"
    corrected = store.override(verdict.id, "poor", rater="ana")
    assert (corrected.name, corrected.value) == ("tone_judge", "poor")
    assert schema_of_judge("nobody", store=store) is None
    assert bind_label_schema(schema.id, "another", store=store).judges == ("another", "tone_judge")


def test_what_does_not_fit_is_refused_before_anything_is_stored(store):
    make(store, judge="j")

    class Judge:
        name, value_type = "tone", BOOL

    with pytest.raises(Conflict, match="There is a label schema 'tone' already"):
        make(store)
    with pytest.raises(DataError, match="Judge 'tone' says true or false; the schema's labels are one of"):
        bind_label_schema("tone", Judge(), store=store)
    make(store, "other", BOOL)
    with pytest.raises(Conflict, match="Judge 'j' is bound to label schema 'tone'"):
        bind_label_schema("other", "j", store=store)
    with pytest.raises(UsageError, match="not to an expectation"):
        make(store, "facts", InputText(), type="expectation", judge="j")
    with pytest.raises(UsageError, match="no judge"):
        make(store, "x", judge=3)
    for wrong in ("", "a\u202eb", " a", "a\nb", "x" * 300, 3):
        with pytest.raises(UsageError):
            make(store, wrong)
    for form in (InputCategorical(["one"]), InputPassFail("a", "A"), InputNumeric(5, 1), set):
        with pytest.raises(TemplateError):
            make(store, "x", form)
    with pytest.raises(UsageError):
        make(store, "x", InputText(max_length=0))
    with pytest.raises(UsageError, match="not known"):
        make(store, "x", type="feedbak")
    assert [schema.name for schema in list_label_schemas(store=store)] == ["other", "tone"]


def test_a_schema_must_allow_the_labels_that_are_there(store):
    store.log_feedback("t0", "tone", "ok", rater="ana")
    store.log_feedback("t1", "tone", "good", rater="ana")
    with pytest.raises(
        DataError, match=r"1 stored labels called 'tone' are not what the schema allows.*'t0'"
    ):
        make(store)
    store.retract(store.assessments("t0")[0].id)
    make(store)


def test_get_and_delete_know_names_and_ids(store):
    schema = make(store)
    assert get_label_schema(schema_id=schema.id, store=store) == schema
    with pytest.raises(NotFound, match=r"no label schema 'tonn'.*Did you mean 'tone'\?"):
        get_label_schema("tonn", store=store)
    with pytest.raises(UsageError, match="either"):
        get_label_schema(store=store)
    delete_label_schema("tone", store=store)
    with pytest.raises(NotFound):
        get_label_schema(schema_id=schema.id, store=store)
    store.log_feedback("t0", "anything", 1)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.text(min_size=1, max_size=30),
    title=st.text(st.characters(exclude_categories=()), max_size=30),
    options=st.lists(st.text(min_size=1, max_size=10), min_size=2, max_size=4),
)
def test_hostile_names_titles_and_options_round_trip_or_are_refused(store, name, title, options):
    try:
        made = create_label_schema(
            name, input=InputCategorical(options), title=title, instruction=title, store=store
        )
    except (UsageError, TemplateError):
        return
    found = get_label_schema(name, store=store)
    assert (found.name, found.title, found.instruction) == (name, title, title)
    assert found.value_type == made.value_type
    store.add_trace(Trace("t"))
    for option in options:
        assert store.log_feedback("t", name, option).value == option
    store.delete_traces(["t"])
    delete_label_schema(name, store=store)


CHILD = """
import sys
from judge_opt.core.errors import Conflict
from judge_opt.labels.inputs import InputCategorical
from judge_opt.labels.schemas import create_label_schema
from judge_opt.traces import Store
try:
    create_label_schema("tone", input=InputCategorical(["a", sys.argv[2]]), store=Store(sys.argv[1]))
    print("made")
except Conflict:
    print("conflict")
"""


def test_of_many_processes_one_makes_the_schema(bare_url):
    root = str(Path(__file__).parents[2])
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, bare_url, f"b{n}"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": root},
        )
        for n in range(5)
    ]
    said = [child.communicate(timeout=120)[0].strip() for child in children]
    assert sorted(said) == ["conflict"] * 4 + ["made"]
