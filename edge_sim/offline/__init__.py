"""A group on a board without the cloud: its packages from this machine, its plan, its layout, who may open what.

inputs          GROUP and --source: the group, and where its packages lie
packages        packages packed, named by their content, and what is in them
target          the board: a profile, a root directory, a listing, a tar file
plan            the plan of a group on a board           plantext     a plan or a drift for people, and as JSON
apply, drift    carry a plan out; where a board differs
access          who may open what, by the plan alone     accesstext   for people
"""
