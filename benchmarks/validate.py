"""What it costs to judge a group: 200 functions × 200 resources, against botocore's check of the same create requests.

botocore's parameter validation is what a user has without edge-sim: it looks at types and required members only. In the
first group every function has its share of the resources, as AWS's limits allow; in the second every function is
attached to all of them: 40,000 attachments, which only a validator gets to see. The definition is read from JSON files.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.session import Session
from botocore.validate import ParamValidator

from edge_sim.definitions.reader import read
from edge_sim.facts import HostFacts
from edge_sim.profiles import load_profile
from edge_sim.validation.verdict import judge

LIMIT_S = 0.5
COUNT = 200
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:"
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:"


def resource(number: int) -> dict[str, Any]:
    """Return volumes, devices, models with an owner, and secrets, in turn."""
    name = f"r{number}"
    kinds: list[dict[str, Any]] = [
        {"LocalVolumeResourceData": {"SourcePath": f"/srv/{name}", "DestinationPath": f"/data/{name}"}},
        {"LocalDeviceResourceData": {"SourcePath": f"/dev/tty{name}"}},
        {
            "S3MachineLearningModelResourceData": {
                "S3Uri": f"s3://greengrass-models/{name}.zip",
                "DestinationPath": f"/models/{name}",
                "OwnerSetting": {"GroupOwner": str(5000 + number), "GroupPermission": "ro"},
            }
        },
        {"SecretsManagerSecretResourceData": {"ARN": f"{SECRET}greengrass-{name}-Ab3dEf"}},
    ]
    return {"Id": name, "Name": name, "ResourceDataContainer": kinds[number % 4]}


def function(number: int, attached: range) -> dict[str, Any]:
    """Return a containerised function attached to resources by number."""
    policies = [{"ResourceId": f"r{n % COUNT}", "Permission": "ro"} for n in attached]
    environment = {"Execution": {"IsolationMode": "GreengrassContainer"}, "ResourceAccessPolicies": policies}
    return {
        "Id": f"f{number}",
        "FunctionArn": f"{ARN}f{number}:1",
        "FunctionConfiguration": {"MemorySize": 16384, "Environment": environment},
    }


def definitions(attached_to: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the two definition versions of a group whose functions have ``attached_to`` resources each."""
    resources = {"Resources": [resource(n) for n in range(COUNT)]}
    return resources, {"Functions": [function(n, range(n, n + attached_to)) for n in range(COUNT)]}


def seconds(work: Callable[[], object]) -> float:
    """Return what one call takes of a processor; it is one thread and waits for nothing but small files."""
    start = time.process_time()
    work()
    return time.process_time() - start


def botocores(folder: Path, model: Any) -> None:
    """Read the files and check them as boto3 does before it sends them; ends the benchmark if it refuses them."""
    for kind in ("Resource", "Function"):
        version = json.loads((folder / f"{kind}s.json").read_text())
        shape = model.operation_model(f"Create{kind}Definition").input_shape
        report = ParamValidator().validate({"InitialVersion": version}, shape)
        if report.has_errors():
            raise SystemExit(report.generate_report())


def measure(attached_to: int, runs: int, facts: HostFacts) -> dict[str, float]:
    """Return medians in seconds: the rules with a board, reading and rules, botocore; paired in turn."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, version in zip(("Resources", "Functions"), definitions(attached_to), strict=True):
            (folder / f"{kind}.json").write_text(json.dumps(version))
        definition = read(folder)
        model = Session().get_service_model("greengrass")  # loaded once, as a long-lived client does
        botocores(folder, model)
        rules, whole, theirs = [], [], []
        for _ in range(runs):
            rules.append(seconds(lambda: judge(definition, {"board": facts})))
            whole.append(seconds(lambda: judge(read(folder), {"board": facts})))
            theirs.append(seconds(lambda: botocores(folder, model)))
    return {
        "rules_s": round(statistics.median(rules), 3),
        "read_and_rules_s": round(statistics.median(whole), 3),
        "botocore_s": round(statistics.median(theirs), 3),
        "ratio": round(statistics.median(a / b for a, b in zip(whole, theirs, strict=True)), 2),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--format", choices=["text", "json"], default="text")
    args = parser.parse_args()
    facts = load_profile("raspberry-pi-3").facts()
    cases = {f"{COUNT} functions x {n} attachments": measure(n, args.runs, facts) for n in (20, COUNT)}
    slowest = max(case["read_and_rules_s"] for case in cases.values())
    result = {
        "runs": args.runs,
        "cases": cases,
        "ratios": {name: case["ratio"] for name, case in cases.items()},
        "limit_s": LIMIT_S,
        "ok": slowest <= LIMIT_S,
    }
    if args.format == "json":
        print(json.dumps(result))
    else:
        for name, case in cases.items():
            print(
                f"{name}: rules {case['rules_s']} s, with reading {case['read_and_rules_s']} s, "
                f"botocore {case['botocore_s']} s, ratio {case['ratio']}"
            )
        print(f"slowest {slowest} s (limit {LIMIT_S} s), medians of {args.runs}")
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
