"""The folder of a migration: components with their artifacts, the deployment, the template, the script, the steps."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from edge_sim.errors import InvalidDefinitionError, InvalidPackageError
from edge_sim.limits import Limits
from edge_sim.offline.migration.materials import Materials
from edge_sim.offline.migration.several import gather
from edge_sim.offline.migration.zips import write_zip
from edge_sim.v2 import boardscript, iam, recipes, steps
from edge_sim.v2.cloudformation import placeholders, template
from edge_sim.v2.components import CODE_ARCHIVE, ENTRY_POINT, Component, components
from edge_sim.v2.deployment import deployment
from edge_sim.v2.designs import OWN_ARCHIVE, inside, placements
from edge_sim.v2.move import Move
from edge_sim.v2.steps import BOARDS

_ENTRY_POINT = Path(__file__).with_name("entry_point.py")


def write_files(
    folder: Path, moves: Mapping[str, Move], materials: Materials, limits: Limits, *, blocking: int
) -> list[str]:
    """Write everything but the report, and return notes on what could not be written. ``moves`` are by board.

    What differs from board to board lies below ``boards/NAME`` where there are several, the rest once.
    Raises InvalidDefinitionError where a recipe of ours breaks a rule of recipes: that would be a fault of ours, or of
    a name that nothing can be made of.
    """
    if len(moves) == 1:
        (move,) = moves.values()
        return _write_files(folder, move, materials, limits, blocking=blocking, several=False)
    notes: list[str] = []
    for name, move in moves.items():
        place = folder / BOARDS / name
        place.mkdir(parents=True)
        notes += _write_files(place, move, materials, limits, blocking=blocking, several=True)
    gather(folder, [*moves])
    return list(dict.fromkeys(notes))


def _write_files(
    folder: Path, move: Move, materials: Materials, limits: Limits, *, blocking: int, several: bool
) -> list[str]:
    sound = [*_sound(components(move))]
    notes: list[str] = []
    texts: dict[str, str] = {}
    for component in sound:
        place = folder / "components" / component.name
        place.mkdir(parents=True)
        texts[component.name] = _recipe(component)
        if texts[component.name]:
            _write(place / "recipe.yaml", texts[component.name])
            request: Mapping[str, object] = {"inlineRecipe": base64.b64encode(texts[component.name].encode()).decode()}
        else:
            request = component.request or {}
        _write(place / "create-component-version.json", _json(request))
        notes += _artifacts(place / "artifacts", component, move, materials, limits)
    plan = deployment(move)
    open_places = placeholders([[component.request for component in sound], texts, plan])
    _write(folder / "deployment.json", _json(plan))
    _write(folder / "template.json", _json(template([(component, texts[component.name]) for component in sound], plan)))
    _write(folder / "board.sh", boardscript.script(move))
    (folder / "iam").mkdir()
    _write(folder / "iam" / "token-exchange-policy.draft.json", _json(iam.policy(move)))
    _write(folder / "README.md", steps.readme(move, sound, open_places, blocking, several=several))
    return notes


def _sound(candidates: tuple[Component, ...]) -> Iterator[Component]:
    """Yield the components with names of their own; the checks tell of the others."""
    seen: set[str] = set()
    for component in candidates:
        if component.name not in seen and component.name not in (".", "..") and len(component.name) <= 128:
            seen.add(component.name)
            yield component


def _recipe(component: Component) -> str:
    if component.recipe is None:
        return ""
    text = yaml.safe_dump(component.recipe, sort_keys=False, allow_unicode=False, width=10**6)
    for problem in recipes.problems(component.recipe, text.encode()):
        raise InvalidDefinitionError(f"component {component.name}: {problem}")
    return text


def _artifacts(place: Path, component: Component, move: Move, materials: Materials, limits: Limits) -> Iterator[str]:
    """Write a component's artifacts, and yield a note for each that could not be made."""
    if component.function and component.recipe and not move.native(component.function):
        place.mkdir(exist_ok=True)
        (place / ENTRY_POINT).write_bytes(_ENTRY_POINT.read_bytes())
    for archive in component.archives:
        parts, lacking = _parts(component, archive, move, materials)
        if lacking:
            yield f"components/{component.name}/artifacts/{archive}: not written: {', '.join(lacking)}"
            continue
        try:
            write_zip(place / archive, parts, limits)
        except InvalidPackageError as error:
            yield f"components/{component.name}/artifacts/{error.brief}"


def _parts(component: Component, archive: str, move: Move, materials: Materials) -> tuple[dict[str, Path], list[str]]:
    """Return the folders that a zip is made of, and what of them is not at hand."""
    if archive == CODE_ARCHIVE and component.function:
        code = materials.code.get(component.function.id)
        folder = code.folder if code else None
        return ({"": folder}, []) if folder else ({}, [f"no code of function {component.function.id}"])
    parts: dict[str, Path] = {}
    lacking = []
    for placed in placements(move):
        own = placed.function == component.function and archive == OWN_ARCHIVE
        if not (own or placed.resource == component.resource) or placed.resource.model is None:
            continue
        material = materials.models.get(placed.resource.id)
        if material and material.folder:
            parts[inside(placed.resource.model)] = material.folder
        elif (missing := f"no readable package of model {placed.resource.id}") not in lacking:
            lacking.append(missing)
    return parts, lacking


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"
