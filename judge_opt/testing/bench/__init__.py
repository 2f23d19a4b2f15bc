"""Optimizers compared in the simulated lab: a grid of cells, a journal, a table with paired intervals.

    judge-opt bench configs/bench/small.yaml

A cell is one arm in one world with one number of labels. Cells are run by worker processes, each cell with a
server of its own, and written to a journal as they end; a killed run resumes. What is read from the journal
does not depend on the order in which cells ended. Rivals join by a class that a configuration names.
"""
