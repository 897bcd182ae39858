"""The over-the-air update of the core: job, phases, journal, releases, supervisor."""
