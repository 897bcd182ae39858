"""What Greengrass V2 would make of a V1 group: components, deployment, tree, processes, and what changes. Pure.

    nucleus.py     the two cores of V2, as facts        move.py       what is looked at: a group and two boards
    verdicts.py    what each function becomes           designs.py    where each model's files go
    checks/        what blocks, what changes, what to know

Nothing here was tried on a V2 core: every statement is sourced, inferred or ours, and says which.
"""
