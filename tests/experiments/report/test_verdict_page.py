"""The page of a report on verdicts: inert, readable without seeing it, the same bytes, honest."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from judge_opt.experiments.report.verdicts import render_verdicts_html, render_verdicts_markdown
from judge_opt.experiments.verdicts import write_report
from judge_opt.validate import VerdictReport

from .test_report import ALLOWED_SVG, HOSTILE, Page
from .verdict_world import make_report


@pytest.fixture(scope="module")
def report() -> VerdictReport:
    return make_report()


@pytest.fixture(scope="module")
def hostile() -> VerdictReport:
    return make_report(HOSTILE.replace("\ud800", "").replace("\x00", ""))


def test_the_page_holds_every_part(report: VerdictReport) -> None:
    html = render_verdicts_html(report)
    text = " ".join("".join(Page(html).text).split())
    for part in (
        "The gate", "What was judged, and by whom", "The judges", "By slice", "large", "small", "Worst disagreements",
        "alternative annotator test", "Asked 2 times", "verbosity", "Each label against the rest", "Reproduce",
        "Brier score", "independent votes", "From 1 of them",
    ):  # fmt: skip
        assert part in text, part
    assert report.decision is not None
    assert text.index(report.headline[:40]) < text.index("The judges")


@pytest.mark.parametrize("which", ["report", "hostile"])
def test_it_is_inert_and_self_contained(which: str, request: pytest.FixtureRequest) -> None:
    html = render_verdicts_html(request.getfixturevalue(which))
    page = Page(html)
    assert page.open == []
    bad = {"script", "iframe", "object", "embed", "link", "base", "form", "img"}
    assert not {tag for tag, _ in page.tags} & bad
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("href", "src", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")
    for svg in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        assert {tag for tag, _ in Page(svg).tags} <= ALLOWED_SVG
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\U000e0000-\U000e007f\x07\x1b]", html)
    html.encode("utf-8")


def test_it_can_be_read_without_seeing_it(report: VerdictReport) -> None:
    html = render_verdicts_html(report)
    page = Page(html)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert {(a["href"] or "")[1:] for t, a in page.tags if t == "a"} <= set(ids)
    for svg in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        assert "<desc" in svg


def test_markdown_is_inert_and_says_the_same(report: VerdictReport, hostile: VerdictReport) -> None:
    assert "The gate" in render_verdicts_markdown(report)
    text = render_verdicts_markdown(hostile).split("## Reproduce")[
        0
    ]  # below, a block of code that nothing closes
    assert "<script" not in text
    assert "](" not in text.replace("\\](", "")
    assert "\u202e" not in text
    assert "\x1b" not in text


def test_the_same_report_gives_the_same_bytes(report: VerdictReport, tmp_path: Path) -> None:
    again = VerdictReport.model_validate_json(report.model_dump_json())
    assert again == report
    one, other = write_report(report, tmp_path / "a"), write_report(again, tmp_path / "b")
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in other]
