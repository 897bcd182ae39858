"""The two cores of Greengrass V2, as facts: where each keeps its files, whose they are, and what it needs of a board.

Sources: aws-greengrass-nucleus at a28341c (``NucleusPaths``, ``Permissions``, ``UnixPlatform``), aws-greengrass-lite at
326e992 (docs/SETUP.md, docs/RESOURCE_LIMITS.md, ``constants.h``), the V2 guide's setting-up page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

NucleusName = Literal["classic", "lite"]
NUCLEI: tuple[NucleusName, ...] = get_args(NucleusName)
MIB = 1024
"""In KiB."""


@dataclass(frozen=True, kw_only=True)
class Nucleus:
    """One of the two cores.

    ``root`` is where it is installed by default. ``user`` and ``group`` are the accounts that components run as by
    default, ``owner`` whose its own folders are. ``memory_kib`` and ``storage_kib`` are what its authors ask for.
    ``lambdas``: it takes imported Lambda functions.
    """

    name: NucleusName
    component: str
    root: str
    user: str
    group: str
    owner: str
    memory_kib: int
    storage_kib: int
    lambdas: bool

    def unpacked(self, component: str, version: str, archive: str) -> str:
        """Return where the files of a component's zip ``archive`` lie: below the archive's name without ``.zip``."""
        return f"{self.root}/packages/artifacts-unarchived/{component}/{version}/{archive.removesuffix('.zip')}"

    def work(self, component: str) -> str:
        """Return the component's working directory."""
        return f"{self.root}/work/{component}"


CLASSIC = Nucleus(
    name="classic",
    component="aws.greengrass.Nucleus",
    root="/greengrass/v2",
    user="ggc_user",
    group="ggc_group",
    owner="root",
    memory_kib=96 * MIB,
    storage_kib=256 * MIB,
    lambdas=True,
)
LITE = Nucleus(
    name="lite",
    component="aws.greengrass.NucleusLite",
    root="/var/lib/greengrass",
    user="gg_component",
    group="gg_component",
    owner="ggcore",
    memory_kib=15 * MIB,
    storage_kib=5 * MIB,
    lambdas=False,
)
BY_NAME: Mapping[NucleusName, Nucleus] = {"classic": CLASSIC, "lite": LITE}
MODES: Mapping[tuple[str, str], int] = {
    ("NONE", "NONE"): 0o400,
    ("NONE", "OWNER"): 0o550,
    ("NONE", "ALL"): 0o555,
    ("OWNER", "NONE"): 0o440,
    ("OWNER", "OWNER"): 0o550,
    ("OWNER", "ALL"): 0o555,
    ("ALL", "NONE"): 0o444,
    ("ALL", "OWNER"): 0o554,
    ("ALL", "ALL"): 0o555,
}
"""A file's mode by what an artifact's Permission says of reading and executing, the same on both nuclei."""
LAST_SYSTEM_ID = 999
"""Where ``useradd --system`` begins to look for a free id on Debian, downwards."""
