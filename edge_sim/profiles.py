"""Device profiles: ``device_profiles/*.yaml`` → ``DeviceProfile`` → ``HostFacts``.

A profile says what a board is like before anything is deployed to it. Off the board it takes the place of probing;
the drivers in ``emulation`` build boards from it. docs/scenario.md explains every key (``profilefile``).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from edge_sim import profilefile
from edge_sim.deviceprofile import DeviceProfile
from edge_sim.documents import unusable
from edge_sim.errors import UsageError


def profile_folder() -> Path:
    """Return the folder of the profiles that come with edge_sim: in the package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "device_profiles"
    return installed if installed.is_dir() else package.parent / "device_profiles"


def list_profiles() -> tuple[str, ...]:
    """Return the names of the profiles that come with edge_sim, sorted."""
    return tuple(sorted(path.stem for path in profile_folder().glob("*.yaml")))


def profile_path(name: str) -> Path:
    """Return the file of the profile called ``name``; ``name`` may be the path of a YAML file.

    Raises UsageError when there is none.
    """
    known = list_profiles()
    if name not in known and (name.endswith((".yaml", ".yml")) or "/" in name or Path(name).is_file()):
        if not Path(name).is_file():
            raise UsageError(f"{name}: {unusable(Path(name), 'file')}")
        return Path(name)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1) or [
            profile for profile in known if _abbreviates(name, profile)
        ]
        raise UsageError(
            f"{name}: no such device profile",
            hint=(f"Did you mean {' or '.join(near)}? " if near else "")
            + f"Known: {', '.join(known)}. The path of a YAML file works as well.",
        )
    return profile_folder() / f"{name}.yaml"


def _abbreviates(short: str, name: str) -> bool:
    """Return whether the letters and digits of ``short`` stand in ``name`` in this order: ``rpi3``, raspberry-pi-3."""
    rest = iter(name)
    return name[:1] == short[:1] and all(letter in rest for letter in short if letter.isalnum())


def load_profiles(names: Iterable[str]) -> list[DeviceProfile]:
    """Return the profiles of these names, each once; ``all`` stands for every one that comes with edge_sim."""
    every = [name for selection in names for name in (list_profiles() if selection == "all" else (selection,))]
    return [load_profile(name) for name in dict.fromkeys(every)]


def load_profile(name: str) -> DeviceProfile:
    """Return the profile called ``name``, or the one in the YAML file that ``name`` is the path of.

    Raises UsageError for an unknown name, InvalidDefinitionError (file and line) for a wrong profile.
    """
    path = profile_path(name)
    return profilefile.read(path)
