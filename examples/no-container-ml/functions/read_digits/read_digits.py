"""Reads hand-written digits with the S3 model ``digits``; a No-container function, Python 3.6 or newer.

The model belongs to root and to a Linux group that may read it (GroupPermission ``ro``). The function proves both
halves: it classifies held-out images with it, and it tries to write where it may not. With ``{"sign": true}`` it signs
what it found with the secret ``meter-token``, which the core gives out over its local endpoint.
"""

# ruff: noqa: B905 (boards run Python 3.7: zip has no strict there)

import csv
import errno
import hmac
import json
import os
from pathlib import Path

MODEL = Path(os.environ["AWS_GG_RESOURCE_PREFIX"] + "/models/digits")
HERE = Path(__file__).resolve().parent


def function_handler(event, context):
    weights = rows(MODEL / "weights.csv")
    images = rows(HERE / "heldout.csv")[: event.get("images")]
    correct = sum(classify(weights, image[1:]) == image[0] for image in images)
    result = {
        "function": context.function_name,
        "images": len(images),
        "correct": correct,
        "accuracy": round(correct / len(images), 4),
        "write": {
            "existing file": try_to_open(MODEL / "weights.csv", "r+"),
            "new file": try_to_open(MODEL / "mine.csv", "w"),
        },
    }
    if event.get("sign"):
        found = f"{correct} of {len(images)}"
        result["signed"] = hmac.new(token().encode(), found.encode(), "sha256").hexdigest()[:16]
    print(f"read {len(images)} images, {correct} right; writing to the model: {result['write']}")
    return result


def token():
    """Return the secret's value, with the three calls that greengrasssdk's get_secret_value makes.

    A function that ships the SDK writes client("secretsmanager").get_secret_value(SecretId=...)["SecretString"].
    """
    from greengrass_ipc_python_sdk.ipc_client import IPCClient  # the core's own, on every V1 core

    core, manager = IPCClient(), os.environ["SECRETS_MANAGER_FUNCTION_ARN"]
    asked = core.post_work(manager, json.dumps({"SecretId": "greengrass-meter-token"}).encode(), b"")
    return json.loads(core.get_work_result(manager, asked).payload.decode())["SecretString"]


def classify(weights, pixels):
    """Return the digit whose weights answer strongest; the last weight is for a pixel that is always 16."""
    scores = [sum(w * x for w, x in zip(row, pixels)) + 16 * row[64] for row in weights]
    return max(range(10), key=scores.__getitem__)


def try_to_open(path, mode):
    """Return "refused: <errno>", or fail loudly: this function must not be able to write here."""
    try:
        path.open(mode).close()
    except OSError as error:
        return "refused: " + errno.errorcode.get(error.errno, str(error.errno))
    raise RuntimeError(str(path) + " could be opened for writing, but the model is read-only")


def rows(path):
    with path.open(newline="") as lines:
        return [[int(value) for value in row] for row in csv.reader(lines)]
