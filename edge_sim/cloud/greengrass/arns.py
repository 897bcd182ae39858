"""ARNs of the local cloud. AWS wrote Greengrass's with a slash before ``greengrass``, moto without: both are read."""

from __future__ import annotations

import re
from dataclasses import dataclass

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_VERSIONED = re.compile(
    rf"arn:aws[a-z-]*:greengrass:([a-z0-9-]+):(\d{{12}}):/?greengrass/([a-z/]+)/({_UUID})(?:/versions/({_UUID}))?"
)
_TARGET = re.compile(r"arn:aws[a-z-]*:iot:([a-z0-9-]+):(\d{12}):(thing|thinggroup)/([a-zA-Z0-9:_-]{1,128})")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]{1,512}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Namespace:
    """The region and account that every ARN of one cloud has."""

    region: str
    account: str

    def greengrass(self, path: str) -> str:
        """Return the ARN of ``greengrass/<path>``, in AWS's own form."""
        return f"arn:aws:greengrass:{self.region}:{self.account}:/greengrass/{path}"

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
        match = _TARGET.fullmatch(arn)
        return match is not None and match.group(1, 2) == (self.region, self.account)


def is_role(arn: str) -> bool:
    """Say whether an ARN has the form of an IAM role's; whether the role exists is not known here."""
    return _ROLE.fullmatch(arn) is not None
