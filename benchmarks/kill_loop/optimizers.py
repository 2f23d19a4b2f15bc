"""The optimizers that are killed; a child process imports them by name."""

from judge_opt.align.calibrate import Calibrate
from judge_opt.align.gepa import GEPA
from judge_opt.align.memalign import MemAlign
from judge_opt.align.simba import SIMBA

REFLECTION = "openai:/sim-reflect"


def simba(concurrency: int) -> SIMBA:
    return SIMBA(reflection_lm=REFLECTION, max_calls=160, concurrency=concurrency)


def gepa(concurrency: int) -> GEPA:
    return GEPA(reflection_lm=REFLECTION, max_calls=160, concurrency=concurrency)


def memalign(concurrency: int) -> MemAlign:
    return MemAlign(
        reflection_lm=REFLECTION, embedder="openai:/sim-embed", first_rows=6, concurrency=concurrency
    )


def calibrate(concurrency: int) -> Calibrate:
    return Calibrate(concurrency=concurrency)


OPTIMIZERS = {"memalign": memalign, "simba": simba, "gepa": gepa, "calibrate": calibrate}
