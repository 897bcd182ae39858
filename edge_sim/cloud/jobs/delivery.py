"""A job's document as a device is handed it: with fresh presigned URLs, every time."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

from edge_sim import strictjson
from edge_sim.cloud.jobs.records import Job
from edge_sim.errors import EdgeSimError

_log = logging.getLogger(__name__)

Presign = Callable[[str, int, str], str]
"""(S3 URL, seconds it is good for, thing) → URL that the thing can fetch. Raises EdgeSimError when there is no such
object."""

PLACEHOLDER = re.compile(r"\$\{aws:iot:s3-presigned-url:(https://[^{}\s]{1,2048})\}")


def handed_out(job: Job, thing: str, presign: Presign) -> dict[str, object]:
    """Return the job's document as one delivery to ``thing`` carries it: a fresh presigned URL for each placeholder.

    A URL that cannot be presigned stays a placeholder, so that the device never leaves this machine for it and can
    say what is wrong.
    """

    def presigned(match: re.Match[str]) -> str:
        try:
            return presign(match[1], job.expires_s, thing)
        except EdgeSimError as error:
            _log.warning("job %s: %s is not presigned: %s", job.job_id, match[1], error)
            return match[0]

    def replaced(value: object) -> Any:
        if isinstance(value, str):
            return PLACEHOLDER.sub(presigned, value)
        if isinstance(value, dict):
            return {key: replaced(item) for key, item in value.items()}
        return [replaced(item) for item in value] if isinstance(value, list) else value

    document: dict[str, object] = replaced(strictjson.loads(job.document.encode()))
    return document
