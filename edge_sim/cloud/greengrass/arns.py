"""ARNs of the local cloud. AWS wrote Greengrass's with a slash before ``greengrass``, moto without: both are read."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge_sim.arns import SOMEWHERE, TARGET, arn, pattern

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_VERSIONED = re.compile(pattern("greengrass", f"/?greengrass/([a-z/]+)/({_UUID})(?:/versions/({_UUID}))?", SOMEWHERE))
_ROLE = re.compile(pattern("iam", r"role/[\w+=,.@/-]{1,512}", ":[0-9]{12}"), re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Namespace:
    """The region and account that every ARN of one cloud has."""

    region: str
    account: str

    def greengrass(self, path: str) -> str:
        """Return the ARN of ``greengrass/<path>``, in AWS's own form."""
        return arn("greengrass", f"/greengrass/{path}", f"{self.region}:{self.account}")

    def version(self, arn: str, path: str) -> tuple[str, str] | None:
        """Return the ids of a definition or group and its version, of an ARN of this cloud below a path, or None."""
        match = _VERSIONED.fullmatch(arn)
        if match is None or match.group(1, 2, 3) != (self.region, self.account, path) or match[5] is None:
            return None
        return match[4], match[5]

    def versioned(self, arn: str, path: str) -> str | None:
        """Return the id of a definition or group, of its own ARN in this cloud below a path, or None."""
        match = _VERSIONED.fullmatch(arn)
        mine = match is not None and match.group(1, 2, 3, 5) == (self.region, self.account, path, None)
        return match[4] if match and mine else None

    def is_target(self, arn: str) -> bool:
        """Say whether an ARN names a thing or a thing group of this region and account."""
        match = TARGET.fullmatch(arn)
        return match is not None and match.group(1, 2) == (self.region, self.account)


def is_role(arn: str) -> bool:
    """Say whether an ARN has the form of an IAM role's; whether the role exists is not known here."""
    return _ROLE.fullmatch(arn) is not None
