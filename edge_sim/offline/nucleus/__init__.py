"""A stand-in for a Greengrass V2 core's local side, ours: it runs what ``edge-sim migrate`` wrote, as a nucleus would.

    recipes      a recipe as each nucleus reads it: case, platform, variables; what it refuses, with the reason
    layout       artifacts fetched from the folder, unpacked, with owners and modes
    eventstream  the frames of the Greengrass IPC     ipc   who may publish, subscribe and read what
    core         components started in the order of their dependencies, and stopped

No nucleus runs here, and no cloud: messages to IoT Core go round in this process. Imported Lambdas need AWS's launcher,
which is closed, and are not started.
"""
