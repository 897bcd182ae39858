"""One definition on many boards and core versions: pass, fail, unsupported or unknown, each with its first cause.

``unsupported`` is AWS's own word for that board or version (a rule marked so says it); everything else that refuses is
a ``fail``. ``unknown``: nothing refuses, but the board's facts do not decide everything. Warnings do not change a cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from edge_sim.definitions.definition import Definition
from edge_sim.errors import Position
from edge_sim.facts import HostFacts
from edge_sim.greengrass.rules import by_id
from edge_sim.jsonobject import JsonObject
from edge_sim.printing import printable
from edge_sim.report import Finding
from edge_sim.validation.text import relative
from edge_sim.validation.verdict import LocatedFinding, judge
from edge_sim.versions import Version

Status = Literal["pass", "fail", "unsupported", "unknown"]
STATUSES: tuple[Status, ...] = get_args(Status)
Ending = Literal["pass", "fail", "not proven"]
ENDINGS: tuple[Ending, ...] = get_args(Ending)


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Why a cell is not a pass: the rule, what it says, and the page it comes from.

    ``file`` is as it was asked for, so that a kept answer is right in every current directory.
    """

    id: str
    message: str
    aws_text: str | None = None
    source: str | None = None
    path: str | None = None
    file: str | None = None
    line: int | None = None

    @property
    def position(self) -> Position | None:
        """The place, None where it stands in no file."""
        return Position(file=Path(self.file), line=self.line or 1) if self.file else None

    @property
    def place(self) -> str | None:
        """The place as ``file:line``, None where it stands in no file."""
        return f"{relative(Path(self.file))}:{self.line}" if self.file else None

    @classmethod
    def from_json(cls, row: JsonObject) -> Cause:
        return cls(
            id=row.text("id"),
            message=row.text("message"),
            aws_text=row.text_or_none("aws_text"),
            source=row.text_or_none("source"),
            path=row.text_or_none("path"),
            file=row.text_or_none("file"),
            line=None if row.get("line") is None else row.number("line"),
        )


@dataclass(frozen=True, kw_only=True)
class RunOutcome:
    """How a run on a board ended.

    ``refused``: the definition was, by the cloud or by the core; not what it points to.
    """

    status: Ending
    refused: bool
    exit_status: int
    message: str | None

    def as_json(self) -> dict[str, object]:
        return vars(self).copy()

    @classmethod
    def from_json(cls, value: object) -> RunOutcome | None:
        """Return the outcome that ``as_json`` was made from, or None for anything else."""
        try:
            row = JsonObject(value)
            return cls(
                status=row.word("status", ENDINGS),
                refused=row.flag("refused"),
                exit_status=row.number("exit_status"),
                message=row.text_or_none("message"),
            )
        except ValueError:
            return None


@dataclass(frozen=True, kw_only=True)
class MatrixRow:
    """One board with one core version.

    ``errors``, ``warnings`` and ``unknowns`` count findings; ``cause`` is the first error, else the first unknown;
    ``real`` is how a run on such a board ended, where there was one.
    """

    profile: str
    ggc: str
    status: Status
    errors: int = 0
    warnings: int = 0
    unknowns: int = 0
    cause: Cause | None = None
    real: RunOutcome | None = None

    def as_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: object) -> MatrixRow | None:
        """Return the row that ``as_json`` was made from, before it was run, or None for anything else."""
        try:
            row = JsonObject(value)
            return cls(
                profile=row.text("profile"),
                ggc=row.text("ggc"),
                status=row.word("status", STATUSES),
                errors=row.number("errors"),
                warnings=row.number("warnings"),
                unknowns=row.number("unknowns"),
                cause=None if row.get("cause") is None else Cause.from_json(row.child("cause")),
            )
        except ValueError:
            return None


def cell(
    definition: Definition, profile: str, facts: HostFacts, ggc: str, version: Version, fault: Finding | None = None
) -> MatrixRow:
    """Judge a definition for one board with one core version; ``fault`` is what keeps its scenario from being there."""
    verdict = judge(definition, {profile: facts}, version=version, faults={profile: fault} if fault else {})
    foreign = [result for result in verdict.errors if _unsupported(result)]
    first = next(iter((*foreign, *verdict.errors, *verdict.unknowns)), None)
    refused: Status = "unsupported" if foreign else "fail"
    status: Status = refused if verdict.errors else "unknown" if verdict.unknowns else "pass"
    return MatrixRow(
        profile=profile,
        ggc=ggc,
        status=status,
        errors=len(verdict.errors),
        warnings=sum(result.finding.severity == "warning" for result in verdict.findings),
        unknowns=len(verdict.unknowns),
        cause=_cause(first) if first else None,
    )


def _unsupported(result: LocatedFinding) -> bool:
    rule = by_id(result.finding.id)
    return rule is not None and rule.unsupported


def _cause(result: LocatedFinding) -> Cause:
    finding, where = result.finding, result.position
    return Cause(
        id=finding.id,
        message=finding.message,
        aws_text=finding.aws_text,
        source=finding.source,
        path=finding.path,
        file=str(where.file) if where else None,
        line=where.line if where else None,
    )


def agrees(cell: MatrixRow) -> bool:
    """Return whether a run ended as the rules say: what they do not decide, and what was not run, contradicts none."""
    undecided = cell.real is None or cell.status == "unknown"
    return undecided or (cell.status == "pass") != (cell.real is not None and cell.real.refused)


def lines(cells: Sequence[MatrixRow]) -> list[str]:
    """Return the grid as text, a row a board, then each cause once with the cells it is true of."""
    boards, versions = (list(dict.fromkeys(getattr(c, key) for c in cells)) for key in ("profile", "ggc"))
    by_place = {(c.profile, c.ggc): c.status for c in cells}
    first = max(len(name) for name in boards)
    texts = [f"{'':<{first}}  " + "  ".join(f"{version:<11}" for version in versions)]
    texts += [
        f"{name:<{first}}  " + "  ".join(f"{by_place.get((name, version), '-'):<11}" for version in versions)
        for name in boards
    ]
    causes: dict[Cause, list[MatrixRow]] = {}
    for row in cells:
        if row.cause:
            causes.setdefault(row.cause, []).append(row)
    for cause, where in causes.items():
        texts += ["", f"{where[0].status} on {_places(where)}", f"  {cause.id}: {cause.message}"]
        texts += [f"  AWS: {cause.aws_text}"] if cause.aws_text else []
        texts.append(f"  source: {cause.source}" + (f" · {cause.file}:{cause.line}" if cause.file else ""))
    return [printable(line.rstrip()) for line in texts]


def _places(cells: Sequence[MatrixRow]) -> str:
    by_version: dict[str, list[str]] = {}
    for row in cells:
        by_version.setdefault(row.ggc, []).append(row.profile)
    return "; ".join(f"{', '.join(names)} ({version})" for version, names in by_version.items())
