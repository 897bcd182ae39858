"""What all commands share, as ``edge-sim help TOPIC`` shows it: exit statuses, environment variables, files."""

from __future__ import annotations

from collections.abc import Mapping

EXIT_STATUS_HELP = """\
Exit status: 0 ok · 1 a bug, or computed and probed access disagree · 2 usage · 3 the definition, or something it refers
to, is invalid or missing, or something blocks a migration · 4 access or a function's result is not as expected · 5 an
update did not end as expected · 6 this environment cannot do or prove it, a template leaves open what is needed, or
--strict and something is unknown · 7 a board differs from its plan, or two reports differ · 130 interrupted · 141 the
reader of the output closed the pipe"""
_ENVIRONMENT = """\
XDG_CACHE_HOME     the user's cache folder, an absolute path; default: ~/.cache
XDG_CONFIG_HOME    the user's settings folder, an absolute path; default: ~/.config
XDG_RUNTIME_DIR    where running clouds write their notes; default: the user's cache folder
EDGE_SIM_CACHE     where the base images of boards in containers are kept, instead of the user's cache folder
EDGE_SIM_MQTT_URL  the broker of "board up", as "cloud env" exports it; --mqtt overrides it
DOCKER_HOST        the Docker engine; default: unix:///var/run/docker.sock
TMPDIR             where temporary folders are created; default: /tmp
NO_COLOR           no colours, even on a terminal
_EDGE_SIM_COMPLETE bash_source, zsh_source or fish_source prints that shell's completion script
PATH               where mosquitto, docker and other programs are searched for; edge-sim doctor lists missing ones"""
_FILES = """\
edge-sim.yaml                       a scenario; edge-sim init writes a first one
$XDG_CACHE_HOME/edge-sim/bases      base images of boards in containers; rebuilt when deleted
$XDG_CACHE_HOME/edge-sim/matrix     cached results of matrix, by content; may be deleted; --no-cache ignores them
$XDG_CACHE_HOME/edge-sim/packages   Debian packages for board bundle; downloaded again when deleted
$XDG_CACHE_HOME/edge-sim/bundles    bundles that runs over ssh install on boards; rebuilt when deleted
$XDG_CONFIG_HOME/edge-sim/boards    real boards (ssh://…), one per line, that a scenario may use without --board
$XDG_RUNTIME_DIR/edge-sim/clouds    a note for each running cloud, removed when it stops; may hold a secret (mode 0600)
cloud serve --state FILE            the cloud's state (SQLite); without it the state is lost when the cloud stops
run --keep                          keeps the boards' root directories in TMPDIR and prints where
$TMPDIR/edge-sim-*                  temporary folders, removed when their program ends"""
TOPICS: Mapping[str, str] = {
    "environment": _ENVIRONMENT,
    "exit-status": EXIT_STATUS_HELP,
    "files": _FILES,
}
