"""A sixth kind of resource, in a copy of the package: mypy names every place that has to decide what it means."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import edge_sim

pytestmark = [pytest.mark.process, pytest.mark.slow]
ROOT = Path(edge_sim.__file__).parents[1]
UNION = "Model = S3Model | SageMakerModel\nResourceData = LocalDevice | LocalVolume | S3Model | SageMakerModel | Secret"
SIXTH = """
@dataclass(frozen=True, kw_only=True)
class Sixth:
    kind: ClassVar = ResourceKind(
        type_name="Sixth",
        container_key="SixthResourceData",
        file_type="SIXTH",
        shape=Members(DestinationPath=(TEXT, "Its path.")),
    )

    destination_path: str
    owner: OwnerSetting | None = None

    @classmethod
    def read(cls, reader: ObjectReader) -> Sixth:
        return cls(destination_path=reader.required_text("DestinationPath"))

    def members(self) -> dict[str, object]:
        return {"DestinationPath": self.destination_path}


Model = S3Model | SageMakerModel | Sixth
ResourceData = LocalDevice | LocalVolume | S3Model | SageMakerModel | Secret | Sixth
"""
USES = """
import sys
from pathlib import Path
from edge_sim.definitions.reader import read
from edge_sim.definitions.writer import canonical
from edge_sim.facts import HostFacts, User
from edge_sim.greengrass import groupfile, plan, process, rules

definition = read(Path(sys.argv[1]))
group = definition.group
facts = HostFacts(
    architecture="armv7l",
    operating_system="raspbian",
    users={"ggc_user": User(uid=998, gid=998)},
    groups={"ggc_group": 998},
)
assert definition.findings == (), definition.findings
assert canonical(definition)["resources"]["Resources"][0]["ResourceDataContainer"]["SixthResourceData"]
assert groupfile.decode(groupfile.encode(group, region="eu-west-1")).resources == group.resources
for use in (
    lambda: rules.check(group, facts),
    lambda: plan.paths_of_interest(group, "/greengrass"),
    lambda: plan.board_place(group, group.resources[0], facts),
    lambda: process.function_process(group, group.functions[0], facts),
):
    try:
        use()
    except AssertionError as error:
        print(error)
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "edge_sim", tmp_path / "edge_sim", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    module = tmp_path / "edge_sim/greengrass/resources.py"
    text = module.read_text()
    assert UNION in text
    module.write_text(text.replace(UNION, SIXTH))
    return tmp_path


def test_mypy_names_every_place_that_decides(copy: Path) -> None:
    """With what ``make lint`` left, mypy reads only what the sixth kind changes: two seconds for nineteen."""
    if (ROOT / ".mypy_cache").is_dir():
        shutil.copytree(ROOT / ".mypy_cache", copy / "cache")
    command = [sys.executable, "-m", "mypy", "edge_sim", "--cache-dir", str(copy / "cache"), "--no-error-summary"]
    said = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False).stdout
    named = set(re.findall(r"^(\S+?:\d+): error: .*\"Sixth\"", said, re.MULTILINE))
    deciding = {
        f"{path.relative_to(copy)}:{number}"
        for path in (copy / "edge_sim").rglob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if line.strip().removeprefix("return ") == "assert_never(data)"
    }
    assert len(deciding) >= 7
    assert named == deciding, said
    assert len(said.splitlines()) == len(named), said


def test_nothing_stumbles_over_it(copy: Path) -> None:
    """It is read and written like the others; what does not provide for it says so."""
    resource = {"Id": "r", "Name": "r", "ResourceDataContainer": {"SixthResourceData": {"DestinationPath": "/m"}}}
    policies = [{"ResourceId": "r", "Permission": "ro"}]
    configuration = {"MemorySize": 16384, "Environment": {"ResourceAccessPolicies": policies}}
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:f:1"
    function = {"Id": "f", "FunctionArn": arn, "FunctionConfiguration": configuration}
    file = copy / "group.json"
    file.write_text(f'{{"Resources": [{json.dumps(resource)}], "Functions": [{json.dumps(function)}]}}')
    command = [sys.executable, "-c", USES, str(file)]
    ran = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["Sixth is not provided for here"] * 4
