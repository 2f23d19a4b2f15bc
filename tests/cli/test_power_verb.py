"""`judge-opt power`: both directions, and what it refuses."""

import pytest
from cli_helpers import Run

from judge_opt.validate.power import gain_power, kappa_width, labels_for_agreement, labels_for_gain


def test_labels_for_a_width_and_back(judge_opt: Run) -> None:
    ended = judge_opt("power", "--agreement", "0.8", "--width", "0.1", "--json")
    assert ended.json["labels"] == labels_for_agreement(0.8, 0.1)
    ended = judge_opt("power", "--kappa", "0.6", "--shares", "0.8,0.2", "--labels", "100", "--json")
    assert ended.json["width"] == pytest.approx(kappa_width(0.6, [0.8, 0.2], 100))


def test_labels_for_a_gain_and_back(judge_opt: Run) -> None:
    said = judge_opt(
        "power", "--gain", "0.1", "--discordance", "0.2", "--rows-a-group", "3", "--correlation", "0.5"
    )
    assert said.code == 0
    assert str(labels_for_gain(0.1, 0.2, effect=2)) in said.out
    assert "design effect" in said.out
    ended = judge_opt(
        "power", "--gain", "0.1", "--discordance", "0.2", "--labels", "100", "--two-sided", "--json"
    )
    assert ended.json["power"] == pytest.approx(gain_power(0.1, 0.2, 100, two_sided=True))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "exactly one of"),
        (["--kappa", "0.6", "--gain", "0.1"], "exactly one of"),
        (["--kappa", "0.6"], "Give --width, or --labels"),
        (["--gain", "0.1"], "--discordance is missing"),
        (["--gain", "0.1", "--discordance", "0.2", "--width", "0.1"], "--width goes with"),
        (["--kappa", "0.6", "--width", "0.2", "--shares", "x"], "no list of numbers"),
        (["--kappa", "1", "--width", "0.2"], "is not in [0, 1)"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(judge_opt: Run, arguments: list[str], words: str) -> None:
    ended = judge_opt("power", *arguments)
    assert ended.code == 2
    assert words in ended.err
    assert ended.err.count("\n") == 1
