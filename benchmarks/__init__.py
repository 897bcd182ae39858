"""Benchmarks: each times what a user would wait for against what they would otherwise pick, in one run."""

import os

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # with it, each process that is timed would compile every module anew
