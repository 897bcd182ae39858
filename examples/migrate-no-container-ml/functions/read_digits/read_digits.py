"""Reads hand-written digits with the model ``digits``: a No-container function of Greengrass V1, Python 3.6 or newer.

Nothing in it is changed on the way to V2: it opens its model by AWS_GG_RESOURCE_PREFIX, which V1 sets for functions
without a container, and which the recipe of its generic component sets on V2.
"""

# ruff: noqa: B905 (boards run Python 3.7: zip has no strict there)

import csv
import json
import os
from pathlib import Path

try:
    import greengrasssdk  # in the function's package, where it is to publish

    CLIENT = greengrasssdk.client("iot-data")
except ImportError:
    CLIENT = None

MODEL = Path(os.environ["AWS_GG_RESOURCE_PREFIX"] + "/models/digits")
HERE = Path(__file__).resolve().parent


def function_handler(event, _context):
    weights = rows(MODEL / "weights.csv")
    images = rows(HERE / "heldout.csv")[: event.get("images")]
    digits = [classify(weights, image[1:]) for image in images]
    correct = sum(digit == image[0] for digit, image in zip(digits, images))
    result = {
        "images": len(images),
        "correct": correct,
        "digits": "".join(map(str, digits)),
        "may write to the model": os.access(MODEL / "weights.csv", os.W_OK),
    }
    if CLIENT:
        CLIENT.publish(topic="images/digits", payload=json.dumps(result))
    return result


def classify(weights, pixels):
    """Return the digit whose weights answer strongest; the last weight is for a pixel that is always 16."""
    scores = [sum(w * x for w, x in zip(row, pixels)) + 16 * row[64] for row in weights]
    return max(range(10), key=scores.__getitem__)


def rows(path):
    with path.open(newline="") as lines:
        return [[int(value) for value in row] for row in csv.reader(lines)]
