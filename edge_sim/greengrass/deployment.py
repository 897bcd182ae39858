"""How a deployment stands, in the words of GetDeploymentStatus (botocore greengrass 2017-06-07 has them as strings)."""

from __future__ import annotations

from typing import Literal

Status = Literal["Building", "InProgress", "Success", "Failure"]
RUNNING: tuple[Status, ...] = ("Building", "InProgress")
ENDED: tuple[Status, ...] = ("Success", "Failure")
