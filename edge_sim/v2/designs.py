"""Where each model's files go, and what the code opens there: three ways, and the one that each function needs.

    A  in the function's own component: the only way on lite, which resolves no variables of other components
    B  in a component of its own, on which the functions depend; the prefix variable leads there (classic)
    C  as B, mounted as a volume at the V1 path into an imported function's container (classic)

Sources: RECIPE_SUPPORT_CHANGES.md of aws-greengrass-lite (A), the recipe reference (B); C is ours, inferred from
volumes and the folder that archives are unpacked to. Every zip holds the model below its DestinationPath, so that code
which opens AWS_GG_RESOURCE_PREFIX + DestinationPath does so unchanged; that is ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from edge_sim.errors import InvalidDefinitionError
from edge_sim.greengrass.functions import Function
from edge_sim.greengrass.resources import Model, Resource
from edge_sim.v2.move import Move
from edge_sim.v2.names import MODEL_VERSION, component_names, component_version, model_component
from edge_sim.v2.verdicts import verdict

Way = Literal["A", "B", "C"]
OWN_ARCHIVE = "models.zip"
"""The archive of way A: one for all models of a function, so that one prefix leads to all of them."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """One model as one function finds it on the V2 board.

    ``component``, ``version`` and ``archive`` name the artifact; ``top`` is the folder that it is unpacked to, which is
    the prefix in ways A and B. ``path`` is the model's folder on the board, ``seen`` the path that the function opens.
    """

    function: Function
    resource: Resource
    way: Way
    component: str
    version: str
    archive: str
    top: str
    path: str
    seen: str


def placements(move: Move) -> tuple[Placement, ...]:
    """Return every attached model of the functions that can be moved, in the order of the definition."""
    return tuple(_placements(move))


def inside(model: Model) -> str:
    """Return where a model lies in its zip: its DestinationPath without the leading slash."""
    parts = [part for part in model.destination_path.split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        raise InvalidDefinitionError(f"{model.destination_path!r} is not a folder name for a model")
    return "/".join(parts)


def way(move: Move, function: Function) -> Way | None:
    """Return the way that a function's models need; None for a function without models, or one that cannot be moved."""
    models = move.models_of(function)
    becomes = verdict(move, function).becomes
    if not models or becomes == "nothing":
        return None
    if becomes == "lambda":
        return "C"
    shared = len(models) == 1 and len(move.users_of(models[0])) > 1
    return "B" if move.nucleus.lambdas and shared else "A"


def _placements(move: Move) -> Iterator[Placement]:
    names = component_names(move)
    for function in move.own_functions:
        chosen = way(move, function)
        for resource in move.models_of(function) if chosen else ():
            model = resource.model
            if model is None or chosen is None:
                continue
            own = chosen == "A"
            component = names[function.id] if own else model_component(resource)
            version = component_version(function) if own else MODEL_VERSION
            archive = OWN_ARCHIVE if own else f"{component.removeprefix('model.')}.zip"
            top = move.nucleus.unpacked(component, version, archive)
            path = f"{top}/{inside(model)}"
            yield Placement(
                function=function,
                resource=resource,
                way=chosen,
                component=component,
                version=version,
                archive=archive,
                top=top,
                path=path,
                seen=model.destination_path if chosen == "C" else path,
            )
