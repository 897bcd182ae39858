"""The keys of a YAML file that people write, as rows: its reader and its JSON schema are both made of them.

    Value      how a value is read from its place, and the JSON schema of what is written there
    Key        one key: its name, its value, what it means, and its default where it may be left out
    KeyTable   the keys of one mapping; ``read`` returns ``Entries``, which answer by key

A schema takes whatever its reader takes, and as much less of the rest as JSON schemas can say. Most values are read as
they are written (``1.10`` stays ``1.10``), so that a text without quotes may be a number or a boolean to a schema.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Generic, Literal, NoReturn, TypeVar, cast

from edge_sim.documents import OCTAL_MODE, PATH, SIZE, Place, unusable

Schema = Mapping[str, object]
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
_W = TypeVar("_W", bound=str)
_READINGS = {"null": None, "true": True, "false": False, "yes": True, "no": False, "on": True, "off": False}
"""What YAML makes of a word that is written without quotes."""
_DIGITS = "[0-9]{1,18}"


class _Required(Enum):
    REQUIRED = "required"


REQUIRED = _Required.REQUIRED


@dataclass(frozen=True, kw_only=True)
class Value(Generic[T_co]):
    """What may stand at a key. ``read`` refuses, with its place, all that ``schema`` refuses."""

    read: Callable[[Place], T_co]
    schema: Schema


@dataclass(frozen=True)
class Key(Generic[T_co]):
    """A key with its ``meaning``, in a sentence. ``written`` is the default as a file would have it, if not itself."""

    name: str
    value: Value[T_co]
    meaning: str
    default: T_co | Literal[_Required.REQUIRED] = REQUIRED
    written: object = None
    examples: tuple[object, ...] = ()

    def schema(self) -> dict[str, object]:
        """Return the JSON schema of what stands at the key."""
        schema = {"description": self.meaning, **self.value.schema}
        default = self.default if self.written is None else self.written
        if isinstance(default, str | int) and default != "":
            schema["default"] = default
        return {**schema, "examples": list(self.examples)} if self.examples else schema


@dataclass(frozen=True, kw_only=True)
class KeyTable:
    """The keys of a mapping; of ``one_of`` there must be exactly one. ``title`` tells apart those of one list."""

    keys: tuple[Key[object], ...]
    one_of: tuple[Key[object], ...] = ()
    title: str = ""

    def read(self, place: Place) -> Entries:
        """Return what is written at a place, all of it read."""
        names = [key.name for key in self.keys]
        required = [key.name for key in self.keys if key.default is REQUIRED]
        places = place.mapping(required, [name for name in names if name not in required])
        if self.one_of and sum(key.name in places for key in self.one_of) != 1:
            *others, last = (key.name for key in self.one_of)
            place.fail(f"takes exactly one of {', '.join(others)} and {last}", allowed=names)
        values = {key.name: key.value.read(places[key.name]) for key in self.keys if key.name in places}
        return Entries(place, places, values)

    def schema(self) -> dict[str, object]:
        """Return the JSON schema of the mapping."""
        schema: dict[str, object] = {"title": self.title} if self.title else {}
        schema |= {"type": "object", "properties": {key.name: key.schema() for key in self.keys}}
        required = [key.name for key in self.keys if key.default is REQUIRED]
        schema |= {"required": required} if required else {}
        schema |= {"oneOf": [{"required": [key.name]} for key in self.one_of]} if self.one_of else {}
        return {**schema, "additionalProperties": False}


@dataclass(frozen=True)
class Entries:
    """What is written in one mapping: ``entries[KEY]`` is the key's value, or its default."""

    top: Place
    places: Mapping[str, Place]
    values: Mapping[str, object]

    def __getitem__(self, key: Key[T]) -> T:
        if key.name in self.values:
            return cast("T", self.values[key.name])
        assert key.default is not REQUIRED  # noqa: S101 - the table has seen to it
        return key.default

    def __contains__(self, key: Key[object]) -> bool:
        return key.name in self.places

    def place(self, key: Key[object]) -> Place:
        """Return where a key's value stands; where it is left out, that of the whole mapping."""
        return self.places.get(key.name, self.top)

    def word(self, key: Key[str], allowed: Iterable[str]) -> str:
        """Return the value of a key that must be one of the words that another part of the file allows."""
        word = self[key]
        return self.places[key.name].choice(allowed) if key.name in self.places else word

    def fail(self, key: Key[object], problem: str, *, hint: str | None = None, allowed: Iterable[str] = ()) -> NoReturn:
        """Raise the error for the value of a key."""
        self.place(key).fail(problem, hint=hint, allowed=allowed)


def words(pattern: str, what: str, *, bare: bool = False) -> Value[str]:
    """A text of a pattern that Python and ECMAScript read alike; ``bare``: one that YAML may take for a number."""
    types: object = ["string", "number", "boolean"] if bare else "string"
    schema = {"title": what, "type": types, "pattern": f"^({pattern})$"}
    return Value(read=lambda place: place.text(pattern, what), schema=schema)


def _scalar(least: int) -> Schema:
    return {"title": "text", "type": ["string", "number", "boolean"], "minLength": least}


TEXT = Value(read=Place.text, schema=_scalar(1))
EMPTY_TEXT = Value(read=lambda place: place.text(r"(?s).*"), schema=_scalar(0))
"""A text that may be empty."""
NAME = Value(
    read=lambda place: place.text(r"(?s).*"),
    schema={"title": "a name listed elsewhere in this file", "type": ["string", "number", "boolean"]},
)
"""A word that another part of the file allows: ``Entries.word`` asks for it."""
FLAG = Value(read=Place.flag, schema={"type": "boolean"})
ANYTHING = Value(read=Place.value, schema={"title": "any value"})
KIB = Value(read=Place.kib, schema={"title": "a size such as 512 MiB", "type": "string", "pattern": f"^({SIZE})$"})
"""A size, in KiB."""
MODE = Value(
    read=Place.mode,
    schema={"title": "an octal mode such as 0660", "type": ["string", "integer"], "pattern": f"^({OCTAL_MODE})$"},
)
BOARD_PATH = words(PATH, "an absolute path without . and ..")


def whole(least: int = 0, most: int | None = None, unit: str = "") -> Value[int]:
    """A whole number within bounds, which may stand in quotes."""
    bounds = f"{least} or more" if most is None else f"from {least} to {most}"
    what = f"a whole number{unit and f' of {unit}'}, {bounds}"
    schema = {"title": what, "type": ["integer", "string"], "pattern": f"^{_DIGITS}$", "minimum": least}

    def read(place: Place) -> int:
        number = int(place.text(_DIGITS, what))
        if number < least or (most is not None and number > most):
            place.fail(f"must be {what}, not {number}")
        return number

    return Value(read=read, schema=schema if most is None else {**schema, "maximum": most})


def choice(allowed: Iterable[_W]) -> Value[_W]:
    """One of a few words."""
    known = tuple(allowed)
    readings = [_READINGS[word] for word in known if word in _READINGS]
    return Value(read=lambda place: place.choice(known), schema={"enum": [*known, *readings]})


def each(item: Value[T]) -> Value[tuple[T, ...]]:
    """A list."""
    return Value(
        read=lambda place: tuple(item.read(entry) for entry in place.items()),
        schema={"type": "array", "items": item.schema},
    )


def named(value: Value[T], names: str) -> Value[dict[str, T]]:
    """A mapping whose keys are names of the writer's own."""
    schema = {"title": f"a mapping of {names}", "type": "object", "additionalProperties": value.schema}
    return Value(read=lambda place: {name: value.read(entry) for name, entry in place.entries().items()}, schema=schema)


def table(read: Callable[[Place], T], *tables: KeyTable) -> Value[T]:
    """What ``read`` makes of a mapping that is one of ``tables``."""
    schemas = [table.schema() for table in tables]
    return Value(read=read, schema=schemas[0] if len(schemas) == 1 else {"oneOf": schemas})


def existing(place: Place, *, folder: bool | None = None) -> Path:
    """Return the path written at a place, relative to the place's own file; it must be there."""
    path = place.file.parent / place.text(what="a path relative to this file")
    try:
        usable = path.is_dir() or path.is_file()  # opening a pipe would wait for somebody to write
    except OSError:  # a name that is too long, a folder above that may not be searched
        usable = False
    if not usable:
        place.fail(f"{path}: {unusable(path)}")
    if folder is not None and path.is_dir() != folder:
        place.fail(f"{path}: must be a {'folder' if folder else 'file'}")
    return path


def local(what: str, folder: bool | None = None) -> Value[Path]:
    """A path of this machine, relative to the file that names it; it must be there."""
    schema = {"title": f"{what}, by its path from this one", "type": ["string", "number", "boolean"]}
    return Value(read=lambda place: existing(place, folder=folder), schema={**schema, "minLength": 1})


FILE = local("a file", False)
