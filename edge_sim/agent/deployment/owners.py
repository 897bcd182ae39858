"""Which owners this process may set: found out by trying, and said where one cannot be set."""

from __future__ import annotations

import errno
from dataclasses import replace

from edge_sim.agent.host import Host, HostError
from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.facts import Node
from edge_sim.greengrass.plan import Modes

OWN = "the core's own directories and links"


class Owners:
    """Owners as they can be set. ``probe`` is the board's path of an empty file to try them on.

    ``not_proven`` holds a sentence for each owner that could not be set; with ``required`` that is an error instead.
    """

    def __init__(self, host: Host, probe: str, *, required: bool) -> None:
        self._host = host
        self._probe = probe
        self._required = required
        self._known: dict[tuple[int, int], tuple[int, int]] = {}
        self.not_proven: list[str] = []

    def settable(self, uid: int, gid: int, what: str = OWN) -> tuple[int, int]:
        """Return uid and gid with -1 for what this process may not set.

        Raises HostError, and UnsupportedEnvironmentError where an owner is required and cannot be set.
        """
        ids = uid, gid
        if ids not in self._known:
            self._known[ids] = self._try(ids)
        possible = self._known[ids]
        if possible != ids:
            self._say(what, ids, possible)
        return possible

    def node(self, node: Node) -> Node:
        """Return ``node`` with the owner that can be set."""
        uid, gid = self.settable(node.uid, node.gid)
        return replace(node, uid=uid, gid=gid)

    def modes(self, modes: Modes, what: str) -> Modes:
        """Return ``modes`` with the owner that can be set."""
        uid, gid = self.settable(modes.uid, modes.gid, what)
        return replace(modes, uid=uid, gid=gid)

    def give(self, path: str, node: Node) -> None:
        """Give the board's ``path`` to the node's owner, as far as it can be set."""
        uid, gid = self.settable(node.uid, node.gid)
        if (uid, gid) != (-1, -1):
            self._host.chown(path, uid, gid)

    def _say(self, what: str, ids: tuple[int, int], possible: tuple[int, int]) -> None:
        names = [name for name, id_ in zip(("user", "group"), possible, strict=True) if id_ == -1]
        sentence = f"this process may not set the {' and the '.join(names)}"
        owner = f"{what}: the owner {ids[0]}:{ids[1]}"
        if self._required:
            hint = "Run this as root, or in a user namespace: unshare --map-auto --map-root-user COMMAND"
            raise UnsupportedEnvironmentError(f"{owner} cannot be set: {sentence}", hint=hint)
        full = f"{owner} is not proven here: {sentence}"
        if full not in self.not_proven:
            self.not_proven.append(full)

    def _try(self, ids: tuple[int, int]) -> tuple[int, int]:
        for attempt in (ids, (-1, ids[1]), (ids[0], -1)):
            try:
                self._host.chown(self._probe, *attempt)
            except HostError as error:
                if error.errno not in (errno.EPERM, errno.EINVAL):
                    raise
            else:
                return attempt
        return -1, -1
