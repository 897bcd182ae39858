"""The catalogue of rules: as a list, one rule with its examples, as JSON, and as docs/rules.md."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from edge_sim.errors import UsageError
from edge_sim.greengrass.rules import RULES, by_id
from edge_sim.greengrass.rules.rule import Rule
from edge_sim.v2.checks import CHECKS
from edge_sim.v2.checks.check import MoveRule
from edge_sim.validation.examples import Example, examples

_HEAD = """\
# Rules

What Greengrass V1 refused, and what else `edge-sim validate` reports about a definition. Generated from the rules
themselves (`edge-sim rules --format markdown`); `edge-sim rules ID` shows a minimal bad and a minimal good definition.

*Phase* is when V1 detected it: **create** at the API call that creates the definition, **deploy** at the deployment
(in the cloud while `Building`, or on the core), **run** when a function starts. Errors were refused; warnings and
notes were not. *Looks at* shows whether the definition is enough or a board is needed (`--profile`). Sources are
pages of the V1 developer guide, botocore's `greengrass` model, moto, aws-greengrass-provisioner; "ours" and
"inferred" mean that AWS is silent. Where AWS's pages disagree, a note names both, and there is a setting (`--limit`,
`--gid-only`).

*Labels* show how well each part of a rule is known: its **condition**, its **phase**, its **text** and, if the cloud
returns one, its **error code** are each *sourced* (from a page, the service's model or a captured message),
*inferred* (the sources are consistent in only one way, or a similar case is documented) or *ours*.
"""


_MIGRATION_HEAD = """\
# Checks of a migration

The findings of `edge-sim migrate` about a group on Greengrass V2. Generated from the checks themselves
(`edge-sim rules --migration --format markdown`); `edge-sim rules ID` explains one.

An **error** blocks: V2 refuses it or has no equivalent, so that you have to decide first. A **warning** is a change
without an error message, a **note** is worth knowing. *Phase* is when V2 would show it: **create** at the call that
creates a component, **deploy** at the deployment, **run** when the component runs. *Condition* shows how well it is
known: *sourced* (from a page, the service's model or a nucleus's source code), *inferred* (the sources are consistent
in only one way) or *ours*. Nothing here was tested on a V2 core. NUC is aws-greengrass-nucleus at a28341c, LITE
aws-greengrass-lite at 326e992, COM aws-greengrass-component-common at 2493c33; pages are those of the V2 developer
guide, May 2023.
"""


def find(rule_id: str) -> Rule:
    """Return the rule with this id; raises UsageError, with the nearest names, when there is none."""
    match = by_id(rule_id) or next((check for check in CHECKS if check.id == rule_id), None)
    if match is None:
        near = difflib.get_close_matches(rule_id, [rule.id for rule in (*RULES, *CHECKS)], n=3)
        hint = f"Did you mean {' or '.join(near)}?" if near else "See: edge-sim rules"
        raise UsageError(f"there is no rule {rule_id!r}", hint=hint)
    return match


def versions(rule: Rule) -> str:
    """Return the core versions that a rule holds for, in words."""
    if rule.since and rule.until:
        return f"{rule.since} to {rule.until}"
    if rule.since:
        return f"{rule.since} and newer"
    return f"up to {rule.until}" if rule.until else "all"


def looks_at(rule: Rule) -> str:
    """Return what a rule needs to see."""
    if rule.while_reading:
        return "the file"
    if isinstance(rule, MoveRule):
        return "the definition, packages, the old and the new boards"
    return "a board" if rule.board else "the definition"


def labels(rule: Rule) -> str:
    """Return how well each part of a rule is known, in one line."""
    parts = {"condition": "condition", "timing": "phase", "text": "text", "code": "error code"}
    known = asdict(rule.labels)
    return ", ".join(f"{title} {known[part]}" for part, title in parts.items() if known[part])


def listing(rules: Sequence[Rule] = RULES) -> Iterator[str]:
    """Yield a line a rule."""
    width = max(len(rule.id) for rule in rules)
    for rule in rules:
        yield f"{rule.id:<{width}}  {rule.severity:<7}  {rule.phase:<6}  {rule.what}"


def explanation(rule: Rule) -> Iterator[str]:
    """Yield everything about one rule, with its examples."""
    yield f"{rule.id}: {rule.what}"
    yield ""
    rows = {
        "severity": rule.severity,
        "phase": rule.phase,
        **({"nuclei": ", ".join(rule.nuclei)} if isinstance(rule, MoveRule) else {"core": versions(rule)}),
        "looks at": looks_at(rule),
        "AWS says": rule.aws_text,
        "source": rule.source,
        "labels": labels(rule),
        "hint": rule.hint,
    }
    yield from (f"{name + ':':<10} {value}" for name, value in rows.items() if value)
    pair = examples().get(rule.id)
    for title, example in (("bad", pair.bad), ("good", pair.good)) if pair else ():
        yield ""
        yield f"{title}{_with(example)}:"
        yield from (f"    {line}" for line in example.text.rstrip().splitlines())


def as_json(rule: Rule, *, with_examples: bool = False) -> dict[str, Any]:
    """Return a rule as an object; ``examples`` only where one rule is asked for."""
    document: dict[str, Any] = {
        "id": rule.id,
        "severity": rule.severity,
        "phase": rule.phase,
        "what": rule.what,
        "since": rule.since,
        "until": rule.until,
        "looks_at": looks_at(rule),
        "unsupported": rule.unsupported,
        "aws_text": rule.aws_text,
        "source": rule.source,
        "labels": asdict(rule.labels),
        "hint": rule.hint,
    }
    if isinstance(rule, MoveRule):
        document["nuclei"] = list(rule.nuclei)
    pair = examples().get(rule.id) if with_examples else None
    if pair:
        document["examples"] = {"bad": _example_json(pair.bad), "good": _example_json(pair.good)}
    return document


def markdown() -> str:
    """Return docs/rules.md."""
    parts = [_HEAD, "| rule | severity | phase | core | looks at |", "| --- | --- | --- | --- | --- |"]
    parts += [f"| [{r.id}](#{r.id}) | {r.severity} | {r.phase} | {versions(r)} | {looks_at(r)} |" for r in RULES]
    for rule in RULES:
        parts += ["", f"## {rule.id}", "", _escaped(rule.what), ""]
        if rule.aws_text:
            parts += ["```text", rule.aws_text, "```", ""]
        parts.append(f"Source: {_escaped(rule.source)}." + (f" Hint: {_escaped(rule.hint)}" if rule.hint else ""))
        parts += ["", f"Labels: {labels(rule)}."]
    return "\n".join(parts) + "\n"


def migration_markdown() -> str:
    """Return docs/migration-checks.md."""
    parts = [_MIGRATION_HEAD, "| check | severity | phase | nuclei | condition |", "| --- | --- | --- | --- | --- |"]
    parts += [
        f"| [{r.id}](#{r.id}) | {r.severity} | {r.phase} | {', '.join(r.nuclei)} | {r.labels.condition} |"
        for r in CHECKS
    ]
    for rule in CHECKS:
        parts += ["", f"## {rule.id}", "", _escaped(rule.what), ""]
        parts.append(f"Source: {_escaped(rule.source)}." + (f" Hint: {_escaped(rule.hint)}" if rule.hint else ""))
    return "\n".join(parts) + "\n"


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;").replace("*", "\\*").replace("|", "\\|")


def _with(example: Example) -> str:
    parts = []
    if example.ggc:
        parts.append(f"core {example.ggc}")
    if example.board:
        parts.append("a board with " + "; ".join(f"{key}: {value}" for key, value in example.board.items()))
    parts += [f"code of {name} that mentions {' and '.join(sorted(words))}" for name, words in example.mentions.items()]
    parts += [f"--limit {text}" for text in example.limits]
    parts += ["--gid-only"] if example.gid_only else []
    return f" ({', '.join(parts)})" if parts else ""


def _example_json(example: Example) -> dict[str, Any]:
    return {
        "definition": example.text,
        "board": example.board,
        "ggc": example.ggc,
        "limits": list(example.limits),
        "gid_only": example.gid_only,
        "mentions": {name: sorted(words) for name, words in example.mentions.items()},
    }
