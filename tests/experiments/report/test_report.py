"""The report: inert, self-contained, accessible, the same bytes for the same run, and honest."""

import io
import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest
from rich.console import Console

from judge_opt.core.results import Scored
from judge_opt.core.values import ValueType, categories
from judge_opt.experiments.report import RunReport, render_html, render_markdown, render_terminal
from judge_opt.experiments.report.safe import fenced, markdown
from judge_opt.validate import validate

from .conftest import make_run, make_validation

VOID = {"meta", "br", "img", "hr", "link", "input"}
ALLOWED_SVG = {"svg", "g", "path", "text", "defs", "use", "clippath", "rect", "title", "desc", "tspan"}
HOSTILE = (
    '<script>alert(1)</script> <img src=x onerror=alert(2)> "\' onmouseover="alert(3) '
    "<a href='javascript:alert(4)'>x</a> </style></title></svg> {{ 7 * 7 }} $\\frac{1}{0}$ "
    "\u202egnp.exe\u2066 \x1b[31m\x1b]8;;http://evil\x07 [red]x[/red] \u200b \ud800 \U000e0041 \x00"
)


class Page(HTMLParser):
    """Tags, attributes and text of a page, and whether the tags nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def poisoned(value: Any) -> Any:
    """Every text of the run replaced by hostile text, but for the ones with a fixed set of values."""
    fixed = {"status", "state"}
    if isinstance(value, str):
        return HOSTILE
    if isinstance(value, list):
        return [poisoned(each) for each in value]
    if isinstance(value, dict):
        out = {}
        for key, each in value.items():
            if key == "validation":
                out[key] = each
            elif key in ("item", "settings", "versions", "timings", "labels", "split_sizes"):
                out[key] = {f"{HOSTILE}{n}": poisoned(x) for n, x in enumerate(each.values())}
            else:
                out[key] = each if key in fixed else poisoned(each)
        return out
    return value


@pytest.fixture(scope="module")
def hostile() -> RunReport:
    """The realistic run with hostile text in every field and hostile labels in the validation."""
    labels = ("<script>alert(5)</script>", "\u202e$x$", "ok")
    gold = [labels[i % 3] for i in range(60)]
    before = [Scored(labels[(i // 2) % 3]) for i in range(60)]
    after = [Scored(g) if i % 5 else Scored(labels[0]) for i, g in enumerate(gold)]
    groups = [f"{HOSTILE}{i}" for i in range(60)]
    validation = validate(
        gold, before, after, groups, categories(*labels), ids=groups, n_boot=100, noun=HOSTILE
    )
    data = poisoned(make_run(make_validation()).model_dump(mode="json"))
    data["validation"] = validation.model_dump(mode="json")
    data["status"] = "promoted" if validation.decision.promoted else "not_promoted"
    return RunReport.model_validate(data)


@pytest.mark.parametrize("which", ["run", "unpromoted", "failed", "hostile"])
def test_the_page_is_inert_and_self_contained(which: str, request: pytest.FixtureRequest) -> None:
    html = render_html(request.getfixturevalue(which))
    page = Page(html)
    assert page.open == []
    assert not {tag for tag, _ in page.tags} & {
        "script",
        "iframe",
        "object",
        "embed",
        "link",
        "base",
        "form",
        "img",
    }
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("href", "src", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")
        assert "url(" not in (attributes.get("style") or "") or "url(#" in (attributes.get("style") or "")
    policy = next(a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_hostile_text_is_shown_and_does_nothing(hostile: RunReport) -> None:
    html = render_html(hostile)
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "{{ 7 * 7 }}" in html
    assert not re.search(
        "[\u202a-\u202e\u2066-\u2069\u200b\ud800-\udfff\U000e0000-\U000e007f\x00\x07\x1b]", html
    )
    assert "\\u202egnp.exe" in html
    html.encode("utf-8")


def test_plots_hold_drawing_alone(run: RunReport) -> None:
    html = render_html(run)
    found = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(found) == 5
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    for svg in found:
        page = Page(svg)
        assert {tag for tag, _ in page.tags} <= ALLOWED_SVG
        attributes = page.tags[0][1]
        assert attributes["role"] == "img"
        assert set((attributes["aria-labelledby"] or "").split()) <= set(ids)
        assert set(re.findall(r"(?:href=\"|url\()#([\w-]+)", svg)) <= set(ids)
    assert "http" not in html.split("<footer")[0].replace("http-equiv", "")


def test_the_page_can_be_read_without_seeing_it(run: RunReport) -> None:
    page = Page(render_html(run))
    tags = [tag for tag, _ in page.tags]
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    assert tags.count("table") == tags.count("caption")
    assert dict(page.tags)["html"] == {"lang": "en"}
    targets = {a["id"] for _, a in page.tags if "id" in a}
    assert {(a["href"] or "")[1:] for t, a in page.tags if t == "a"} <= targets


def test_the_same_run_gives_the_same_bytes(run: RunReport) -> None:
    again = RunReport.model_validate_json(run.model_dump_json())
    assert again == run
    assert render_html(again) == render_html(run)
    assert render_markdown(again) == render_markdown(run)


def test_the_users_plot_style_does_not_show(run: RunReport) -> None:
    import matplotlib as mpl

    plain = render_html(run)
    with mpl.rc_context(
        {"font.size": 30, "axes.facecolor": "red", "lines.linewidth": 9, "svg.fonttype": "path"}
    ):
        styled = render_html(run)
        assert mpl.rcParams["font.size"] == 30
    assert styled == plain


def test_the_conclusion_comes_first_in_all_three(run: RunReport, unpromoted: RunReport) -> None:
    for each, verdict in ((run, "Promoted"), (unpromoted, "Not promoted")):
        assert each.validation is not None
        assert each.conclusion == each.validation.headline
        text = "".join(Page(render_html(each)).text).replace("\u00a0", " ")
        assert text.index(verdict) < text.index(each.conclusion) < text.index("Read with care")
        assert render_markdown(each).splitlines()[2].startswith(f"**{verdict}.**")
        assert terminal(each).startswith(verdict)


def terminal(run: RunReport, *, colours: bool = False) -> str:
    out = io.StringIO()
    console = Console(
        file=out, width=80, height=40, force_terminal=colours, color_system="truecolor" if colours else None
    )
    render_terminal(run, console, html="runs/x/report.html")
    return out.getvalue()


@pytest.mark.parametrize("which", ["run", "unpromoted", "failed"])
def test_the_terminal_report_fits_80_by_40(which: str, request: pytest.FixtureRequest) -> None:
    lines = terminal(request.getfixturevalue(which)).splitlines()
    assert len(lines) <= 38
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "Report: runs/x/report.html"


def test_hostile_text_does_not_reach_the_terminal(hostile: RunReport) -> None:
    plain = terminal(hostile)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", plain)
    assert "[red]x" in plain
    coloured = re.sub("\x1b\\[[0-9;]*m", "", terminal(hostile, colours=True))
    assert "\x1b" not in coloured


def test_markdown_is_inert(hostile: RunReport) -> None:
    text = render_markdown(hostile)
    outside = re.sub(r"^(`{3,})\n.*?\n\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert "<" not in outside
    assert not re.search(r"(?<!\\)\[", outside)
    assert "http:" not in outside
    assert markdown("a|b\n# c [x](javascript:y) http://z") == (
        "a\\|b \\# c \\[x\\]\\(javascript:y\\) http&#58;//z"
    )
    assert fenced("```\nout").startswith("````\n")


def test_the_status_must_be_what_the_gate_said(run: RunReport, unpromoted: RunReport) -> None:
    for each, wrong in ((run, "not_promoted"), (unpromoted, "promoted")):
        with pytest.raises(ValueError, match="contradicts the gate"):
            RunReport.model_validate(each.model_dump() | {"status": wrong})
    with pytest.raises(ValueError, match="needs a validation"):
        RunReport.model_validate(run.model_dump() | {"validation": None})


def test_a_bare_run_renders(run: RunReport) -> None:
    """Floats, no raters, no train rows, no probabilities, nothing learned, price not known."""
    gold = [i / 60 for i in range(60)]
    ids = [str(i) for i in range(60)]
    validation = validate(
        gold, [Scored(0.5)] * 60, [Scored(g) for g in gold], ids, ValueType("float"), ids=ids, n_boot=50
    )
    bare = RunReport(
        title="Bare",
        status="promoted" if validation.decision.promoted else "not_promoted",
        validation=validation,
        data=run.data,
        judge=run.judge,
        optimizer="NoOp",
        environment=run.environment,
        ledger=[run.ledger[0].model_copy(update={"usd": None})],
    )
    html = render_html(bare)
    assert "No row has two raters" in html
    assert "Nothing was learned." in html
    assert "not known" in html
    render_markdown(bare)
    assert "price not known" in terminal(bare)
