"""A simulator for AWS IoT Greengrass V1 cores. Start at docs/architecture.md."""

__version__ = "0.1.0"
