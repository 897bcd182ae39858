"""Tells the cultivar of a wine with the SageMaker model ``wine``, and calibrates the model in its directory.

A No-container function, Python 3.6 or newer. The model's group may read and write it (GroupPermission ``rw``), so
laboratory results that come in later are appended to ``calibration.csv`` beside ``model.json`` and stay there.
"""

# ruff: noqa: B905 (boards run Python 3.7: zip has no strict there)

import csv
import json
import os
from pathlib import Path

MODEL = Path(os.environ["AWS_GG_RESOURCE_PREFIX"] + "/models/wine")
CALIBRATION = MODEL / "calibration.csv"
HERE = Path(__file__).resolve().parent


def function_handler(event, context):
    wines = rows(HERE / "heldout.csv")
    before = accuracy(load(), wines)
    append(rows(HERE / "feedback.csv")[: event.get("calibrate", 0)])
    after = accuracy(load(), wines)
    result = {
        "function": context.function_name,
        "wines": len(wines),
        "accuracy before": before,
        "accuracy": after,
        "calibrated with": len(rows(CALIBRATION)),
    }
    print(f"accuracy {before}, after calibration {after}")
    return result


def load():
    """Return the model with every calibration row worked into the mean of its class."""
    with (MODEL / "model.json").open() as file:
        model = json.load(file)
    for row in rows(CALIBRATION):
        kind = model["classes"][int(row[0])]
        kind["count"] += 1
        kind["mean"] = [m + (v - m) / kind["count"] for m, v in zip(kind["mean"], row[1:])]
    return model


def accuracy(model, wines):
    right = sum(classify(model, wine[1:]) == int(wine[0]) for wine in wines)
    return round(right / len(wines), 4)


def classify(model, measured):
    """Return the class with the nearest mean, each measurement divided by its spread."""
    distances = [
        sum(((v - m) / s) ** 2 for v, m, s in zip(measured, kind["mean"], model["scale"])) for kind in model["classes"]
    ]
    return distances.index(min(distances))


def append(feedback):
    with CALIBRATION.open("a", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(feedback)


def rows(path):
    if not path.exists():
        return []
    with path.open(newline="") as lines:
        return [[float(value) for value in row] for row in csv.reader(lines)]
