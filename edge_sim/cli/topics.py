"""What belongs to no single command; ``edge-sim help TOPIC`` shows it: exit statuses, environment variables, files."""

from __future__ import annotations

from collections.abc import Mapping

EXIT_STATUS_HELP = """\
Exit status: 0 ok · 1 a bug, or computed and probed access disagree · 2 usage · 3 invalid definition, or what it refers
to, or something blocks a migration · 4 access or a function's result is not as expected · 5 an update did not end as
expected · 6 this environment cannot do it, or --strict and something about a board is unknown · 7 differs from the
plan, or from another report · 130 interrupted · 141 whoever read its output went away"""
_ENVIRONMENT = """\
XDG_CACHE_HOME     where the user's cache is, an absolute path; default: ~/.cache
XDG_CONFIG_HOME    where the user's settings are, an absolute path; default: ~/.config
XDG_RUNTIME_DIR    where running clouds leave their notes; default: the user's cache
EDGE_SIM_CACHE     where the base images of boards in containers are kept, instead of the user's cache
EDGE_SIM_MQTT_URL  the broker of "board up", as "cloud env" exports it; --mqtt overrides it
DOCKER_HOST        the Docker engine; default: unix:///var/run/docker.sock
TMPDIR             where temporary folders are made; default: /tmp
NO_COLOR           no colours on a terminal either
_EDGE_SIM_COMPLETE bash_source, zsh_source or fish_source prints what makes that shell complete edge-sim's words
PATH               where mosquitto, docker and other programs are looked for; edge-sim doctor says which are missing"""
_FILES = """\
edge-sim.yaml                       a scenario; edge-sim init writes a first one
$XDG_CACHE_HOME/edge-sim/bases      base images of boards in containers; may be deleted, and are made again
$XDG_CACHE_HOME/edge-sim/matrix     answers of matrix, by content; may be deleted; --no-cache ignores them
$XDG_CACHE_HOME/edge-sim/packages   Debian's packages for board bundle; may be deleted, and are fetched again
$XDG_CACHE_HOME/edge-sim/bundles    bundles that runs over ssh brought to boards; may be deleted, and are made again
$XDG_CONFIG_HOME/edge-sim/boards    real boards (ssh://…), one a line, that a scenario may use without --board
$XDG_RUNTIME_DIR/edge-sim/clouds    a note for each running cloud, which goes with it; may hold a secret (mode 0600)
cloud serve --state FILE            the cloud's state (SQLite); without it the state ends with the cloud
run --keep                          leaves the boards' root directories in TMPDIR and says where
$TMPDIR/edge-sim-*                  temporary folders; they go with their program"""
TOPICS: Mapping[str, str] = {
    "environment": _ENVIRONMENT,
    "exit-status": EXIT_STATUS_HELP,
    "files": _FILES,
}
