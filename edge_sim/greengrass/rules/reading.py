"""What the reader of definitions finds (``edge_sim.definitions``, ``greengrass.parse``): entries without a check."""

from __future__ import annotations

from edge_sim.greengrass.rules.rule import Rule, reading_rule

MODEL = "botocore greengrass 2017-06-07"
_TEXT = "RFC 8259, YAML 1.2; refused by this project, where readers differ"

null_member = reading_rule(
    "null-member",
    "A member is left out rather than null: boto3 and the AWS CLI refuse null before they ask the API.",
    condition="sourced",
    timing="sourced",
    source="botocore's validate.py; that the API itself would take null as absent is ours",
    severity="warning",
    hint="Leave the member out. A client that does send null may get through; here null counts as absent.",
)
null_in_template = reading_rule(
    "null-in-template",
    "No member in a CloudFormation template is null.",
    condition="sourced",
    timing="sourced",
    source="CloudFormation's answer, quoted in cfn-lint issue 246",
    aws_text="'null' values are not allowed in templates",
    hint="Leave the member out, or write !Ref AWS::NoValue.",
)
RULES: tuple[Rule, ...] = (
    reading_rule(
        "unreadable",
        "The file can be read: it is UTF-8 text, JSON or YAML of a known form, within the limits of size and depth.",
        condition="ours",
        timing="ours",
        source="ours: a fault after which nothing more can be said",
    ),
    reading_rule(
        "shape",
        "Every member has the type that the API's model gives it, and no required member is missing.",
        condition="sourced",
        timing="sourced",
        source=MODEL,
    ),
    reading_rule(
        "unknown-key",
        "Every member is one that the API's model has.",
        condition="sourced",
        timing="sourced",
        source=f"{MODEL}; botocore refuses an unknown parameter before it is sent",
    ),
    null_member,
    null_in_template,
    reading_rule("duplicate-key", "No object has the same key twice.", condition="ours", timing="ours", source=_TEXT),
    reading_rule(
        "not-json", "NaN and Infinity are not allowed in a definition.", condition="ours", timing="ours", source=_TEXT
    ),
    reading_rule(
        "number-range",
        "Numbers are at most 2^53, so that every reader reads them alike.",
        condition="ours",
        timing="ours",
        source=_TEXT,
    ),
    reading_rule(
        "surrogate",
        "Strings are valid Unicode, without half of a surrogate pair.",
        condition="ours",
        timing="ours",
        source=_TEXT,
    ),
    reading_rule(
        "ambiguous-number",
        "A number in YAML is one that YAML 1.1 and 1.2 read alike: not 0755, 1_000 or 1:30.",
        condition="ours",
        timing="ours",
        source=_TEXT,
        severity="warning",
    ),
    reading_rule(
        "isolation-mode",
        "IsolationMode is GreengrassContainer or NoContainer.",
        condition="sourced",
        timing="inferred",
        source="gg-troubleshooting.md",
        phase="deploy",
        aws_text="Your 'IsolationMode' configuration for function with arn <function-arn> is invalid.",
    ),
    reading_rule(
        "one-core",
        "A group has exactly one core.",
        condition="sourced",
        timing="inferred",
        source="gg-core.md",
        phase="deploy",
    ),
    reading_rule(
        "ignore-unused",
        "An ignore (`# edge-sim: ignore RULE reason`) suppresses at least one finding.",
        condition="ours",
        timing="ours",
        source="ours",
        severity="warning",
        hint="Remove it: the problem is gone, or the rule's name or the place is wrong.",
    ),
)
