"""`judge-opt queue` and `judge-opt raters`, as real processes; labelling through a pipe and a terminal."""

import json
import os
import pty
import select
import subprocess
import sys
import time

import pytest
from cli_helpers import environment, row, write_rows

from judge_opt.labels.queues import get_queue
from judge_opt.labels.schemas import create_label_schema
from judge_opt.traces import AssessmentSource, Store, Trace

JUDGE = AssessmentSource("LLM_JUDGE", "tone/1")


@pytest.fixture
def store(tmp_path):
    (tmp_path / ".judge_opt").mkdir()
    with Store(tmp_path / ".judge_opt" / "store.db") as opened:
        opened.add_traces(
            Trace(f"t{n}", inputs={"question": f"What about {n}?"}, outputs=f"Answer {n}\x1b[31m!")
            for n in range(3)
        )
        yield opened


def create(judge_opt, *more):
    made = judge_opt(
        "queue",
        "create",
        "q",
        "--label",
        "tone",
        "--values",
        "poor,fair,good",
        "--ordered",
        "--order",
        "given",
        *more,
    )
    assert made.code == 0, made.err
    return made


def labelling(tmp_path, said, rater="ana"):
    done = subprocess.run(
        [sys.executable, "-m", "judge_opt", "queue", "label", "q", "--rater", rater],
        cwd=tmp_path,
        env=environment(),
        input=said,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_queue_from_making_to_the_report(judge_opt, store, tmp_path):
    create(judge_opt, "--raters", "2", "--json")
    for rater in ("ana", "bo"):
        for _ in range(3):
            task = judge_opt("queue", "next", "q", "--rater", rater, "--json").json["task"]
            assert task["schemas"][0]["values"] == {"kind": "ordinal", "labels": ["poor", "fair", "good"]}
            value = "good" if rater == "ana" or task["trace_id"] == "t0" else "fair"
            submitted = judge_opt(
                "queue", "submit", "q", "--rater", rater, "--trace", task["trace_id"],
                "--label", f"tone={value}", "--rationale", "So.", "--json",
            )  # fmt: skip
            assert submitted.json["labels"] == {"tone": value}
    nothing = judge_opt("queue", "next", "q", "--rater", "ana", "--json")
    assert (nothing.code, nothing.json) == (0, {"task": None})
    progress = judge_opt("queue", "progress", "q", "--json").json
    assert progress["done"] is True
    assert [one["labelled"] for one in progress["raters"]] == [3, 3]
    assert "6 of 6 answers" in judge_opt("queue", "progress", "q").out
    assert judge_opt("queue", "list", "--json").json["queues"][0]["items_done"] == 3
    written = judge_opt("queue", "results", "q", "--out", "labels.jsonl", "--json")
    assert written.json["labels"] == 6
    report = judge_opt(
        "raters", "labels.jsonl", "--name", "tone", "--values", "poor,fair,good", "--ordered", "--json"
    )
    assert report.json["agreement"]["value"] == pytest.approx(1 / 3)
    from_store = judge_opt("raters", "--name", "tone", "--json").json  # the values are the label schema's
    assert from_store["alpha"]["value"] == report.json["alpha"]["value"]
    shown = judge_opt("raters", "--name", "tone")
    assert "Krippendorff's alpha (ordinal)" in shown.out
    assert judge_opt("queue", "delete", "q").code == 0
    assert len(store.labelled_examples("tone", str)) == 3


def test_a_misspelt_label_is_refused_with_the_nearest(judge_opt, store):
    create(judge_opt)
    judge_opt("queue", "next", "q", "--rater", "ana")
    base = ("queue", "submit", "q", "--rater", "ana", "--trace", "t0", "--label")
    assert "Did you mean 'good'" in judge_opt(*base, "tone=god").err
    assert "Did you mean 'tone'" in judge_opt(*base, "tonne=good").err
    assert judge_opt(*base, "tone").code == 2
    assert judge_opt("queue", "progress", "p").code == 7
    assert store.assessments("t0") == []
    assert judge_opt("queue", "skip", "q", "--rater", "ana", "--trace", "t0").code == 0
    assert (
        judge_opt("queue", "submit", "q", "--rater", "bo", "--trace", "t0", "--label", "tone=good").code == 7
    )


def test_labelling_through_a_pipe_stops_and_goes_on(judge_opt, store, tmp_path):
    store.log_feedback("t0", "tone", "poor", rationale="too short", source=JUDGE)
    create(judge_opt, "--raters", "1")
    out = labelling(tmp_path, "3\nI liked it.\ngod\nfair\n\n:q\n")
    assert "\\u001b[31m" in out
    assert "\x1b" not in out
    assert "Did you mean 'good'" in out
    before, after = out.split("Stored.", 1)
    assert "poor: too short" not in before
    assert "Judge tone/1 said poor: too short" in after
    assert "2 labelled now" in out
    queue = get_queue("q", store=store)
    assert [(one.votes[0].value, one.votes[0].rationale) for one in queue.results()] == [
        ("good", "I liked it."),
        ("fair", None),
    ]
    assert queue.next("bo").trace_id == "t2"  # what was held at the end was given back
    queue.release(queue.task("bo", "t2"))
    assert "Nothing is left" in labelling(tmp_path, "poor\n\n")
    assert queue.progress().done


def test_yes_and_no_are_answers_and_the_hints_can_be_copied(judge_opt, store, tmp_path):
    created = judge_opt("queue", "create", "my q", "--label", "ok", "--values", "bool", "--raters", "1")
    assert "judge-opt queue label 'my q' --rater YOUR_NAME\n" in created.out
    taken = " ".join(judge_opt("queue", "next", "my q", "--rater", "ana").out.split())
    assert "ok (ok: true or false)" in taken
    assert "queue submit 'my q' --rater ana --trace t0 --label ok=..." in taken
    done = subprocess.run(
        [sys.executable, "-m", "judge_opt", "queue", "label", "my q", "--rater", "ana", "--home", ".judge_opt/"],
        input="maybe\nq\ny\n\nn\n\n:q\n", capture_output=True, text=True, cwd=tmp_path, check=True, env=environment(),
    ).stdout  # fmt: skip
    assert "'maybe' is no answer here. Type 1 to 2, or a label." in done
    assert "Type :q to leave the item." in done
    assert "2 labelled now" in done
    assert [one.votes[0].value for one in get_queue("my q", store=store).results()] == [True, False]


def test_skip_later_and_the_end_of_the_input(judge_opt, store, tmp_path):
    create(judge_opt, "--raters", "1")
    out = labelling(tmp_path, ":s\n:r\ngood\n")  # t0 skipped, t1 later, t2: the input ends before the reason
    assert "0 labelled now" in out
    progress = get_queue("q", store=store).progress()
    assert (progress.labels, progress.raters[0].skipped, progress.raters[0].holds) == (0, 1, 0)
    assert "2 labelled now" in labelling(tmp_path, "1\n\n2\n\n")


@pytest.mark.parametrize(("key", "value"), [(b"2", "fair"), (b"3", "good")])
def test_one_key_answers_on_a_terminal(judge_opt, store, tmp_path, key, value):
    create(judge_opt, "--raters", "1")
    primary, secondary = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "judge_opt", "queue", "label", "q", "--rater", "ana"],
        cwd=tmp_path,
        env=environment(TERM="dumb"),
        stdin=secondary,
        stdout=secondary,
        stderr=secondary,
        close_fds=True,
    )
    os.close(secondary)
    seen = b""

    def until(text):
        nonlocal seen
        deadline = time.monotonic() + 100
        while text not in seen:
            assert time.monotonic() < deadline, seen
            if select.select([primary], [], [], 1)[0]:
                try:
                    seen += os.read(primary, 65536)
                except OSError:
                    raise AssertionError(seen) from None
        seen = seen.split(text, 1)[1]

    until(b"s: cannot judge it")
    os.write(primary, b"x")
    until(b"'x' is no answer here: 1 to ")
    os.write(primary, key)
    until(b"why (Enter for nothing)")
    os.write(primary, b"because\n")
    until(b"Stored.")
    until(b"s: cannot judge it")
    os.write(primary, b"q")
    until(b"1 labelled now")
    assert child.wait(timeout=60) == 0
    os.close(primary)
    (example,) = get_queue("q", store=store).results()
    assert (example.votes[0].value, example.votes[0].rationale) == (value, "because")


def test_other_forms_are_typed(judge_opt, store, tmp_path):
    from judge_opt.core.values import scale
    from judge_opt.labels.inputs import InputPassFail, InputTextList

    create_label_schema("stars", input=scale(1, 5), store=store)
    create_label_schema("ok", input=InputPassFail("Correct", "Wrong"), enable_comment=False, store=store)
    create_label_schema("topics", input=InputTextList(), enable_comment=False, store=store)
    made = judge_opt(
        "queue", "create", "q", "--label", "stars", "--label", "ok", "--label", "topics", "--raters", "1"
    )
    assert made.code == 0, made.err
    out = labelling(tmp_path, "6\n4\n\n1\nred; blue\n:q\n")
    assert "a whole number from 1 to 5" in out
    assert "1  Correct" in out
    (trace_id,) = [one.id for one in get_queue("q", store=store).results("stars")]
    assert {said.name: said.value for said in store.assessments(trace_id)} == {
        "stars": 4,
        "ok": True,
        "topics": ["red", "blue"],
    }


def test_what_cannot_be_made_is_said(judge_opt, store):
    assert judge_opt("queue", "create", "q", "--label", "tone").code == 7
    create(judge_opt)
    assert judge_opt("queue", "create", "q", "--label", "tone").code == 8
    other = judge_opt("queue", "create", "p", "--label", "tone", "--values", "bad,good")
    assert "asks for one of, from first to last: poor, fair, good" in other.err
    assert judge_opt("queue", "create", "p", "--label", "n", "--values", "1..5", "--ordered").code == 2
    assert judge_opt("queue", "create", "p", "t9", "--label", "tone").code == 7
    assert judge_opt("queue", "list", "--home", "nowhere").code == 7
    missing = judge_opt("raters", "--name", "nothing", "--json")
    assert missing.json["error"]["remedy"] == "Give --values, such as bool or 1..5, or make a label schema."


def test_the_raters_of_a_file(judge_opt, tmp_path):
    rows = [row(n) for n in range(12)]
    for n, one in enumerate(rows):
        other = one["human"][0]["value"] if n else "bad" if one["human"][0]["value"] == "good" else "good"
        one["human"].append({"rater": "bo", "name": "tone", "value": other})
    write_rows(tmp_path / "rows.jsonl", rows)
    found = judge_opt("raters", "rows.jsonl", "--name", "tone", "--values", "bad,good", "--json").json
    assert found["agreement"]["value"] == pytest.approx(11 / 12)
    assert [one["rater"] for one in found["raters"]] == ["ana", "bo"]
    assert (
        "Did you mean 'tone'"
        in judge_opt("raters", "rows.jsonl", "--name", "tonne", "--values", "bad,good").err
    )
    assert judge_opt("raters", "rows.jsonl", "--name", "tone").code == 2
    assert judge_opt("raters", "--name", "tone", "--level", "nomnal").code == 2
    json.dumps(found, allow_nan=False)
