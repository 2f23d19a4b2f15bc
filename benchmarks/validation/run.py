"""The whole report for judges that were recorded elsewhere, and the facts that are known of them.

    python -m benchmarks.validation.run --data ../shared/data

Writes one folder a data set with report.html, report.md and report.json, and results.json. The data is not ours to
pass on: the reports name rows by id and hold none of their texts.
"""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.record import check, write_results
from judge_opt.core.results import Scored
from judge_opt.core.values import BOOL, ValueType, preference
from judge_opt.experiments.verdicts import context_of, write_report
from judge_opt.labels import LabelledExample, load_examples
from judge_opt.llm.session import Session, use_session
from judge_opt.validate import Context, validate_verdicts
from judge_opt.validate.recorded import Verdicts, recorded_verdicts
from judge_opt.validate.verdict_report import VerdictReport

HERE = Path(__file__).parent
TIES = preference("1", "2", tie="tie")
TWO = preference("1", "2")
# Which writer of the stories is of the judge's own family.
FAMILIES = {"gpt-4-turbo": ("GPT4", "GPT3.5"), "gpt-3.5-turbo": ("GPT4", "GPT3.5")} | {
    f"claude-{version}": ("Claude",) for version in ("1.3", "2.0", "2.1", "3-opus")
}


def pandalm(data: Path, home: Path, boot: int) -> tuple[VerdictReport, list[dict[str, Any]]]:
    examples = load_examples(data / "pandalm.jsonl", "preference", TIES).examples
    verdicts = recorded_verdicts(data / "pandalm.jsonl", "preference", TIES)
    report = validate_verdicts(
        examples, verdicts, TIES, context=known(examples, TIES, home), epsilon=0.15,
        reference="pandalm-7b", title="PandaLM's test set: which answer is better?", noun="pairs", n_boot=boot,
    )  # fmt: skip
    gold = {one.id: one.gold for one in examples}
    said = verdicts["gpt-3.5-turbo"].judged
    right = sum(isinstance(j, Scored) and j.value == gold[i] for i, j in said.items())
    kappa = sheet(report, "gpt-3.5-turbo").agreement.metrics["kappa"].value or 0.0
    longer = sum(same_side(one, long=True) for one in examples if decided(one)) / sum(map(decided, examples))
    return report, [
        *near(
            "pandalm-human", "PandaLM: one rater against two others who agree", against_agreed(examples), 0.96
        ),
        *near(
            "pandalm-gpt35",
            "PandaLM: GPT-3.5, its 14 empty answers counted as wrong",
            right / len(gold),
            0.70,
        ),
        *near(
            "pandalm-gpt35-kappa", "PandaLM: GPT-3.5, Cohen's kappa of the answers it gave", kappa, 0.48, 0.03
        ),
        *near(
            "pandalm-alpha",
            "PandaLM: Krippendorff's alpha of the raters",
            report.people_alpha.value or 0,
            0.86,
            0.05,
        ),
        *near(
            "pandalm-longer",
            "PandaLM: the longer answer wins, of the pairs without a tie",
            longer,
            0.67,
            0.02,
        ),
    ]


def llmbar(data: Path, home: Path, boot: int) -> tuple[VerdictReport, list[dict[str, Any]]]:
    examples = load_examples(data / "llmbar.jsonl", "preference", TWO).examples
    verdicts = recorded_verdicts(data / "llmbar.jsonl", "preference", TWO)
    report = validate_verdicts(
        examples, verdicts, TWO, context=known(examples, TWO, home, slices=["inputs.subset"]),
        reference="GPT-4 (Vanilla_NoRules)", title="LLMBar: which output follows the instruction?", noun="pairs",
        n_boot=boot,
    )  # fmt: skip
    shorter = sum(same_side(one, long=False) for one in examples if decided(one)) / sum(
        map(decided, examples)
    )
    length = next(b for b in report.baselines if b.name == "output_length").agreement.value or 0.0

    def mean_of(model: str) -> float:
        """Over its prompts and both orders, as the source reports it."""
        hits = [
            isinstance(j, Scored) and j.value == gold[i]
            for name, own in verdicts.items()
            if name.startswith(model)
            for column in (own.judged, own.exchanged)
            for i, j in column.items()
        ]
        return sum(hits) / len(hits)

    gold = {one.id: one.gold for one in examples}
    gpt4 = sheet(report, "GPT-4 (Vanilla)").agreement.metrics["agreement"].value or 0.0
    rules = [both_orders(verdicts[f"GPT-4 ({p})"], gold) for p in ("Vanilla", "Vanilla_NoRules")]
    return report, [
        *near(
            "llmbar-shorter",
            "LLMBar: the shorter output is right, of pairs that differ in length",
            shorter,
            0.726,
        ),
        *near("llmbar-length", "LLMBar: the length baseline, cross-fitted", length, 0.726, 0.02),
        *near("llmbar-gpt4", "LLMBar: GPT-4, mean over prompts and orders", mean_of("GPT-4"), 0.83, 0.03),
        *near(
            "llmbar-chatgpt", "LLMBar: ChatGPT, mean over prompts and orders", mean_of("ChatGPT"), 0.41, 0.03
        ),
        check(
            "llmbar-gpt4-length", "LLMBar: GPT-4 (Vanilla) less the length baseline", gpt4 - length, ">=", 0.0
        ),
        *near(
            "llmbar-rules",
            "LLMBar: what rules in the prompt gain, GPT-4 (both orders)",
            rules[0] - rules[1],
            0.08,
            0.04,
        ),
    ]


def ttcw(data: Path, home: Path, boot: int) -> tuple[VerdictReport, list[dict[str, Any]]]:
    examples = load_examples(data / "ttcw.jsonl", "pass", BOOL, group="inputs.story_id").examples
    verdicts = recorded_verdicts(data / "ttcw.jsonl", "pass", BOOL)
    writer = {one.id: str(one.fields["inputs"]["story_id"]).partition("_")[2] for one in examples}
    own = {
        judge: frozenset(i for i, by in writer.items() if by in families)
        for judge, families in FAMILIES.items()
    }
    context = known(examples, BOOL, home, slices=["inputs.dimension"], own=own)
    report = validate_verdicts(
        examples, verdicts, BOOL, context=context, reference="gpt-4-turbo",
        title="TTCW: does the story pass this test of creativity?", noun="tests", n_boot=boot,
    )  # fmt: skip
    votes = Counter(vote.value for one in examples for vote in one.votes)
    no = report.labels["false"] / report.n_rows
    leans = [judge.lean for judge in report.judges]
    figures = [judge.agreement.metrics["agreement"].value or 0.0 for judge in report.judges]
    kappas = [judge.agreement.metrics["kappa"].value or 0.0 for judge in report.judges]
    return report, [
        *near("ttcw-alpha", "TTCW: Krippendorff's alpha of the raters", report.people_alpha.value or 0.0, 0.14, 0.06),
        *near("ttcw-no", "TTCW: the majority says no", no, 0.85, 0.04),
        check("ttcw-lenient", "TTCW: judges whose excess of passes lies above 0 with its interval",
              sum((lean.low or -1) > 0 for lean in leans), "==", len(leans)),
        check("ttcw-least-lean", "TTCW: the least lenient judge passes this much more than people",
              min(lean.value or 0.0 for lean in leans), ">=", 0.3),
        check("ttcw-accuracy", "TTCW: the best judge's agreement, below always saying no", max(figures), "<=", no),
        check("ttcw-kappa", "TTCW: the best judge's kappa", max(kappas), "<=", 0.2),
        *near("ttcw-votes", "TTCW: single votes that say no", votes[False] / votes.total(), 0.7, 0.1),
    ]  # fmt: skip


def known(
    examples: list[LabelledExample],
    value_type: ValueType,
    home: Path,
    slices: list[str] | None = None,
    own: dict[str, frozenset[str]] | None = None,
) -> Context:
    from dataclasses import replace

    with Session(home) as session, use_session(session):
        found = context_of(examples, value_type, slices=slices or [], embedder="local:/minilm")
    return replace(found, own=own or {})


def sheet(report: VerdictReport, name: str) -> Any:
    return next(judge for judge in report.judges if judge.name == name)


def near(name: str, what: str, value: float, goal: float, slack: float = 0.01) -> list[dict[str, Any]]:
    """A known figure is reproduced to `slack`."""
    return [
        check(f"{name}-low", f"{what} (known: {goal})", value, ">=", round(goal - slack, 4)),
        check(f"{name}-high", f"{what} (known: {goal})", value, "<=", round(goal + slack, 4)),
    ]


def against_agreed(examples: list[LabelledExample]) -> float:
    """Each rater against the others of the row, where those agree among themselves."""
    hits = [
        vote.value == others[0]
        for one in examples
        for vote in one.votes
        if len(set(others := [v.value for v in one.votes if v.rater != vote.rater])) == 1
    ]
    return sum(hits) / len(hits)


def decided(one: LabelledExample) -> bool:
    first, second = texts(one)
    return one.gold in ("1", "2") and len(first) != len(second)


def same_side(one: LabelledExample, *, long: bool) -> bool:
    first, second = texts(one)
    return bool(one.gold == ("1" if (len(first) > len(second)) == long else "2"))


def texts(one: LabelledExample) -> tuple[str, str]:
    return one.fields["outputs"]["output_1"], one.fields["outputs"]["output_2"]


def both_orders(own: Verdicts, gold: dict[str, Any]) -> float:
    """Mean over both orders."""
    columns = (own.judged, own.exchanged)
    hits = [isinstance(j, Scored) and j.value == gold[i] for column in columns for i, j in column.items()]
    return sum(hits) / len(hits)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the .jsonl files")
    parser.add_argument("--home", type=Path, default=Path(".judge_opt"), help="where embeddings are kept")
    parser.add_argument("--resamples", type=int, default=2000)
    options = parser.parse_args()
    rows, checks = [], []
    for make in (pandalm, llmbar, ttcw):
        report, found = make(options.data, options.home, options.resamples)
        name = make.__name__
        report = report.model_copy(
            update={"how": ["python -m benchmarks.validation.run --data ../shared/data"]}
        )
        write_report(report, HERE / name)
        no_texts(HERE / name, options.data / f"{name}.jsonl")
        rows += [line(name, report, judge) for judge in report.judges]
        checks += found
        print(f"{name}: {report.headline}", flush=True)
    write_results(
        HERE, "python -m benchmarks.validation.run --data ../shared/data", rows, checks,
        ("numpy", "scipy", "scikit-learn", "krippendorff"),
    )  # fmt: skip


def no_texts(folder: Path, data: Path) -> None:
    """What is committed must hold no text of the data: no 60 characters of any."""
    written = "".join(path.read_text() for path in sorted(folder.iterdir()))
    for row in map(json.loads, data.read_text().splitlines()):
        for text in strings([row["inputs"], row["outputs"], row["human"], row["judge"]]):
            piece = text.strip()[:60]
            if len(piece) == 60 and (piece in written or json.dumps(piece)[1:-1] in written):
                raise SystemExit(f"{folder.name} holds text of row {row['id']}")


def strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for one in inner for text in strings(one)]


def line(name: str, report: VerdictReport, judge: Any) -> dict[str, Any]:
    plain, primary = judge.agreement.metrics["agreement"], judge.agreement.metrics[report.metric]
    test = judge.alt_test
    return {
        "data": name,
        "judge": judge.name,
        "coverage": round(judge.agreement.coverage, 4),
        "agreement": [rounded(x) for x in (plain.value, plain.low, plain.high)],
        report.metric: [rounded(x) for x in (primary.value, primary.low, primary.high)],
        "calibrated": rounded(judge.calibrated.primary.value),
        "lean": rounded(judge.lean.value),
        "alpha_with_people": rounded(judge.alpha_with_people.value),
        "replaces_a_rater": None if test is None else test.passed,
        "consistent": None if judge.position is None else rounded(judge.position.consistent.value),
        "first_place": None if judge.position is None else rounded(judge.position.first.value),
    }


def rounded(x: float | None) -> float | None:
    return None if x is None else round(x, 4)


if __name__ == "__main__":
    main()
