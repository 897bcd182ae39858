"""What definitions of every family, and groups, have in common: the eight verbs, and tags.

Texts: ``greengrass.families.Texts``. The limits of tags are those of the AWS General Reference ("Tag naming and usage
conventions"); the texts of their refusals, and the number of items on a page without MaxResults, are ours.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any

from edge_sim.cloud import pages
from edge_sim.cloud.greengrass.arns import Namespace
from edge_sim.cloud.greengrass.clock import timestamp
from edge_sim.cloud.greengrass.kinds import KINDS, Content, Kind
from edge_sim.cloud.protocol import ApiError
from edge_sim.cloud.store import Document, DocumentPage, Store

PAGE, MAX_PAGE = 50, 250
MAX_TAGS, MAX_KEY, MAX_VALUE = 50, 128, 256
_TAG = re.compile(r"[\w\s+\-=.:/@]*")
_INFORMATION = (
    "Arn",
    "CreationTimestamp",
    "Id",
    "LastUpdatedTimestamp",
    "LatestVersion",
    "LatestVersionArn",
    "Name",
)
_VERSION_INFORMATION = ("Arn", "CreationTimestamp", "Id", "Version")

Params = Mapping[str, Any]
Result = dict[str, Any]


class Definitions:
    """Definitions and groups, kept in the store. A public method with a ``Kind`` is a verb of the API."""

    def __init__(self, store: Store, namespace: Namespace) -> None:
        self._store = store
        self._namespace = namespace

    def create(self, kind: Kind, params: Params) -> Result:
        """Create one, with its first version when ``InitialVersion`` is given."""
        initial = params.get("InitialVersion")
        tags = _checked_tags(params.get("tags") or {})
        if initial is not None:
            self._refuse(kind, initial)
        now, id_ = timestamp(), str(uuid.uuid4())
        body: Document = {
            "Arn": self._namespace.greengrass(f"{kind.path}/{id_}"),
            "Id": id_,
            "Name": params.get("Name"),
            "CreationTimestamp": now,
            "LastUpdatedTimestamp": now,
            "tags": tags,
        }
        self._store.put(kind.store, id_, body)
        if initial is not None:
            self._add_version(kind, id_, initial)
        return _answer(self._store.get(kind.store, id_) or body)

    def get(self, kind: Kind, params: Params) -> Result:
        """Return one with its tags."""
        document = self._document(kind, params, kind.texts.title)
        return {**_answer(document), "tags": document.get("tags", {})}

    def list(self, kind: Kind, params: Params) -> Result:
        """Return a page of all, in the order of their creation."""
        limit, position = _place(params)
        page = self._store.page(kind.store, limit=limit, position=position)
        return _list(kind.listed, page, [_listed_item(kind, document) for document in page.documents])

    def update(self, kind: Kind, params: Params) -> Result:
        """Give one another name."""
        if not params.get("Name"):
            raise ApiError(*kind.texts.nameless)
        document = self._document(kind, params, kind.texts.other)
        self._store.put(
            kind.store, document["Id"], {**document, "Name": params["Name"], "LastUpdatedTimestamp": timestamp()}
        )
        return {}

    def delete(self, kind: Kind, params: Params) -> Result:
        """Remove one with its versions. A group may still refer to them: its deployment then says so."""
        document = self._document(kind, params, kind.texts.other)
        with self._store.transaction():
            for version in self._store.list(_versions(kind), parent=document["Id"]):
                self._store.delete(_versions(kind), version["Version"])
            self._store.delete(kind.store, document["Id"])
        return {}

    def create_version(self, kind: Kind, params: Params) -> Result:
        """Add a version, which is the latest from now on."""
        document = self._document(kind, params, kind.texts.parent)
        self._refuse(kind, params)
        return _shown_version(self._add_version(kind, document["Id"], params))

    def get_version(self, kind: Kind, params: Params) -> Result:
        """Return a version with its content below ``Definition``, all of it at once."""
        document = self._document(kind, params, kind.texts.other)
        version = self.version(kind, document["Id"], params[kind.version_id])
        if version is None:
            text = f"Version {params[kind.version_id]} of {kind.texts.title} {document['Id']} does not exist."
            raise ApiError(kind.texts.version_code, text, 404)
        return version

    def list_versions(self, kind: Kind, params: Params) -> Result:
        """Return a page of the versions of one, in the order of their creation."""
        parent = self._document(kind, params, kind.texts.other)
        limit, position = _place(params)
        page = self._store.page(_versions(kind), parent=parent["Id"], limit=limit, position=position)
        return _list("Versions", page, [_shown_version(document) for document in page.documents])

    def tag(self, params: Params) -> Result:
        """Set tags of what an ARN names; those that it has already get the new value."""
        kind, document = self._tagged(params)
        tags = _checked_tags({**document.get("tags", {}), **(params.get("tags") or {})})
        self._store.put(kind.store, document["Id"], {**document, "tags": tags})
        return {}

    def untag(self, params: Params) -> Result:
        """Remove tags of what an ARN names; a key that it does not have is no error."""
        kind, document = self._tagged(params)
        tags = {key: value for key, value in document.get("tags", {}).items() if key not in params["TagKeys"]}
        self._store.put(kind.store, document["Id"], {**document, "tags": tags})
        return {}

    def tags(self, params: Params) -> Result:
        """Return the tags of what an ARN names."""
        return {"tags": self._tagged(params)[1].get("tags", {})}

    def exists(self, kind: Kind, id_: str) -> bool:
        """Return whether there is one with an id."""
        return self._store.get(kind.store, id_) is not None

    def version(self, kind: Kind, id_: str, version_id: str) -> Document | None:
        """Return a version of one as it is kept, or None."""
        document = self._store.get(_versions(kind), version_id)
        return document if document and document["Id"] == id_ else None

    def resolve(self, kind: Kind, arn: str) -> Document | None:
        """Return the content of the version an ARN names, or None when it does not exist here."""
        ids = self._namespace.version(arn, kind.path)
        version = self.version(kind, *ids) if ids else None
        content: Document | None = version["Definition"] if version else None
        return content

    def _document(self, kind: Kind, params: Params, noun: str) -> Document:
        document = self._store.get(kind.store, params[kind.id])
        if document is None:
            raise ApiError("IdNotFoundException", f"That {noun} does not exist.", 404)
        return document

    def _refuse(self, kind: Kind, content: Content) -> None:
        """Raise ApiError for what V1 refused when a version was created.

        Such answers had no error type, so that clients show the bare status "400" as their code.
        """
        problems = kind.problems(content, lambda other, arn: self.resolve(other, arn) is not None)
        if problems:
            raise ApiError("400", f"{kind.texts.invalid} (ErrorDetails: [{', '.join(problems)}])")

    def _add_version(self, kind: Kind, id_: str, content: Content) -> Document:
        version_id = str(uuid.uuid4())
        members = {name: content[name] for name in kind.members if content.get(name) is not None}
        body: Document = {
            "Arn": self._namespace.greengrass(f"{kind.path}/{id_}/versions/{version_id}"),
            "CreationTimestamp": timestamp(),
            "Definition": {**kind.empty, **members},
            "Id": id_,
            "Version": version_id,
        }
        self._store.put(_versions(kind), version_id, body, parent=id_)
        document = self._store.get(kind.store, id_) or {}
        latest = {"LatestVersion": version_id, "LatestVersionArn": body["Arn"]}
        self._store.put(kind.store, id_, {**document, **latest, "LastUpdatedTimestamp": body["CreationTimestamp"]})
        return body

    def _tagged(self, params: Params) -> tuple[Kind, Document]:
        arn = params["ResourceArn"]
        for kind in KINDS:
            id_ = self._namespace.versioned(arn, kind.path)
            if id_ is not None:
                return kind, self._document(kind, {kind.id: id_}, kind.texts.other)
        raise ApiError("BadRequestException", f"{arn} is not the ARN of a definition or group of this cloud.")


def _versions(kind: Kind) -> str:
    return f"{kind.store}/versions"


def _answer(document: Document) -> Result:
    return {name: document.get(name) for name in _INFORMATION}


def _shown_version(document: Document) -> Result:
    return {name: document[name] for name in _VERSION_INFORMATION}


def _listed_item(kind: Kind, document: Document) -> Result:
    """Return an item of a list; the model has no tags in one of ListGroups."""
    tags = {"Tags": document.get("tags") or None} if kind.listed == "Definitions" else {}
    return {**_answer(document), **tags}


def _list(member: str, page: DocumentPage, items: list[Result]) -> Result:
    return {member: items, "NextToken": pages.token(page.position)}


def _place(params: Params) -> tuple[int, int]:
    """Return limit and position of a page; the API's MaxResults is a string."""
    most = params.get("MaxResults") or str(PAGE)
    if not (most.isascii() and most.isdigit() and len(most) < 10 and int(most)):
        raise ApiError("BadRequestException", f"MaxResults must be a whole number from 1, not {most!r}.")
    try:
        return min(int(most), MAX_PAGE), pages.position(params.get("NextToken"))
    except ValueError as error:
        raise ApiError("BadRequestException", "NextToken does not belong to this list.") from error


def _checked_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags; raises ApiError for what AWS allows in none."""
    if len(tags) > MAX_TAGS:
        raise ApiError("BadRequestException", f"At most {MAX_TAGS} tags are allowed, these would be {len(tags)}.")
    for key, value in tags.items():
        if key.lower().startswith("aws:"):
            raise ApiError("BadRequestException", f"Tag keys that begin with aws: are reserved: {key}")
        if not 1 <= len(key) <= MAX_KEY or len(value) > MAX_VALUE:
            text = f"A tag's key has 1 to {MAX_KEY} characters, its value at most {MAX_VALUE}: {key[:MAX_KEY]}"
            raise ApiError("BadRequestException", text)
        if not (_TAG.fullmatch(key) and _TAG.fullmatch(value)):
            text = f"Tags may contain letters, digits, spaces and + - = . _ : / @: {key}={value}"
            raise ApiError("BadRequestException", text)
    return dict(tags)
