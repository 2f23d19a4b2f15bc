"""The judges, the baselines and the human ceiling on one list: what the plots and tables show."""

from dataclasses import dataclass
from typing import Literal

from judge_opt.validate import Figure, ValidationReport

Role = Literal["before", "after", "baseline", "ceiling"]

BASELINE_NAMES = {
    "constant": "Always one label",
    "text_classifier": "Text classifier",
    "nearest_neighbour": "Nearest labelled example",
    "five_neighbours": "Five nearest examples",
    "output_length": "Output length alone",
    "calibrated_judge": "Untouched judge, calibrated",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """One line: who, and the two figures."""

    name: str
    role: Role
    agreement: Figure
    primary: Figure


def standings(validation: ValidationReport) -> list[Standing]:
    """Aligned judge, untouched judge, baselines, people (one rater against the others).

    Both judges are on the rows that both scored, as in the headline.
    """
    compared = validation.comparison
    out = [
        Standing("Aligned judge", "after", compared.agreement_after, compared.after),
        Standing("Untouched judge", "before", compared.agreement_before, compared.before),
    ]
    out += [
        Standing(BASELINE_NAMES[b.name], "baseline", b.agreement, b.primary) for b in validation.baselines
    ]
    ceiling = validation.ceiling
    if ceiling.agreement.value is not None or ceiling.primary.value is not None:
        out.append(Standing("Human ceiling", "ceiling", ceiling.agreement, ceiling.primary))
    return out
