"""Reads a meter's digits where they were photographed; a containerised function, Python 3.6 or newer.

Three attached resources meet here: the volume ``/mnt/meter`` with the camera's rows, the GPS receiver at
``/dev/ttyUSB0`` (NMEA 0183), and the model, which a container sees at its destination path itself.
"""

# ruff: noqa: B905 (boards run Python 3.7: zip has no strict there)

import csv
import os
import select
import time
from pathlib import Path

MODEL = Path(os.environ["AWS_GG_RESOURCE_PREFIX"] + "/models/digits")
READINGS = Path("/mnt/meter/readings.csv")
GPS = "/dev/ttyUSB0"
GPS_SECONDS = 8.0


def function_handler(event, context):
    weights = rows(MODEL / "weights.csv")
    images = rows(READINGS)
    digits = [classify(weights, image[1:]) for image in images]
    correct = sum(digit == image[0] for digit, image in zip(digits, images))
    return {
        "function": context.function_name,
        "first reading": "".join(str(digit) for digit in digits[:6]),
        "images": len(images),
        "correct": correct,
        "accuracy": round(correct / len(images), 4),
        "position": position(event.get("gps", GPS)),
        "devices seen": sorted(p.name for p in Path("/dev").iterdir() if is_device(p)),
    }


def is_device(path):
    return not path.is_symlink() and (path.is_char_device() or path.is_block_device())


def position(device):
    """Return latitude and longitude in degrees from the first valid GGA sentence, or raise RuntimeError."""
    end = time.monotonic() + GPS_SECONDS
    port = os.open(device, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    heard = b""
    try:
        while select.select([port], [], [], max(0.0, end - time.monotonic()))[0]:
            heard = (heard + os.read(port, 1024))[-4096:]
            for line in heard.decode("ascii", "replace").splitlines():
                fields = sentence(line)
                if fields and fields[0].endswith("GGA") and fields[6] != "0":
                    return {"latitude": degrees(fields[2], fields[3]), "longitude": degrees(fields[4], fields[5])}
    finally:
        os.close(port)
    raise RuntimeError(f"no position from {device} in {GPS_SECONDS:g} s")


def sentence(line):
    """Return the fields of an NMEA sentence with a right checksum, else nothing."""
    body, star, checksum = line.strip().lstrip("$").partition("*")
    total = 0
    for character in body:
        total ^= ord(character)
    return body.split(",") if star and checksum.upper() == f"{total:02X}" else []


def degrees(value, side):
    """Return signed degrees from ddmm.mmm and N, S, E or W."""
    whole, minutes = divmod(float(value), 100)
    return round((whole + minutes / 60) * (-1 if side in "SW" else 1), 5)


def classify(weights, pixels):
    """Return the digit whose weights answer strongest; the last weight is for a pixel that is always 16."""
    scores = [sum(w * x for w, x in zip(row, pixels)) + 16 * row[64] for row in weights]
    return max(range(10), key=scores.__getitem__)


def rows(path):
    with path.open(newline="") as lines:
        return [[int(value) for value in row] for row in csv.reader(lines)]
