"""The keys of edge-sim.yaml as rows, and what is read from them: the parts of a scenario beside the definition."""

from __future__ import annotations

from pathlib import Path

from edge_sim import arns, fleetkeys, keys
from edge_sim.documents import Place
from edge_sim.greengrass.families import FAMILIES
from edge_sim.jobs.requests import FINAL
from edge_sim.jobs.update import SOFTWARE, Software
from edge_sim.keys import Key, KeyTable, Value
from edge_sim.limits import LINKS, MEANINGS, Limits, Links
from edge_sim.scenarioparts import BoardFile, Code, DeviceBacking, ExpectedInvocation, ExpectedUpdate, Source


def group_files(place: Place) -> dict[str, Path]:
    """Return the files of a group by the sections they are for, or its one file by the empty word."""
    places = place.entries(tuple(FAMILIES)) if place.is_mapping else {"": place}
    if not places:
        place.fail("names no definition", allowed=FAMILIES)
    return {word: keys.existing(entry, folder=False) for word, entry in places.items()}


_EITHER, _FOLDER = keys.local("a file or a folder"), keys.local("a folder", True)
_FILE = keys.FILE
_ON_BOARD = keys.words(r"/(?!.*(^|/)\.\.?(/|$)).+", "an absolute path on the board, without . and ..")
_NODE = keys.words("/dev/.+", "a path below /dev")
_S3_URI = keys.words("s3://[a-z0-9.-]+/.+", "an S3 URI, s3://bucket/key")
_VERSION = keys.words(r"[0-9]+\.[0-9]+\.[0-9]+", "a version of three numbers, such as 1.11.6")


_PACKED = Key("folder", _FOLDER, "The folder to pack, in the format that the address's extension names.", None)
_AS_IT_IS = Key("file", _FILE, "The archive to serve, unchanged.", None)
_S3 = Key("s3", _S3_URI, "The model's S3 URI, as in the definition.", examples=("s3://my-models/birds/model.tar.gz",))
_JOB_ARN = keys.words(arns.pattern("sagemaker", "training-job/.+"), "a training job's ARN")
_JOB = Key("trainingJob", _JOB_ARN, "The training job's ARN, as in the definition.")
_OUTPUT = Key("output", _S3_URI, "Where the job stored its model in S3; the extension names the archive's format.")
_SECRET_ARN = keys.words(arns.pattern("secretsmanager", ".+"), "a secret's ARN")
_SECRET = Key("secret", _SECRET_ARN, "The secret's ARN, as in the definition.")
_SECRET_VALUE = Key("value", keys.TEXT, "The secret's value under the label AWSCURRENT. Reports never show it.")
_STAGES = Key("stages", keys.named(keys.TEXT, "labels to text"), "Its values under other staging labels.", {})
_SOURCES = (
    KeyTable(title="a model in S3", keys=(_S3, _PACKED, _AS_IT_IS), one_of=(_PACKED, _AS_IT_IS)),
    KeyTable(title="a model of SageMaker", keys=(_JOB, _OUTPUT, _PACKED, _AS_IT_IS), one_of=(_PACKED, _AS_IT_IS)),
    KeyTable(title="a secret", keys=(_SECRET, _SECRET_VALUE, _STAGES)),
)


def _source(place: Place) -> Source:
    members = place.entries({key.name: None for table in _SOURCES for key in table.keys})
    kinds = [table for table in _SOURCES if table.keys[0].name in members]
    if len(kinds) != 1:
        place.fail("a source needs exactly one of s3, trainingJob, secret")
    entries = kinds[0].read(place)
    if _SECRET in entries:
        value, stages = entries[_SECRET_VALUE], entries[_STAGES]
        return Source(kind="secret", address=entries[_SECRET], value=value, stages=stages)
    path = entries[_PACKED] or entries[_AS_IT_IS]
    if _S3 in entries:
        return Source(kind="s3", address=entries[_S3], object_uri=entries[_S3], path=path)
    return Source(kind="trainingJob", address=entries[_JOB], object_uri=entries[_OUTPUT], path=path)


_FUNCTION_ARN = keys.words(arns.pattern("lambda", "function:.+:.+"), "a qualified function ARN")
_HANDLER_NAME = keys.words(r"[A-Za-z0-9_./-]+\.[A-Za-z0-9_]+", "module.function", bare=True)
_RUNTIME_NAME = keys.words("[a-z0-9.]+", "a Lambda runtime such as python3.7", bare=True)
_FUNCTION = Key("function", _FUNCTION_ARN, "The function's ARN, as in the definition, with its version or alias.")
_CODE_FOLDER = Key("folder", _FOLDER, "The folder with its code.")
_HANDLER = Key("handler", _HANDLER_NAME, "The handler that Lambda calls.", examples=("watch.function_handler",))
_RUNTIME = Key("runtime", _RUNTIME_NAME, "The function's runtime in Lambda.", examples=("python3.7",))
_CODE = KeyTable(keys=(_FUNCTION, _CODE_FOLDER, _HANDLER, _RUNTIME))


def _code(place: Place) -> Code:
    entries = _CODE.read(place)
    arn, folder = entries[_FUNCTION], entries[_CODE_FOLDER]
    return Code(function_arn=arn, folder=folder, handler=entries[_HANDLER], runtime=entries[_RUNTIME])


_LIMITS = tuple(Key(name, keys.whole(), meaning, getattr(Limits(), name)) for name, meaning in MEANINGS.items())
_REFUSE: Links = Limits().links
_LINKS = Key("links", keys.choice(LINKS), "Refuse links inside a package, or copy their targets.", _REFUSE)
_PACKAGES = KeyTable(keys=(*_LIMITS, _LINKS))


def _packages(place: Place) -> Limits:
    entries = _PACKAGES.read(place)
    return Limits(**{key.name: entries[key] for key in _LIMITS}, links=entries[_LINKS])


def _true(place: Place) -> bool:
    if not place.flag():
        place.fail("must be true, or left out")
    return True


_FILE_MODE = Value(
    read=lambda place: int(place.text("0?[0-7]{3}", "three octal digits such as 0640"), 8),
    schema={"title": "three octal digits such as 0640", "type": ["string", "integer"], "pattern": "^0?[0-7]{3}$"},
)
_PATH = Key("path", _ON_BOARD, "Its path on the board.")
_COPY = Key("copy", _EITHER, "The file or folder to copy.", None)
_DIRECTORY = Key("directory", Value(read=_true, schema={"const": True}), "Create an empty directory.", None)
_OWNER = Key("owner", keys.TEXT, "Its owner: a user name on the board.", "root")
_OWNING_GROUP = Key("group", keys.TEXT, "Its group: a group name on the board.", "root")
_MODE = Key(
    "mode", _FILE_MODE, "The mode of files; a directory can also be searched by whoever may read it.", 0o644, "0644"
)
_BOARD_FILE = KeyTable(keys=(_PATH, _COPY, _DIRECTORY, _OWNER, _OWNING_GROUP, _MODE), one_of=(_COPY, _DIRECTORY))


def _board_file(place: Place) -> BoardFile:
    entries = _BOARD_FILE.read(place)
    owner, group, mode = entries[_OWNER], entries[_OWNING_GROUP], entries[_MODE]
    return BoardFile(path=entries[_PATH], copy=entries[_COPY], owner=owner, group=group, mode=mode)


_DEVICE_PATH = Key("path", _NODE, "The device node; the profile must have it.", examples=("/dev/ttyUSB0",))
_HEARD = Key("lines", _FILE, "A file whose lines a serial device sends, one per second, over and over.", None)
_FRAMES = Key(
    "frames",
    _FOLDER,
    "A folder whose files are read from a character device in the order of their names, without pauses.",
    None,
)
_BLOCK = Key("block", keys.KIB, "The size of an empty block device; boards in containers only, as root.", None)
_HOST = Key("host", _NODE, "A device node of this machine to pass through.", None)
_DEVICE = KeyTable(keys=(_DEVICE_PATH, _HEARD, _FRAMES, _BLOCK, _HOST), one_of=(_HEARD, _FRAMES, _BLOCK, _HOST))


def _device(place: Place) -> DeviceBacking:
    entries = _DEVICE.read(place)
    return DeviceBacking(
        path=entries[_DEVICE_PATH],
        lines=entries[_HEARD],
        frames=entries[_FRAMES],
        size_kib=entries[_BLOCK],
        host=Path(entries[_HOST] or "") if _HOST in entries else None,
    )


def _expected(place: Place) -> dict[str, object]:
    value = place.value()
    if not isinstance(value, dict):
        place.fail("must be a mapping: what the result must contain")
    return value


INVOKED = Key("function", keys.TEXT, "The function's Id in the definition.")
_EVENT = Key("event", keys.ANYTHING, "The event to invoke the function with: any JSON value.")
_RESULT = Value(read=_expected, schema={"type": "object"})
_EXPECT = Key(
    "expect", _RESULT, "What the result must contain; of an object, only the keys listed here are compared.", {}
)
_INVOCATION = KeyTable(keys=(INVOKED, _EVENT, _EXPECT))


def _invocation(place: Place) -> ExpectedInvocation:
    entries = _INVOCATION.read(place)
    return ExpectedInvocation(function_id=entries[INVOKED], event=entries[_EVENT], expect=entries[_EXPECT])


_STATUS = Key("status", keys.choice(FINAL), "The final status that the update's job must have.")
_RUNNING = Key("version", _VERSION, "The version that must be running afterwards.")
_END = KeyTable(keys=(_STATUS, _RUNNING))
_CORE: Software = "core"
_OFFERED = Key("version", _VERSION, "The version to install. Every profile's factory version is 1.10.0.")
_STARTS = Key("starts", keys.FLAG, "Whether the build starts.")
_SOFTWARE = Key("software", keys.choice(SOFTWARE), "The software to update.", _CORE)
_UPDATE_END = Key("expect", keys.table(_END.read, _END), "The expected outcome.")
_UPDATE = KeyTable(keys=(_OFFERED, _STARTS, _SOFTWARE, _UPDATE_END))


def _update(place: Place) -> ExpectedUpdate:
    entries = _UPDATE.read(place)
    end = entries[_UPDATE_END]
    return ExpectedUpdate(
        place=place.position,
        version=entries[_OFFERED],
        starts=entries[_STARTS],
        software=entries[_SOFTWARE],
        status=end[_STATUS],
        running=end[_RUNNING],
    )


def _boards(place: Place) -> tuple[str, ...]:
    boards = _BOARDS.read(place)
    if not boards:
        place.fail("names no board", hint="See: edge-sim profiles list")
    return boards


_BOARDS = keys.each(keys.words("[A-Za-z0-9_.-]+|ssh://.+", "a profile's name, or ssh://[USER@]HOST[:PORT]", bare=True))
_SECTION_FILES = {
    "title": "a file for each section",
    "type": "object",
    "properties": {
        word: {"description": f"A file with a {family.kind}DefinitionVersion.", **_FILE.schema}
        for word, family in FAMILIES.items()
    },
    "minProperties": 1,
    "additionalProperties": False,
}
_VERSION_1 = Value(
    read=lambda place: place.text("1", "1, the version of this format"), schema={"title": "1", "enum": [1, "1"]}
)
_FORMAT = Key("edgeSim", _VERSION_1, "The version of this format.")
NAME = Key("name", keys.TEXT, "The scenario's name in reports.")
BOARDS = Key(
    "boards",
    Value(read=_boards, schema={**_BOARDS.schema, "minItems": 1}),
    "The boards to deploy to: profiles for simulated boards, addresses for real ones.",
    examples=(["raspberry-pi-3", "openwrt-armv7"],),
)
GROUP = Key(
    "group",
    Value(read=group_files, schema={"anyOf": [_FILE.schema, _SECTION_FILES]}),
    "The definition: one file in any form that edge-sim reads, or a file for each section.",
    examples=("group.yaml", {"resources": "resources.json", "functions": "functions.json"}),
)
SOURCES = Key(
    "sources", keys.each(keys.table(_source, *_SOURCES)), "The contents of S3, SageMaker and Secrets Manager.", ()
)
CODE = Key("code", keys.each(keys.table(_code, _CODE)), "The code of the functions, as Lambda would hold it.", ())
PACKAGES = Key(
    "packages",
    keys.table(_packages, _PACKAGES),
    "The limits within which a core accepts model and code packages.",
    Limits(),
)
FILES = Key(
    "files",
    keys.each(keys.table(_board_file, _BOARD_FILE)),
    "Files to place on every board before the core starts.",
    (),
)
DEVICES = Key(
    "devices",
    keys.each(keys.table(_device, _DEVICE)),
    "What backs device nodes, in place of the profile's backing; group, mode and type remain the profile's.",
    (),
)
INVOCATIONS = Key("invocations", keys.each(keys.table(_invocation, _INVOCATION)), "Functions to invoke, in order.", ())
UPDATES = Key("updates", keys.each(keys.table(_update, _UPDATE)), "Software updates to run, in order.", ())
STABLE_WINDOW = Key(
    "stableWindow",
    keys.whole(1, 3600, "seconds"),
    "How long a new core must run before its update counts as successful.",
    None,
    written=60,
)
FLEET = Key(
    "fleet", keys.table(fleetkeys.read, fleetkeys.TABLE), "A rollout to simulated cores, for edge-sim fleet.", None
)
SCENARIO = KeyTable(
    title="edge-sim.yaml",
    keys=(
        *(_FORMAT, NAME, BOARDS, GROUP, SOURCES, CODE, PACKAGES, FILES),
        *(DEVICES, INVOCATIONS, UPDATES, STABLE_WINDOW, FLEET),
    ),
)
"""The whole file."""
