"""A deployment on the board: prepared aside, changed over at once, its secrets, layout and record."""

GROUP = "ggc/deployment/group/group.json"
"""The deployed group, below the Greengrass root; here, so that an idle agent need not import what deploys."""
STAGING = "ggc/.deploying"
"""Where one is prepared, below the Greengrass root. It is there while one is at work, or was killed."""
