"""Lesson 01: five ways to search for settings, one interface, and what noise does to all of them.

    space       what may be tried: Uniform, LogUniform, Integer, Choice
    trials      what was tried: Trials, which stop, resume from a JSON file, and survive failures
    search      grid, random, TPE, Gaussian process, successive halving
    objectives  what is scored: the language model's answers, retrieval, a classifier
    study       experiments on top: noise, winner's curse, many seeds of a search
    recorded    what is too long for a notebook
    figures     the lesson's figures and widgets

`python -m helpers.tuning --method tpe --trials 100` searches in a terminal.
"""

from .search import (
    expected_improvement,
    gp_search,
    grid_search,
    random_search,
    successive_halving,
    tpe_search,
)
from .space import Choice, Integer, LogUniform, Uniform, grid, sample
from .trials import Trial, Trials

__all__ = [
    "Choice",
    "Integer",
    "LogUniform",
    "Trial",
    "Trials",
    "Uniform",
    "expected_improvement",
    "gp_search",
    "grid",
    "grid_search",
    "random_search",
    "sample",
    "successive_halving",
    "tpe_search",
]
