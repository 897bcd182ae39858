"""Fault tests in parts that run alone: ``python -m tests.faults.PART``. ``make faults`` runs all of them."""
