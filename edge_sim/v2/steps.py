"""README.md of the folder: what to do with the files, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edge_sim.printing import printable
from edge_sim.v2.components import CODE_ARCHIVE, ENTRY_POINT, Component, bucket
from edge_sim.v2.deployment import configurations
from edge_sim.v2.move import Move
from edge_sim.v2.names import component_names
from edge_sim.v2.verdicts import verdict

BOARDS = "boards"
"""The folder of what differs from board to board, where there are several."""
SEVERAL = f"""\
The group goes to several boards. What is alike for all of them lies here, what differs below `{BOARDS}/NAME`: for that
board, take those files as well, or instead of the ones here of the same name.
"""


def readme(
    move: Move, components: Sequence[Component], placeholders: Sequence[str], blocking: int, *, several: bool
) -> str:
    """Return the text. ``placeholders`` stand in the files, ``blocking`` checks are not met; ``several`` boards."""
    return "\n".join(_lines(move, components, placeholders, blocking, several=several)) + "\n"


def _lines(
    move: Move, components: Sequence[Component], placeholders: Sequence[str], blocking: int, *, several: bool
) -> Iterator[str]:
    yield f"# From Greengrass V1 to nucleus {move.nucleus.name}"
    yield ""
    yield "Written by `edge-sim migrate`, offline, from the group's definition. Nothing was sent to AWS or tested on a"
    yield "nucleus; `report.txt` labels every line sourced, inferred or ours."
    yield ""
    if several:
        yield SEVERAL
    if blocking:
        verb = "check blocks" if blocking == 1 else "checks block"
        yield f"**{blocking} {verb} this migration.** Read *Blocks* in `report.txt` first."
        yield ""
    steps = [*_steps(move, components, placeholders)]
    yield from (f"{number}. {step}" for number, step in enumerate(steps, 1))
    stranded = [(f.id, verdict(move, f).reason) for f in move.own_functions if verdict(move, f).becomes == "nothing"]
    if stranded:
        yield from ("", "## What cannot be migrated", "")
        yield from (f"* {printable(f'function {name}: {reason}')}" for name, reason in stranded)


def _steps(move: Move, components: Sequence[Component], placeholders: Sequence[str]) -> Iterator[str]:
    if placeholders:
        yield "Replace these placeholders in every file: " + ", ".join(f"`{name}`" for name in placeholders) + "."
    yield f"Name a version of each of AWS's components in the deployment: {_names([*configurations(move)])}."
    generic = [component.name for component in components if component.function and component.recipe]
    if generic:
        yield (
            f"Read the entry point of {_names(generic)} (`artifacts/{ENTRY_POINT}`, ours): it calls the handler, and "
            "gives it a stand-in for `greengrasssdk` over the Greengrass IPC. It needs `awsiotsdk` on the board."
        )
    yield "Read `board.sh`, then run it on the new board as root. It creates accounts, groups and folders."
    artifacts = [component for component in components if component.archives]
    if artifacts:
        yield (
            f"Upload the artifacts to `s3://{bucket(move)}/COMPONENT/VERSION/FILE`: for each component "
            "`aws s3 cp --recursive components/COMPONENT/artifacts s3://BUCKET/COMPONENT/VERSION`."
        )
    yield "Create the token exchange role; `iam/token-exchange-policy.draft.json` is a draft of its other permissions."
    yield (
        "Create the components, models first: "
        "`aws greengrassv2 create-component-version --cli-input-json "
        "file://components/COMPONENT/create-component-version.json`."
    )
    yield (
        "Deploy: `aws greengrassv2 create-deployment --cli-input-json file://deployment.json`. "
        "Or do this and the step before with `template.json`, in CloudFormation."
    )
    yield "Compare what each function may open with the access table in `report.txt`, and prove it on one board."
    names = component_names(move)
    code = [names[f.id] for f in move.own_functions if f.id not in move.code_known]
    if code:
        yield f"`{CODE_ARCHIVE}` is missing for functions whose code was not available: {_names(code)}."


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{printable(name)}`" for name in names)
