"""Who can reach what: every function against every resource, as rows. Pure: trees, nodes and probed answers come in.

The computed answer comes from ``access``; a probed one, where there is one, from a process with the function's identity
and view that opened the paths. Where the two differ, ``agree`` is false and one of them is wrong. ``ok`` asks whether
the access is what the definition says.

A model that is not attached is asked for as well, at its place on the board: sharing a group must not open it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice

from edge_sim.facts import HostFacts, Node, below
from edge_sim.greengrass import prefix
from edge_sim.greengrass.access import RIGHTS, Access, Right, View
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.plan import board_place, work_directory
from edge_sim.greengrass.process import FunctionProcess, effective_permission
from edge_sim.greengrass.remedy import AccessCase, by, fix
from edge_sim.greengrass.resources import Resource
from edge_sim.greengrass.rows import AccessRow, Answer, Expected, Probe

MAX_PATHS = 200
"""How many paths of one resource are asked about; a larger one is sampled from the top, and ``paths`` says so."""
MAX_COUNTED = 10_000
"""Where counting a resource's paths ends: a volume may be a whole disk."""
MAX_REASONS = 5
"""How many paths with a fault are named in one row."""
NO_DEVICE = ("ENXIO", "ENODEV")
"""Refusals where a driver is missing: the kernel asks for one after it has looked at the rights."""
OVERLAY = "writing is not checked: whatever a function in a container writes there stays in its overlay"
NO_LANDLOCK = "ro on a device is not enforced here, where the kernel (or QEMU) has no Landlock"
_GRANTS: Mapping[Expected, Mapping[Right, bool]] = {
    "ro": {"read": True, "write": False, "list": True, "execute": True},
    "rw": {"read": True, "write": True, "list": True, "execute": True},
    "none": {"read": False, "write": False, "list": False, "execute": False},
}
Tree = Callable[[str], Iterable[str]]
"""Yields "" for a place on the board and "/…" for the files and directories in it, top down, links left out."""
Probed = Mapping[str, Probe]


@dataclass(frozen=True, kw_only=True)
class Question:
    """One cell of the matrix: the paths as the function would name them, and as the board names them.

    ``claimed``: the definition says something about it. Of a local resource that is not attached it says nothing.
    ``inner``: one path in an attached resource.
    ``reminder``: why the path is not the one that was asked for.
    """

    resource: Resource | None
    attached: bool
    expected: Expected
    paths: tuple[tuple[str, str], ...]
    total: int
    claimed: bool = True
    inner: bool = False
    reminder: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Answer:
    path: str
    computed: Access
    probed: Probe | None

    def real(self, right: Right) -> bool:
        """Return what is known best: the probed answer, else the computed one."""
        return (self.probed or self.computed).grants(right)

    def as_computed(self, right: Right) -> bool:
        """Return whether the probe bears the computed answer out: whom the rights let in may still find no device."""
        let_in = self.real(right) or bool(self.probed and self.probed.errors.get(right) in NO_DEVICE)
        return self.computed.grants(right) == let_in


def cached(tree: Tree) -> Tree:
    """Return a tree that looks at each place once: many functions ask about the same one."""
    return cache(lambda place: tuple(islice(tree(place), MAX_COUNTED)))


def questions(
    group: Group, process: FunctionProcess, facts: HostFacts, tree: Tree, *, every: bool = False
) -> Iterator[Question]:
    """Yield a question for every resource attached to the function, and for every model that is not.

    With ``every`` also for the local resources that are not attached.
    """
    attached = {resource.id: policy for resource, policy in group.attached(process.function)}
    for resource in group.resources:
        policy = attached.get(resource.id)
        place = board_place(group, resource, facts)
        if place is None or (policy is None and not resource.model and not every):
            continue
        everything = tuple(islice(tree(place), MAX_COUNTED))
        seen_at = _place(resource, process, facts) if policy else place
        yield Question(
            resource=resource,
            attached=policy is not None,
            expected=effective_permission(resource, policy) if policy else "none",
            paths=tuple((seen_at + rest, place + rest) for rest in everything[:MAX_PATHS]),
            total=len(everything),
            claimed=policy is not None or resource.model is not None,
        )


def about(group: Group, process: FunctionProcess, facts: HostFacts, path: str) -> Question:
    """Return the question for one path, as ``process`` would name it, whatever the definition says of it.

    In an attached resource it may be opened by the attachment, as the definition says of the resource. A
    DestinationPath before which a No-container function has to put AWS_GG_RESOURCE_PREFIX is asked about with it.
    """
    reminder = None
    if any(below(path, top) for top in prefix.model_paths(group, process.function)):
        path, reminder = work_directory(facts, process.function) + path, prefix.advice(path)
    contained = process.isolation == "GreengrassContainer"
    ways: list[tuple[str, str, Resource, Expected]] = []
    for resource, policy in group.attached(process.function):
        place = board_place(group, resource, facts)
        if place is not None:
            permission = effective_permission(resource, policy)
            ways.append((_place(resource, process, facts), place, resource, permission))
            ways += () if contained else ((place, place, resource, permission),)
    inside = (way for way in ways if path == way[0] or path.startswith(f"{way[0]}/"))
    nearest = max(inside, key=lambda way: len(way[0]), default=None)
    if nearest is None:
        return Question(
            resource=None,
            attached=False,
            expected="none",
            paths=((path, path),),
            total=1,
            claimed=False,
            reminder=reminder,
        )
    top, place, resource, expected = nearest
    return Question(
        resource=resource,
        attached=True,
        expected=expected,
        paths=((path, place + path[len(top) :]),),
        total=1,
        inner=path != top,
        reminder=reminder,
    )


def row(view: View, question: Question, probed: Probed | None = None, *, stopped: str | None = None) -> AccessRow:
    """Return what the function whose ``view`` it is may do; ``stopped`` is why it does not start (``mounting``), if so.

    A right that the resource cannot have (listing a device) has no answer. ``agree`` is None when nothing was probed,
    ``ok`` when the definition says nothing or the answer is unknown; so is what a probe cannot show here: writing to a
    read-only device.
    """
    process = view.process
    case = AccessCase(view=view, resource=question.resource, attached=question.attached)
    nothing = Access(reasons=(stopped,)) if stopped else None
    answers = [
        _Answer(
            path=path,
            computed=nothing or view.access(path),
            probed=probed[path] if probed is not None else None,
        )
        for path, _ in question.paths
    ]
    overlay = process.isolation == "GreengrassContainer" and not question.attached
    rights = {right: _right(case, question.expected, answers, right, overlay=overlay) for right in RIGHTS}
    if stopped:
        rights = {right: replace(answer, fix=None) for right, answer in rights.items()}
    excused = question.claimed and question.expected == "none" and process.identity.uid == 0
    grants = _GRANTS[question.expected]
    best = {right: answer.computed if probed is None else answer.probed for right, answer in rights.items()}
    as_defined = all(best[right] in (None, grants[right]) for right in ("read", "write", "list"))
    unknown = None if probed is not None else next((a.computed.doubt for a in answers if a.computed.doubt), None)
    reasons = (*_reasons(question, answers, excused=excused), *([OVERLAY] if overlay else []))
    result = AccessRow(
        function=process.function.id,
        resource=question.resource.id if question.resource else None,
        type=question.resource.data.kind.type_name if question.resource else None,
        path=question.paths[0][0],
        paths=len(answers),
        total=question.total,
        expected=question.expected,
        **rights,
        agree=None if probed is None or not _known(answers) else _agree(answers, overlay=overlay),
        ok=None if unknown or not _judged(question, answers) else excused or as_defined,
        reasons=(stopped,) if stopped else reasons,
        chain=_telling(question, answers).computed.chain,
        not_started=stopped,
        unknown=unknown,
    )
    unenforced = any(a.probed is not None and not a.probed.enforced for a in answers)
    return _not_enforced(result) if unenforced and best["read"] else result


def _place(resource: Resource, process: FunctionProcess, facts: HostFacts) -> str:
    """Return the path that the function itself uses for an attached resource, which is no secret."""
    destination = resource.destination_path
    if destination is None or process.isolation == "GreengrassContainer":
        return resource.container_path or ""
    return f"{work_directory(facts, process.function)}/{destination.lstrip('/')}"


def _judged(question: Question, answers: Sequence[_Answer]) -> bool:
    """Return whether the definition decides the answer.

    It says neither that a path in a resource exists, nor who may open a file in a volume: that has its own mode.
    """
    if question.inner and (question.resource is None or question.resource.model is None):
        return False
    return question.claimed and not (question.inner and answers[0].computed.node is None)


def _concerned(answers: Sequence[_Answer], right: Right) -> list[_Answer]:
    """Return the answers that a right makes sense for: directories are listed, and they and programs executed."""
    if right in ("read", "write"):
        return list(answers)
    return [a for a in answers if (n := a.computed.node) is None or _can(n, right) or a.computed.needs]


def _can(node: Node, right: Right) -> bool:
    return node.type == "directory" or (right == "execute" and node.type == "file" and bool(node.mode & 0o111))


def _right(case: AccessCase, expected: Expected, answers: Sequence[_Answer], right: Right, *, overlay: bool) -> Answer:
    """Sum up over the paths: what is granted must hold for all of them, what is not must not hold for any."""
    concerned = _concerned(answers, right)
    if not concerned:
        return Answer()
    if right == "write" and overlay:
        change = fix(case, Access(), right, concerned[0].path) if case.resource else None
        return Answer(computed=False, fix=change)
    over = all if _GRANTS[expected][right] else any
    granted = over(answer.computed.grants(right) for answer in concerned)
    real = None if concerned[0].probed is None else over(answer.real(right) for answer in concerned)
    if not _known(concerned):
        return Answer(probed=real)
    example = next((answer for answer in concerned if answer.computed.grants(right) == granted), concerned[0])
    lacking = granted != _GRANTS[expected][right] or not granted
    return Answer(
        computed=granted,
        probed=real,
        by=by(case, example.path, right) if granted else None,
        fix=fix(case, example.computed, right, example.path) if lacking else None,
    )


def _known(answers: Sequence[_Answer]) -> bool:
    return all(answer.computed.doubt is None for answer in answers)


def _agree(answers: Sequence[_Answer], *, overlay: bool) -> bool:
    rights = [right for right in RIGHTS if not (overlay and right == "write")]
    return all(answer.as_computed(right) for answer in answers for right in rights)


def _reasons(question: Question, answers: Sequence[_Answer], *, excused: bool) -> list[str]:
    """Return the reasons for the first path, and what is not as it should be: of paths alike, the first one."""
    reasons = [*([question.reminder] if question.reminder else []), *answers[0].computed.reasons]
    if excused:
        return [*reasons, "the function runs as root, and AWS skips the check of shared groups for root"]
    grants = _GRANTS[question.expected]
    if _judged(question, answers):
        known = (a for a in answers if a.probed is not None or a.computed.doubt is None)
        alike: dict[str, list[str]] = {}
        for answer in known:
            if any(
                {answer.real(right), answer.computed.grants(right)} != {grants[right]} for right in ("read", "write")
            ):
                alike.setdefault(_odd(answer, question.expected), []).append(answer.path)
        reasons += (f"{_first_of(paths)}: {text}" for text, paths in islice(alike.items(), MAX_REASONS))
    return reasons


def _first_of(paths: Sequence[str]) -> str:
    more = len(paths) - 1
    return paths[0] + (f" and {more} more path{'s' * (more > 1)}" if more else "")


def _telling(question: Question, answers: Sequence[_Answer]) -> _Answer:
    """Return the answer whose way is worth showing: the first that is not as it should be, else the first."""
    grants = _GRANTS[question.expected]
    rights: tuple[Right, ...] = ("read", "write")
    odd = (answer for answer in answers if any(answer.real(right) != grants[right] for right in rights))
    return next(odd, answers[0]) if question.claimed else answers[0]


def _odd(answer: _Answer, expected: Expected) -> str:
    text = f"computed {_word(answer.computed.read, answer.computed.write)}"
    if answer.probed is not None:
        errors = (
            ", ".join(f"{kind}: {error}" for kind, error in answer.probed.errors.items() if kind != "list")
            or "no error"
        )
        text += f", probed {_word(answer.real('read'), answer.real('write'))} ({errors})"
    return f"{text}, the definition says {expected}"


def _word(read: bool, write: bool) -> str:
    return {(True, True): "rw", (True, False): "ro", (False, True): "write only"}.get((read, write), "none")


def _not_enforced(row: AccessRow) -> AccessRow:
    """A read-only device that can be written here says nothing about a core, whose devices cgroup refuses it."""
    write = replace(row.write, probed=None)
    return replace(row, write=write, agree=None, ok=None, reasons=(row.reasons[0], NO_LANDLOCK))
