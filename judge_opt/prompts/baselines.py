"""The cheap ways to other prompts, on the same board: what a search has to beat.

"one shot": the reflection model sees one set of runs and writes every text anew, once. "random": it writes one text of
the seed anew again and again and sees no run at all; the best on the rows for choosing is taken.
"""

import random

from judge_opt.prompts.board import Candidate
from judge_opt.prompts.evolving import Evolution


def one_shot(search: Evolution) -> None:
    """Rewrite each text of the seed from one minibatch of its runs, and run the result on the rows for choosing.

    Raises:
        BudgetExceeded, ModelError: as of `Evolution.run`.
    """
    board = search.board
    rolled = board.roll(board.seed, search.order[: search.minibatch], "run the seed")
    texts = dict(board.seed.texts)
    for number, (component, text) in enumerate(board.seed.texts.items(), 1):
        made = search.rewriter.rewrite(component, text, rolled, number)
        texts[component] = text if made is None else made
    if texts != board.seed.texts:
        _settle(
            search,
            board.add(texts, board.seed, ", ".join(texts), [one.row.id for one in rolled]),
        )


def random_search(search: Evolution) -> None:
    """Rewrite a text of the seed, drawn by lot, until the proposals, the patience or the budget are used up.

    Raises:
        BudgetExceeded, ModelError: as of `Evolution.run`.
    """
    board, rng = search.board, random.Random(f"{search.seed} random")
    while search.number < search.proposals and not search.stopped:
        if not search.room:
            search.stopped = "budget"
            return
        search.number += 1
        search.fruitless += 1
        component = rng.choice(list(board.seed.texts))
        made = search.rewriter.rewrite(component, board.seed.texts[component], None, search.number)
        if made is not None:
            one = board.add({**board.seed.texts, component: made}, board.seed, component, ())
            if one.number and not one.settled:
                _settle(search, one)
        if search.fruitless >= search.patience:
            search.stopped = "no progress"


def _settle(search: Evolution, one: Candidate) -> None:
    if not search.room:
        search.stopped = "budget"
        one.why = "no room in the budget to run it on the rows for choosing"
        return
    search.board.roll(one, search.valid, "run a new prompt")
    one.settled = True
    search.fruitless = 0
    search.keep()
