"""`python -m judge_opt`: the same as `judge-opt`."""

from judge_opt.cli import main

main()
