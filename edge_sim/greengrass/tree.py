"""Where everything lies in the tree of a Greengrass V1 core.

The layout is V1's (gg-core.md, field listings). What V1 had no file for, or whose name nobody knows, is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

BESIDE_V1 = "/opt/edge-sim"
"""Where edge_sim lives on a user's board, with a Greengrass root of its own: a V1 core may run there as well."""


@dataclass(frozen=True)
class Tree:
    """The paths below the Greengrass root ``root``, a path of the board; without one they are relative to it.

    ``write_directory`` is config.json's writeDirectory: a core that has one keeps what is deployed below it. Only
    ``rescue`` reads such a board.
    """

    root: str = ""
    write_directory: str | None = None

    def _below(self, path: str) -> str:
        return f"{self.root}/{path}" if self.root else path

    def _deployed(self, path: str) -> str:
        return f"{self.deployment}/{path}"

    @property
    def certificates(self) -> str:
        return self._below("certs")

    @property
    def config(self) -> str:
        """config.json, which people write."""
        return self._below("config/config.json")

    @property
    def respawn_scripts(self) -> str:
        """The scripts run around an update; people write them."""
        return self._below("usr/scripts")

    @property
    def ggc(self) -> str:
        """What the core itself writes lies below it."""
        return self._below("ggc")

    # ---- the core's software

    @property
    def core(self) -> str:
        """The link to the version that runs, ``packages/<version>``."""
        return self._below("ggc/core")

    @property
    def packages(self) -> str:
        """One directory for each version of the core."""
        return self._below("ggc/packages")

    @property
    def runtime(self) -> str:
        """What functions' processes are made with; V1 had it in each version's package."""
        return self._below("ggc/runtime")

    # ---- the OTA agent's software

    @property
    def ota(self) -> str:
        """One directory ``ota_agent_v<version>`` for each version of the OTA agent."""
        return self._below("ota")

    @property
    def ota_agent(self) -> str:
        """The link to the version that runs."""
        return self._below("ota/ota_agent")

    @property
    def last_good_agent(self) -> str:
        """The version of the OTA agent that was last seen healthy (the name is ours)."""
        return self._below("ota/last-known-good")

    # ---- what is deployed

    @property
    def deployment(self) -> str:
        """Everything deployed lies below it."""
        return f"{self.write_directory or self.ggc}/deployment"

    @property
    def group(self) -> str:
        return self._deployed("group")

    @property
    def group_file(self) -> str:
        """group.json, the group as deployed."""
        return self._deployed("group/group.json")

    @property
    def functions(self) -> str:
        """One directory for each function's code."""
        return self._deployed("lambda")

    @property
    def models(self) -> str:
        """Models without an owner setting."""
        return self._deployed("mlmodel")

    @property
    def public_models(self) -> str:
        """Models with an owner setting."""
        return self._deployed("mlmodel_public")

    @property
    def work_directories(self) -> str:
        """Of No-container functions (the name is ours)."""
        return self._deployed("workdir")

    @property
    def staging(self) -> str:
        """Where a deployment is prepared (ours). It exists while one is at work, and after one was killed."""
        return self._below("ggc/.deploying")

    # ---- logs

    @property
    def var(self) -> str:
        return self._below("ggc/var")

    @property
    def logs(self) -> str:
        return self._below("ggc/var/log")

    @property
    def system_logs(self) -> str:
        return self._below("ggc/var/log/system")

    @property
    def runtime_log(self) -> str:
        return self._below("ggc/var/log/system/runtime.log")

    @property
    def crash_log(self) -> str:
        return self._below("ggc/var/log/crash.log")

    @property
    def user_logs(self) -> str:
        """One file for each function, below region and account."""
        return self._below("ggc/var/log/user")

    # ---- state; the files' names are ours

    @property
    def state(self) -> str:
        return self._below("ggc/var/state")

    @property
    def core_state(self) -> str:
        """Version and process of the core that runs."""
        return self._below("ggc/var/state/core.json")

    @property
    def last_good_core(self) -> str:
        """The version of the core that was last seen healthy."""
        return self._below("ggc/var/state/last-known-good")

    @property
    def agent_lock(self) -> str:
        return self._below("ggc/var/state/agent.lock")

    @property
    def record(self) -> str:
        """What the deployer knows about its own work."""
        return self._below("ggc/var/state/edge-sim.json")

    @property
    def secrets(self) -> str:
        return self._below("ggc/var/state/secrets.json")

    @property
    def shadows(self) -> str:
        """One file for each thing's shadow."""
        return self._below("ggc/var/state/shadows")

    @property
    def daemon_address(self) -> str:
        """Where the functions' daemon listens."""
        return self._below("ggc/var/state/edge-sim-daemon.json")


BELOW = Tree()
"""The paths relative to the Greengrass root."""


def ota_log(root: str) -> str:
    """Return where the OTA agent's log lies. V1's is in the same place for every root."""
    return f"{root}/{BELOW.logs}/ota/ggc_ota.txt" if _beside_v1(root) else "/var/log/greengrass/ota/ggc_ota.txt"


def pid_directory(root: str) -> str:
    """Return where ``greengrassd.pid`` lies. V1's is in the same place for every root."""
    return f"{root}/{BELOW.state}" if _beside_v1(root) else "/var/run"


def _beside_v1(root: str) -> bool:
    return root.startswith(f"{BESIDE_V1}/")
