"""The optimizers that are killed; a child process imports them by name."""

from judge_opt.align.gepa import GEPA
from judge_opt.align.simba import SIMBA

REFLECTION = "openai:/sim-reflect"


def simba(concurrency: int) -> SIMBA:
    return SIMBA(reflection_lm=REFLECTION, max_calls=160, concurrency=concurrency)


def gepa(concurrency: int) -> GEPA:
    return GEPA(reflection_lm=REFLECTION, max_calls=160, concurrency=concurrency)


OPTIMIZERS = {"simba": simba, "gepa": gepa}
