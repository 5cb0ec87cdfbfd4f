"""Lesson 07: training on several processes and machines, and what is simpler than that.

    training   the script that torchrun starts: one for 1 to N ranks, gloo or nccl
    launch     starts ranks, ends them at a time limit, leaves none behind
    allreduce  the ring, by hand
    sharding   what a rank keeps: replicas, ZeRO, FSDP
    measuring  where a step's time goes, for one process and for several
    model      Amdahl and a price for every message: a prediction for machines that are not here
    data       the classifier's texts as vectors
    cluster    Ray: a search and an embedding that survive a killed worker
    plan       a million documents, on paper
    figures    the lesson's figures
    recorded   what is too long for a notebook

`python -m helpers.scaling.distributed --ranks 2` trains in a terminal. Nothing is imported here, so that a rank
loads what it needs and no language model.
"""
