"""A deployment on the board: prepared aside, changed over at once, its secrets, layout and record."""

GROUP = "ggc/deployment/group/group.json"
"""The deployed group, below the Greengrass root; here, so that an idle agent need not import what deploys."""
