"""Lesson 09: the guide's formulas, strategies and tables for "parametrization", held against measurement.

    formulas      the guide's prescriptions, exactly as written, its worked examples recomputed
    audit         each knob of a live config: recommended, measured, and what it can change at all
    checklist     the guide's ten points, looked for in a project folder or a config
    measure       where the optimum of top_k, threshold, dimension, λ and dropout lies, by size
    interactions  one setting at a time against all at once; ablations in every order
    recorded      what reads many long prompts or trains many heads
    figures       the lesson's figures and its widget

`python -m helpers.parametrization --documents 10000` prints the audit.
"""
