"""`judge-opt validate` and `judge-opt audit`, as a user runs them."""

import json
from pathlib import Path
from typing import Any

import pytest
from cli_helpers import LABELS, Run, row, write_rows

from judge_opt.core.values import categories
from judge_opt.judges.make import make_judge
from judge_opt.registry.judges import register
from judge_opt.registry.registry import Registry
from judge_opt.testing.fault_server import FaultServer

ASKED = ("--label", "tone", "--values", "bad,good", "--resamples", "200")


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, Any]]:
    """Labelled rows with the recorded verdicts of a good and a poor model."""
    made = [row(i) for i in range(60)]
    for i, one in enumerate(made):
        said = {"good-model": LABELS[i % 2], "poor-model": LABELS[(i // 2) % 2]}
        one["judge"] = [{"model": model, "name": "tone", "value": value} for model, value in said.items()]
    write_rows(tmp_path / "rows.jsonl", made)
    return made


def test_recorded_verdicts_become_a_report(
    judge_opt: Run, tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    done = judge_opt("validate", "rows.jsonl", *ASKED, "--out", "report", "--noun", "replies")
    assert done.code == 0, done.err
    assert "On 60 replies" in done.out.replace("\n", " ")
    assert {p.name for p in (tmp_path / "report").iterdir()} == {"report.html", "report.md", "report.json"}
    html = (tmp_path / "report" / "report.html").read_text()
    assert "good-model" in html
    assert str(rows[0]["outputs"]["reply"])[:12] in html or "reply" in html
    bare = judge_opt("validate", "rows.jsonl", *ASKED, "--out", "bare", "--no-texts")
    assert bare.code == 0
    assert all(
        str(one["outputs"]["reply"]) not in (tmp_path / "bare" / "report.html").read_text() for one in rows
    )


def test_the_gate_is_an_exit_code(judge_opt: Run, tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    (tmp_path / "gate.yaml").write_text("min_agreement: 0.8\n")
    good = judge_opt(
        "validate", "rows.jsonl", *ASKED, "--only", "good-model", "--gate", "gate.yaml", "--json"
    )
    poor = judge_opt(
        "validate", "rows.jsonl", *ASKED, "--only", "poor-model", "--gate", "gate.yaml", "--json"
    )
    assert (good.code, poor.code) == (0, 10)
    assert good.json["decision"]["promoted"] is True
    failed = [check["name"] for check in poor.json["decision"]["checks"] if not check["holds"]]
    assert "agreement" in failed
    (tmp_path / "gate.yaml").write_text("min_agrement: 0.8\n")
    wrong = judge_opt("validate", "rows.jsonl", *ASKED, "--gate", "gate.yaml")
    assert wrong.code == 2
    assert "Did you mean 'min_agreement'" in wrong.err


def test_verdict_files_are_two_judges(judge_opt: Run, tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    for name, turn in (("old", 2), ("new", 60)):
        said = [{"id": one["id"], "value": LABELS[(i % turn) % 2]} for i, one in enumerate(rows)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in said))
    files = ("--verdicts", "old=old.jsonl", "--verdicts", "new=new.jsonl")
    done = judge_opt("validate", "rows.jsonl", *ASKED, *files, "--json")
    assert done.code == 0, done.err
    assert [judge["name"] for judge in done.json["judges"]] == ["old", "new"]
    assert done.json["reference"] == "old"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--label", "tone"), "--values is missing"),
        (("--values", "bad,good"), "--label is missing"),
        ((*ASKED, "--repeats", "3"), "ask a judge"),
        ((*ASKED, "--promote", "production"), "--promote needs"),
        ((*ASKED, "--only", "good-modle"), "good-model"),
        (("--label", "tone", "--values", "1", "--pairwise"), "two labels"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(
    arguments: tuple[str, ...], said: str, judge_opt: Run, rows: list[dict[str, Any]]
) -> None:
    done = judge_opt("validate", "rows.jsonl", *arguments)
    assert done.code == 2
    assert said in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_a_registered_judge_is_asked_gated_and_promoted(
    judge_opt: Run, tmp_path: Path, server: FaultServer, rows: list[dict[str, Any]]
) -> None:
    home = tmp_path / ".judge_opt"
    judge = make_judge(
        "tone", "Is {{ outputs.reply }} polite?", "openai:/any", categories(*LABELS), base_url=server.base_url,
        generate_rationale_first=False,
    )  # fmt: skip
    register(judge, home=home)
    (tmp_path / "gate.yaml").write_text("min_agreement: 0.8\nmax_bias:\n  plain: 0.2\nno_leakage: true\n")
    asked = ("validate", "rows.jsonl", "--judge", "tone", "--gate", "gate.yaml", "--promote", "production")
    refused = judge_opt(*asked, "--resamples", "200")
    assert refused.code == 10, refused.err  # the audit was not run
    assert "Audit plain was not run" in refused.out.replace("\n", " ")
    (tmp_path / "gate.yaml").write_text("min_agreement: 0.8\nmax_bias:\n  length: 0.2\nno_leakage: true\n")
    done = judge_opt(
        *asked, "--repeats", "2", "--audit", "length", "--audit-rows", "40", "--resamples", "200"
    )
    assert done.code == 0, done.err + done.out
    assert server.completions == 2 * 60 + 40
    registry = Registry(home / "store.db")
    version = registry.get("judge", "tone", "production")[0]
    assert version.tags["gate"] == "promoted"
    kept, payload, _ = registry.get("validation", "tone")
    assert kept.lineage["judge"] == "tone/1"
    assert kept.lineage["judge_hash"] == version.content_hash
    assert payload["decision"]["promoted"] is True
    assert payload["judges"][0]["stability"]["n_repeats"] == 2
    assert [one.lineage["gate"] for one in registry.versions("validation", "tone")] == ["refused", "promoted"]


def test_an_audit_shows_its_price_and_asks(
    judge_opt: Run, tmp_path: Path, server: FaultServer, rows: list[dict[str, Any]]
) -> None:
    judge = make_judge(
        "tone", "Is {{ outputs.reply }} polite?", "openai:/any", categories(*LABELS), base_url=server.base_url
    )
    register(judge, home=tmp_path / ".judge_opt")
    asked = (
        "audit",
        "rows.jsonl",
        "--judge",
        "tone",
        "--audit",
        "length",
        "--audit",
        "rater_identity",
        "--rows",
        "20",
    )
    plan = judge_opt(*asked, "--dry-run")
    assert plan.code == 0
    assert "100 calls to buy" in plan.out.replace("\n", " ")
    assert judge_opt(*asked).code == 2  # no consent
    assert server.completions == 0
    done = judge_opt(*asked, "--yes", "--json")
    assert done.code == 0, done.err
    assert [one["name"] for one in done.json["audits"]] == ["length", "rater_identity"]
