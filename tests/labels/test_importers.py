import json

import pytest

from judge_opt.core.errors import DataError, UsageError
from judge_opt.core.values import categories, scale
from judge_opt.labels import load_examples, read_csv, read_jsonl

TONE = categories("positive", "negative", "not mentioned")


def row(item="a", labels=(("ana", "tone", "positive"),), **more):
    human = [dict(zip(("rater", "name", "value"), label, strict=True)) for label in labels]
    return {"id": item, "inputs": {"q": "x"}, "outputs": {"answer": "y"}, "human": human, **more}


@pytest.fixture
def write(tmp_path):
    def write(*rows, name="labels.jsonl"):
        lines = [one if isinstance(one, str) else json.dumps(one) for one in rows]
        (tmp_path / name).write_text("\n".join(lines) + "\n", "utf-8")
        return tmp_path / name

    return write


def message_of(path, name="tone", value_type=TONE, **options):
    with pytest.raises(DataError) as caught:
        load_examples(path, name, value_type, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.remedy
    return text


def test_rows_become_examples_with_one_vote_a_rater(write):
    human = [
        {"rater": "bo", "name": "tone", "value": "Positive", "rationale": "Warm."},
        {"rater": "ana", "name": "tone", "value": "negative"},
        {"rater": "ana", "name": "tone", "value": "positive"},
        {"rater": "mean", "name": "tone", "value": "negative", "aggregate": True},
        {"rater": "w1", "name": "tone", "value": "negative", "pool": "crowd"},
        {"rater": "ana", "name": "length", "value": "short"},
    ]
    path = write({**row(session="s1", expectations={"tone": "warm"}), "human": human}, row("b", ()))
    loaded = load_examples(path, "tone", TONE, pools=[None])
    [example] = loaded.examples
    assert [(v.rater, v.value, v.rationale) for v in example.votes] == [
        ("ana", "positive", None),
        ("bo", "positive", "Warm."),
    ]
    assert (example.id, example.group) == ("a", "s1")
    assert example.votes[0].assessment_id == "a/tone/ana"
    assert list(example.fields) == ["inputs", "outputs", "expectations"]
    assert [(s.line, s.item, s.reason) for s in loaded.skipped] == [(2, "b", "it has no label called 'tone'")]
    everyone = load_examples(path, "tone", TONE, include_aggregate=True).examples[0]
    assert [vote.rater for vote in everyone.votes] == ["ana", "bo", "mean", "w1"]
    crowd = load_examples(path, "tone", TONE, pools=["crowd"]).examples[0]
    assert [vote.rater for vote in crowd.votes] == ["w1"]


def test_several_names_give_several_examples_of_one_group(write):
    labels = [("ana", "food", "Positive"), ("ana", "noise", "unknown"), ("ana", "stars", "5")]
    loaded = load_examples(
        write(row("a", labels), row("b", [("ana", "stars", "4")])),
        None,
        TONE,
        names=["noise", "food"],
        name_field="aspect",
        value_map={"Positive": "positive", "unknown": "not mentioned"},
    )
    assert [(e.id, e.group, e.fields["inputs"], e.gold) for e in loaded.examples] == [
        ("a:noise", "a", {"q": "x", "aspect": "noise"}, "not mentioned"),
        ("a:food", "a", {"q": "x", "aspect": "food"}, "positive"),
    ]
    assert [skipped.item for skipped in loaded.skipped] == ["b"]


def test_group_is_a_path_into_the_row(write):
    long = "word " * 100
    path = write(row("a", inputs={"story": "s1", "n": 3, "text": long}))
    assert load_examples(path, "tone", TONE, group="inputs.story").examples[0].group == "s1"
    assert load_examples(path, "tone", TONE, group="inputs.n").examples[0].group == "3"
    assert len(load_examples(path, "tone", TONE, group="inputs.text").examples[0].group) == 16
    text = message_of(path, group="inputs.sotry")
    assert "line 1, item 'a': the row has no field \"inputs.sotry\"; found: story, n, text. Did you" in text


def test_hostile_text_and_a_byte_order_mark_survive(write):
    text = "\ud800 \x00 \u202e {{ x }} e\u0301"
    path = write("\ufeff" + json.dumps(row("\udfff", inputs={"q": text})))
    [example] = load_examples(path, "tone", TONE).examples
    assert (example.id, example.fields["inputs"]["q"]) == ("\udfff", text)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{", "labels.jsonl line 2 is not JSON (Expecting property name enclosed in double quotes, column"),
        ('{"id": NaN}', "labels.jsonl line 2 is not JSON (NaN is not a JSON number)."),
        ("[" * 100_000, "labels.jsonl line 2 is nested too deeply."),
        ("3", "labels.jsonl line 2 is a number, not an object. Each line is one object"),
        (
            {"id": "b", "inputs": 1, "output": 2, "human": []},
            "rows have no field \"outputs\"; found: id, inputs, output, human. Did you mean 'output'? Rename",
        ),
        (row(""), "labels.jsonl line 2: the id must be text, got ''"),
        (row("a"), "labels.jsonl line 2: the id 'a' is already on line 1."),
        (row("b", session=3), "labels.jsonl line 2: session is a number, not text."),
        ({**row("b"), "human": {}}, "labels.jsonl line 2: human is a object, not a list."),
        ({**row("b"), "human": ["x"]}, "labels.jsonl line 2, label 1 is a text, not an object."),
        (
            {**row("b"), "human": [{"rater": "x", "names": "tone", "value": 1}]},
            "label 1: labels have no field \"name\"; found: rater, names, value. Did you mean 'names'?",
        ),
        (
            {**row("b"), "human": [{"rater": 7, "name": "tone", "value": 1}]},
            "labels.jsonl line 2, label 1: rater is a number, not text.",
        ),
        (
            {**row("b"), "human": [{"rater": "x", "name": "tone", "value": 1, "aggregate": "no"}]},
            "labels.jsonl line 2, label 1: aggregate is a text. Write true or false.",
        ),
        (
            row("b", [("ana", "tone", "postive")]),
            "'negative', 'not mentioned']). Did you mean 'positive'? Allowed: positive, negative, not ment",
        ),
    ],
)
def test_a_bad_row_is_named_or_skipped_and_counted(write, line, expected):
    path = write(row("a"), line, row("c"))
    assert expected in message_of(path)
    loaded = load_examples(path, "tone", TONE, on_error="skip")
    assert [example.id for example in loaded.examples] == ["a", "c"]
    [skipped] = loaded.skipped
    assert skipped.line == 2
    assert skipped.reason.startswith("labels.jsonl line 2")


def test_a_file_that_cannot_be_used_is_named(write, tmp_path):
    path = write(row("a"))
    assert "There is no file" in message_of(tmp_path / "label.jsonl")
    assert "Did you mean 'labels.jsonl'?" in message_of(tmp_path / "label.jsonl")
    assert "is a folder" in message_of(tmp_path)
    assert "labels.jsonl is empty" in message_of(write(" ", ""), on_error="skip")
    assert "write one object a line, without the brackets" in message_of(
        write("[", json.dumps(row("a")), "]")
    )
    path.write_bytes(b'{"id": "\xff"}\n')
    assert "labels.jsonl line 1 is not UTF-8 (byte 9). Save the file as UTF-8." in message_of(path)


def test_a_label_name_that_is_not_there_is_named(write):
    path = write(row("a", [("ana", "tone", "positive"), ("ana", "length", "short")]))
    expected = "labels.jsonl has no label called 'tonee'; names found: length, tone. Did you mean 'tone'?"
    assert expected in message_of(path, "tonee")
    assert "no label called 'tonee'" in message_of(path, None, names=["tone", "tonee"], name_field="aspect")


def test_no_row_left_is_an_error(write):
    human = [{"rater": "mean", "name": "tone", "value": "positive", "aggregate": True}]
    text = message_of(write({**row("a"), "human": human}))
    assert (
        "none of the 1 rows gave an example; the first: line 1: its labels called 'tone' are aggreg" in text
    )
    assert "include_aggregate" in text
    assert "none of the 2 rows gave an example" in message_of(write("{", "{"), on_error="skip")


def test_arguments_that_do_not_fit_together(write):
    path = write(row("a"))
    for wrong in (
        {"name": None},
        {"name": "tone", "names": ["tone"]},
        {"name": None, "names": ["tone"]},
        {"name": None, "names": "tone", "name_field": "aspect"},
        {"name": "tone", "name_field": "aspect"},
    ):
        with pytest.raises(UsageError):
            load_examples(path, wrong.pop("name"), TONE, **wrong)
    assert "inputs has a field 'q' already" in message_of(path, None, names=["tone"], name_field="q")


def test_reading_is_streaming(write):
    rows = read_jsonl(write(row("a"), "{"))
    assert next(rows).id == "a"
    with pytest.raises(DataError):
        next(rows)


CSV = """id,inputs.question,outputs,rater,name,value,rationale,session
a,"What, exactly?","{""answer"": 1}",ana,stars,5,"Two
lines",s1
b,Why?,Because {x},ana,stars,4,,
a,"What, exactly?","{""answer"": 1}",bo,stars,,,s1
a,"What, exactly?","{""answer"": 1}",cy,stars,3,,s1
"""


def test_csv_lines_of_one_id_are_one_item(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("\ufeff" + CSV, "utf-8")
    first, second = load_examples(path, "stars", scale(1, 5)).examples
    assert first.fields == {"inputs": {"question": "What, exactly?"}, "outputs": {"answer": 1}}
    assert [(v.rater, v.value, v.rationale) for v in first.votes] == [
        ("ana", 5, "Two\nlines"),
        ("cy", 3, None),
    ]
    assert first.group == "s1"
    assert second.fields["outputs"] == "Because {x}"
    assert [one.line for one in read_csv(path)] == [2, 4]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "labels.csv is empty"),
        (CSV.splitlines()[0], "labels.csv is empty"),
        (
            CSV.replace("rater", "ratr", 1),
            'labels.csv line 1: there is no column "rater"; found: id, inputs.q',
        ),
        (CSV.replace("outputs", "output", 1), 'there is no column "outputs" or "outputs.<name>"; found: id,'),
        (CSV.replace("rationale", "value", 1), "labels.csv line 1: the column 'value' is there twice."),
        (
            CSV + "c,d\n",
            "labels.csv line 7 has more or fewer cells than the header. Quote cells that hold com",
        ),
        (CSV + "a,Other,x,ana,stars,1,,s1\n", "labels.csv line 7: item 'a' has other inputs than on line 2."),
        (CSV + ",Other,x,ana,stars,1,,s1\n", "labels.csv line 7: the id is empty."),
        (
            CSV.replace("4", "6"),
            "labels.csv line 4, item 'b': label '6' is not allowed (6 is outside 1 to 5)",
        ),
        (CSV + 'x,"', "is not CSV (unexpected end of data)"),
    ],
)
def test_bad_csv_is_named(tmp_path, text, expected):
    path = tmp_path / "labels.csv"
    path.write_text(text, "utf-8")
    assert expected in message_of(path, "stars", scale(1, 5))
