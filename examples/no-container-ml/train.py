"""Train the two small classifiers of this example and write them, and held-out rows, as text.

    python3 -m pip install scikit-learn        # used here only, as the carrier of the data sets
    python3 train.py

Running it again gives the same bytes: digits are learned with integers only, wine with exact fractions. What the
board needs is the text: the functions' inference is plain Python and imports no package.

Data, both from the UCI Machine Learning Repository under CC BY 4.0 and bundled with scikit-learn (BSD-3-Clause):

* Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, 1998, https://doi.org/10.24432/C50P49
  (scikit-learn's ``load_digits``: the 1797 images of its test set, 8 by 8 pixels of 0..16).
* Wine, S. Aeberhard and M. Forina, 1991, https://doi.org/10.24432/C5PC7J (``load_wine``: 178 analyses of wines
  of three cultivars, 13 measurements each).
"""

# ruff: noqa: B905 (any Python from 3.7 on may run this: zip has no strict there)

import json
import math
from fractions import Fraction
from pathlib import Path

from sklearn.datasets import load_digits, load_wine

HERE = Path(__file__).resolve().parent
EPOCHS = 20
BRIGHTEST = 16


def main():
    """Write the models below ``models``, held-out rows beside the functions and on the board's volume."""
    train_digits()
    train_wine()


# --- digits: an averaged multi-class perceptron, in integers ------------------------------------------------


def train_digits():
    """Learn from four of five images; every fifth one is held out."""
    data = load_digits()
    rows = [([int(pixel) for pixel in image], int(digit)) for image, digit in zip(data.data, data.target)]
    train = [row for index, row in enumerate(rows) if index % 5 != 4]
    held_out = [row for index, row in enumerate(rows) if index % 5 == 4]
    write_rows(HERE / "models/digits/weights.csv", perceptron(train))
    write_rows(HERE / "functions/read_digits/heldout.csv", [[digit, *image] for image, digit in held_out[:240]])
    write_rows(HERE / "meter/readings.csv", [[digit, *image] for image, digit in held_out[240:300]])


def perceptron(rows):
    """Return ten rows of 64 pixel weights and a bias weight (for a constant pixel of full brightness)."""
    weights = [[0] * 65 for _ in range(10)]
    total = [[0] * 65 for _ in range(10)]
    since = [0] * 10
    step = 0
    for _ in range(EPOCHS):
        for image, digit in rows:
            step += 1
            pixels = [*image, BRIGHTEST]
            scores = [sum(w * x for w, x in zip(row, pixels)) for row in weights]
            guess = max(range(10), key=scores.__getitem__)
            if guess == digit:
                continue
            for changed, sign in ((digit, 1), (guess, -1)):
                add(total[changed], weights[changed], step - since[changed])
                add(weights[changed], pixels, sign)
                since[changed] = step
    for digit in range(10):
        add(total[digit], weights[digit], step - since[digit])
    return [[(2 * value + step) // (2 * step) for value in row] for row in total]


def add(row, other, times):
    """Add ``times`` times ``other`` to ``row``, in place."""
    for index, value in enumerate(other):
        row[index] += times * value


# --- wine: the nearest class mean, each measurement divided by its spread -----------------------------------


def train_wine():
    """Learn from every twelfth wine only, so that calibrating on the board has something left to learn."""
    data = load_wine()
    rows = [([Fraction(repr(float(v))) for v in row], int(kind)) for row, kind in zip(data.data, data.target)]
    train = [row for index, row in enumerate(rows) if index % 12 == 0]
    feedback = [row for index, row in enumerate(rows) if index % 12 in (2, 4, 6, 8)]
    held_out = [row for index, row in enumerate(rows) if index % 2 == 1]
    model = {
        "features": list(data.feature_names),
        "scale": [round(spread(column), 6) for column in zip(*(row for row, _ in train))],
        "classes": [
            class_mean(name, [row for row, k in train if k == kind])
            for kind, name in enumerate(["cultivar 1", "cultivar 2", "cultivar 3"])
        ],
    }
    (HERE / "models/wine/model.json").write_text(json.dumps(model, indent=1) + "\n", encoding="ascii")
    for name, part in (("feedback", feedback), ("heldout", held_out)):
        lines = [[kind, *(float(v) for v in row)] for row, kind in part]
        write_rows(HERE / "functions/sort_wine" / (name + ".csv"), lines)


def spread(column):
    """Return the standard deviation of a column (exact up to the correctly rounded square root)."""
    mean = sum(column) / len(column)
    return math.sqrt(sum((value - mean) ** 2 for value in column) / len(column))


def class_mean(name, rows):
    """Return the record of one cultivar: how many wines it was learned from, and their mean."""
    return {"name": name, "count": len(rows), "mean": [round(float(sum(c) / len(rows)), 6) for c in zip(*rows)]}


def write_rows(path, rows):
    """Write comma-separated rows with ``\\n`` line ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (",".join(f"{value:g}" for value in row) for row in rows)
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
