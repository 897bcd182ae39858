"""Which OTA agent this is. A release that an update brings is the same program with another number here."""

VERSION = "1.2.0"
"""AWS's OTA agent 1.2.0 came with core 1.10.0, which is a board's factory version here."""
