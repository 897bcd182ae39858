"""Topics of AWS IoT Jobs, and the shadow topics that carry deployments to a core.

Requests, replies and notifications: AWS IoT developer guide, "Jobs device MQTT API" (``jobs-mqtt-api``).
Deployments: the shadow of the reserved thing ``<thing>-gda``, seen in captures of real cores; see
``jobs.shadow`` for what we put on them.

``Request`` ↔ topic for calls, ``Reply`` ↔ topic for their answers, ``notify``/``notify_next`` for the rest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Call = Literal["get-pending", "start-next", "describe", "update"]

NEXT = "$next"
"""Stands for "the first pending job" in a describe topic."""

REQUEST_FILTERS = (
    "$aws/things/+/jobs/get",
    "$aws/things/+/jobs/start-next",
    "$aws/things/+/jobs/+/get",
    "$aws/things/+/jobs/+/update",
)
"""What the service subscribes to: every request of every thing, and no reply."""

DEPLOYMENT_GET_FILTER = "$aws/things/+/shadow/get"

MAX_TOPIC_BYTES = 256

_THING_NAME = re.compile(r"[a-zA-Z0-9:_-]{1,128}")
_THING = rf"(?P<thing>{_THING_NAME.pattern})"
_JOB_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_JOBS = re.compile(rf"\$aws/things/{_THING}/jobs/(?P<rest>.+)")
_DEPLOYMENT_GET = re.compile(rf"\$aws/things/{_THING}-gda/shadow/get")


@dataclass(frozen=True, kw_only=True)
class Request:
    """One call by one thing. ``job_id`` is None for get-pending and start-next, and may be ``$next`` for describe."""

    thing: str
    call: Call
    job_id: str | None = None

    @property
    def topic(self) -> str:
        """The topic that the device publishes to."""
        base = f"$aws/things/{self.thing}/jobs"
        if self.call == "get-pending":
            return f"{base}/get"
        if self.call == "start-next":
            return f"{base}/start-next"
        return f"{base}/{self.job_id}/{'get' if self.call == 'describe' else 'update'}"

    @property
    def accepted(self) -> str:
        return f"{self.topic}/accepted"

    @property
    def rejected(self) -> str:
        return f"{self.topic}/rejected"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """The answer to ``request``, as its topic says it."""

    request: Request
    accepted: bool


def is_thing_name(text: str) -> bool:
    """Tell whether ``text`` may name a thing (1-128 of ``[a-zA-Z0-9:_-]``)."""
    return _THING_NAME.fullmatch(text) is not None


def is_job_id(text: str) -> bool:
    """Tell whether ``text`` may name a job (1-64 of ``[a-zA-Z0-9_-]``)."""
    return _JOB_ID.fullmatch(text) is not None


def request(topic: str) -> Request | None:
    """Return the call that a topic means, or None: another topic, or one that maps to no call."""
    match = _JOBS.fullmatch(topic) if len(topic.encode()) <= MAX_TOPIC_BYTES else None
    return _call(match["thing"], match["rest"].split("/")) if match else None


def reply(topic: str) -> Reply | None:
    """Return whose answer a topic carries, or None when it carries none."""
    base, _, last = topic.rpartition("/")
    call = request(base) if last in ("accepted", "rejected") else None
    return Reply(request=call, accepted=last == "accepted") if call else None


def notify(thing: str) -> str:
    """Topic of JobExecutionsChanged: the set of pending executions changed."""
    return f"$aws/things/{thing}/jobs/notify"


def notify_next(thing: str) -> str:
    """Topic of NextJobExecutionChanged: another execution is the next one."""
    return f"$aws/things/{thing}/jobs/notify-next"


def deployment_delta(thing: str) -> str:
    """Topic on which a core hears of a new deployment."""
    return f"$aws/things/{thing}-gda/shadow/update/delta"


def deployment_get(thing: str) -> str:
    """Topic on which a core asks for the deployment that it may have missed."""
    return f"$aws/things/{thing}-gda/shadow/get"


def deployment_get_accepted(thing: str) -> str:
    """Topic of the answer to ``deployment_get``."""
    return f"{deployment_get(thing)}/accepted"


def deployment_asker(topic: str) -> str | None:
    """Return the core that asks for its deployment on this topic, or None when it is another topic."""
    match = _DEPLOYMENT_GET.fullmatch(topic)
    return match["thing"] if match else None


def _call(thing: str, levels: list[str]) -> Request | None:
    if levels == ["get"]:
        return Request(thing=thing, call="get-pending")
    if levels == ["start-next"]:
        return Request(thing=thing, call="start-next")
    if len(levels) != 2:
        return None
    job_id, verb = levels
    if verb == "get" and (job_id == NEXT or is_job_id(job_id)):
        return Request(thing=thing, call="describe", job_id=job_id)
    if verb == "update" and is_job_id(job_id):
        return Request(thing=thing, call="update", job_id=job_id)
    return None
