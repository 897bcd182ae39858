"""A group on a board without the cloud: its packages from this machine, its plan, its layout, who may open what.

given      GROUP and --source: the group, and where its packages lie
packages   packages packed, named by their content, and what is in them
target     the board: a profile, a root directory, a listing, a tar file
planning   the plan of a group on a board
"""
