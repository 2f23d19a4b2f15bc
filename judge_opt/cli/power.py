"""`judge-opt power`: how many labels are needed, or what a number of labels can show."""

from typing import Annotated, Any

import typer

from judge_opt.cli import output
from judge_opt.cli.options import Json
from judge_opt.core.errors import EXIT_OK, UsageError


def power(
    agreement: Annotated[
        float | None, typer.Option("--agreement", help="Expected agreement with people, such as 0.8.")
    ] = None,
    kappa: Annotated[
        float | None, typer.Option("--kappa", help="Expected Cohen's kappa, such as 0.6.")
    ] = None,
    shares: Annotated[
        str, typer.Option("--shares", help="For --kappa: how often each label occurs.")
    ] = "0.5,0.5",
    width: Annotated[
        float | None, typer.Option("--width", help="Wanted width of the interval, from end to end.")
    ] = None,
    gain: Annotated[
        float | None, typer.Option("--gain", help="Agreement of the new judge less that of the old one.")
    ] = None,
    discordance: Annotated[
        float | None,
        typer.Option("--discordance", help="For --gain: rows on which exactly one of the two is right."),
    ] = None,
    wanted_power: Annotated[
        float, typer.Option("--power", help="For --gain: wanted chance to find it.")
    ] = 0.8,
    alpha: Annotated[float, typer.Option("--alpha", help="For --gain: level of the test.")] = 0.05,
    two_sided: Annotated[
        bool, typer.Option("--two-sided", help="For --gain; the gate tests one side.")
    ] = False,
    labels: Annotated[
        int | None, typer.Option("--labels", help="The other way round: what can this many rows show?")
    ] = None,
    rows_a_group: Annotated[
        float, typer.Option("--rows-a-group", help="Mean rows of one session, prompt or article.")
    ] = 1.0,
    correlation: Annotated[
        float, typer.Option("--correlation", help="Of two rows of one group: 0 (none) to 1 (copies).")
    ] = 0.0,
    confidence: Annotated[float, typer.Option("--confidence", help="Of the interval.")] = 0.95,
    as_json: Json = False,
) -> int:
    """How many labels for an interval of a wanted width, or to find a gain.

    One of --agreement, --kappa and --gain says what is measured. With --labels the width, or the chance
    to find the gain, is told instead.
    """
    from judge_opt.validate import power as sizes

    asked = {
        name: x for name, x in (("agreement", agreement), ("kappa", kappa), ("gain", gain)) if x is not None
    }
    if len(asked) != 1:
        raise UsageError(
            "Say what is measured: exactly one of --agreement, --kappa and --gain.",
            "For example: judge-opt power --kappa 0.6 --width 0.2",
        )
    effect = sizes.design_effect(rows_a_group, correlation)
    fixed: dict[str, Any] = {"effect": effect}
    if gain is not None:
        if discordance is None:
            raise UsageError(
                "--discordance is missing.", "Give the share of rows on which the judges differ."
            )
        if width is not None:
            raise UsageError("--width goes with --agreement or --kappa.", "Leave it out.")
        fixed |= {"alpha": alpha, "two_sided": two_sided}
        result: dict[str, Any] = {"gain": gain, "discordance": discordance, **fixed}
        if labels is None:
            result |= {"power": wanted_power}
            result["labels"] = sizes.labels_for_gain(gain, discordance, power=wanted_power, **fixed)
        else:
            result |= {"labels": labels, "power": sizes.gain_power(gain, discordance, labels, **fixed)}
        sentence = (
            f"{result['labels']:,} labelled rows find a gain of {100 * gain:g} points in agreement with a chance "
            f"of {100 * result['power']:.0f} %, where the judges differ in being right on "
            f"{100 * discordance:g} % of the rows ({'two' if two_sided else 'one'}-sided, level {alpha:g})."
        )
    else:
        if (width is None) == (labels is None):
            raise UsageError("Give --width, or --labels.", "The other one is the answer.")
        fixed["confidence"] = confidence
        title, expected = next(iter(asked.items()))
        result = {title: expected, **fixed}
        if kappa is not None:
            result["shares"] = _numbers(shares)
        if kappa is None:
            if width is not None:
                result |= {"width": width, "labels": sizes.labels_for_agreement(expected, width, **fixed)}
            elif labels is not None:
                result |= {"labels": labels, "width": sizes.agreement_width(expected, labels, **fixed)}
        elif width is not None:
            found = sizes.labels_for_kappa(kappa, result["shares"], width, **fixed)
            result |= {"width": width, "labels": found}
        elif labels is not None:
            result |= {"labels": labels, "width": sizes.kappa_width(kappa, result["shares"], labels, **fixed)}
        sentence = (
            f"{result['labels']:,} labelled rows give a {100 * confidence:g} % interval of {title} that is "
            f"{result['width']:.3g} wide, where {title} is about {expected:g}."
        )
    if as_json:
        output.emit(result)
        return EXIT_OK
    output.line(sentence)
    if effect > 1:
        output.line(f"Rows of one group are alike: {effect:.2f} rows count for one (design effect).")
    return EXIT_OK


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(
            f"--shares {text[:60]!r} is no list of numbers.", "Write for example 0.8,0.2"
        ) from None
