"""Probabilities of whole answers under a language model, through the prefix tree of their tokens.

Answers that share tokens are told apart where they first differ, so a label of several tokens is scored
in full and none is favoured for being short: the probability of an answer is the product, over the
branches on its way, of its share among the tokens that lead on to an allowed answer. That is the
distribution from which constrained decoding samples. Each branching point costs one forward pass; most
label sets branch once.
"""

from collections.abc import Callable, Sequence

Tokens = tuple[int, ...]


def answer_probabilities(
    answers: Sequence[Tokens], next_token: Callable[[Tokens, Sequence[int]], dict[int, float]]
) -> list[float]:
    """One probability an answer, summing to 1.

    Args:
        answers: token sequences, distinct, none a prefix of another (end each with a closing mark).
        next_token: given the tokens so far and the candidates, their probabilities, summing to 1.

    Raises:
        ValueError: two answers are equal or one is a prefix of another.
    """
    probabilities = [1.0] * len(answers)

    def descend(members: list[int], depth: int) -> None:
        if len(members) == 1:
            return
        if any(len(answers[i]) <= depth for i in members):
            raise ValueError("an answer is a prefix of another")
        branches: dict[int, list[int]] = {}
        for i in members:
            branches.setdefault(answers[i][depth], []).append(i)
        if len(branches) > 1:
            odds = next_token(answers[members[0]][:depth], sorted(branches))
            for token, inside in branches.items():
                for i in inside:
                    probabilities[i] *= odds[token]
        for inside in branches.values():
            descend(inside, depth + 1)

    descend(list(range(len(answers))), 0)
    return probabilities
