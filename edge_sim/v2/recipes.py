"""What is wrong with a recipe: our own checker, for AWS's schema is on no registry and lets much through.

Sources: the recipe reference; COM's ``recipe_schema.json`` and its enums; ``GGL_COMPONENT_RECIPE_MAX_LEN`` of
aws-greengrass-lite (16 KB, AWS's quota); NUC ``ArtifactDownloaderFactory`` for addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from edge_sim.v2.names import MAX_NAME, MAX_VERSION, NAME

MAX_BYTES = 16 * 1024
_SEMVER = re.compile(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})(?:[-+][0-9A-Za-z.+-]+)?")
_URI = re.compile(r"s3://[^/\s]+/\S+|greengrass:\S+|docker:\S+")
_TOP = (
    *("RecipeFormatVersion", "ComponentName", "ComponentVersion", "ComponentType", "ComponentSource"),
    *("ComponentDescription", "ComponentPublisher", "ComponentConfiguration", "ComponentDependencies"),
    *("Lifecycle", "Manifests"),
)
_TYPES = ("generic", "lambda", "plugin", "nucleus")
_STEPS = ("Setenv", "bootstrap", "install", "run", "startup", "shutdown", "recover")
_READ, _EXECUTE = ("NONE", "OWNER", "ALL"), ("NONE", "OWNER", "ALL")


def problems(recipe: Mapping[str, object], text: bytes = b"") -> Iterator[str]:
    """Yield a sentence for everything that a nucleus or the service would not take; ``text`` is the recipe's file."""
    if len(text) > MAX_BYTES:
        yield f"the recipe has {len(text)} bytes; at most {MAX_BYTES} are allowed"
    yield from (f"{key}: recipes have no such member" for key in recipe if key not in _TOP)
    if recipe.get("RecipeFormatVersion") != "2020-01-25":
        yield "RecipeFormatVersion is 2020-01-25"
    name, version = str(recipe.get("ComponentName") or ""), str(recipe.get("ComponentVersion") or "")
    if not NAME.fullmatch(name) or len(name) > MAX_NAME:
        yield f"ComponentName: 1 to {MAX_NAME} of [a-zA-Z0-9-_.]"
    if not _SEMVER.fullmatch(version) or len(version) > MAX_VERSION:
        yield f"ComponentVersion {version!r}: three numbers of up to 6 digits"
    if str(recipe.get("ComponentType") or "generic").rpartition(".")[2] not in _TYPES:
        yield f"ComponentType: one of {', '.join(_TYPES)}"
    for dependency, what in _members(recipe.get("ComponentDependencies")).items():
        if not _members(what).get("VersionRequirement"):
            yield f"ComponentDependencies.{dependency}: VersionRequirement is missing"
    manifests = recipe.get("Manifests")
    if not isinstance(manifests, list) or not manifests:
        yield "Manifests: a list with at least one manifest"
    for number, manifest in enumerate(manifests if isinstance(manifests, list) else []):
        yield from (f"Manifests[{number}]: {problem}" for problem in _manifest(_members(manifest)))


def _manifest(manifest: Mapping[str, object]) -> Iterator[str]:
    platform, lifecycle = _members(manifest.get("Platform")), _members(manifest.get("Lifecycle"))
    if "runtime" not in platform:
        yield "Platform.runtime is missing: nucleus lite skips the manifest"
    yield from (f"Lifecycle.{step}: not a step that both nuclei read" for step in lifecycle if step not in _STEPS)
    if "run" in lifecycle and "startup" in lifecycle:
        yield "Lifecycle: run or startup, not both"
    for step, what in lifecycle.items():
        script = what if isinstance(what, str) else _members(what).get("Script")
        if step != "Setenv" and not script:
            yield f"Lifecycle.{step}: Script is missing"
    artifacts = manifest.get("Artifacts")
    files: set[str] = set()
    for artifact in artifacts if isinstance(artifacts, list) else []:
        yield from _artifact(_members(artifact), files)


def _artifact(artifact: Mapping[str, object], files: set[str]) -> Iterator[str]:
    uri, unarchive = str(artifact.get("Uri") or artifact.get("URI") or ""), artifact.get("Unarchive") or "NONE"
    if not _URI.fullmatch(uri):
        yield f"artifact {uri!r}: an address is s3://bucket/key"
    if unarchive not in ("NONE", "ZIP"):
        yield f"artifact {uri}: Unarchive is NONE or ZIP"
    name = uri.rpartition("/")[2]
    if unarchive == "ZIP" and not name.endswith(".zip"):
        yield f"artifact {uri}: the two nuclei name its folder differently unless it ends in .zip"
    if name in files:
        yield f"artifact {uri}: another one of this manifest is called {name}"
    files.add(name)
    permission = _members(artifact.get("Permission"))
    if {*permission} - {"Read", "Execute"}:
        yield f"artifact {uri}: Permission has Read and Execute only"
    if permission.get("Read") not in _READ or permission.get("Execute") not in _EXECUTE:
        yield f"artifact {uri}: write Permission: the nuclei's defaults differ"


def _members(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
