#!/bin/sh
# Installs edge_sim's agent on a board, beside whatever is there, or takes it away again. Everything lies below
# /opt/edge-sim, but for one file of the init system. Needs a POSIX shell and root; nothing of a Greengrass V1
# installation is read or changed. DESTDIR=DIR installs below DIR and starts nothing.
set -u
umask 022
TOP=${DESTDIR:-}/opt/edge-sim
UNIT=${DESTDIR:-}/etc/systemd/system/edge-sim-agent.service
PACKAGED=${DESTDIR:-}/lib/systemd/system/edge-sim-agent.service
SCRIPT=${DESTDIR:-}/etc/init.d/edge-sim-agent
USAGE="Usage: sh install.sh --thing NAME --broker mqtt[s]://HOST:PORT [--cafile FILE] [--certificate FILE --key FILE]
       sh install.sh --config FILE    an agent's configuration as a whole
       sh install.sh --remove         the agent, its service and all that was deployed"

fail() {
    echo "install.sh: $1" >&2
    exit "${2:-6}"
}

# At a signal, until what is installed is being replaced.
interrupted() {
    undo
    fail "interrupted; what is installed is as it was${waits:+, but its service is stopped: run this again}" 130
}

usage() {
    echo "$USAGE" >&2
    exit 2
}

init_system() {
    if [ -d "${DESTDIR:-}/run/systemd/system" ]; then
        echo systemd
    elif [ -x "${DESTDIR:-}/sbin/procd" ]; then
        echo procd
    else
        echo none
    fi
}

service() {
    [ -z "${DESTDIR:-}" ] || return 0
    case $INIT:$1 in
    systemd:start)
        systemctl daemon-reload && systemctl enable --quiet edge-sim-agent && systemctl restart edge-sim-agent ;;
    systemd:stop) systemctl disable --now --quiet edge-sim-agent ;;
    systemd:forget) systemctl daemon-reload ;;
    procd:start) "$SCRIPT" enable && "$SCRIPT" start ;;
    procd:stop) "$SCRIPT" stop && "$SCRIPT" disable ;;
    esac
}

# The agents that run from the installed bundle, as process numbers.
agents() {
    grep -ls "$TOP/bundle/lib/[l]oader" /proc/[0-9]*/cmdline | while IFS=/ read -r _ _ pid _; do printf ' %s' "$pid"; done
}

# End the service, and wait for its process, which ends a core and its functions first. Nothing else is ended.
stop() {
    if [ -e "$UNIT" ] || [ -e "$PACKAGED" ] || [ -e "$SCRIPT" ]; then
        service stop || { undo; fail "the service edge-sim-agent does not stop"; }
        waits='1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40'
    fi
    for _ in $waits; do
        [ -n "$(agents)" ] || return 0
        sleep 1
    done
    running=$(agents)
    [ -z "$running" ] || { undo; fail "an agent of $TOP is running; stop it first: kill$running"; }
}

remove() {
    if [ -e "$PACKAGED" ]; then
        fail "the agent is installed as a Debian package; remove it with apt-get purge edge-sim-agent" 2
    fi
    if [ -d "$TOP/run" ]; then
        fail "a run of edge-sim is in progress on this board, or was interrupted; end it first: edge-sim board restore ssh://…"
    fi
    stop
    trap '' HUP INT TERM
    rm -f "$UNIT" "$SCRIPT" || fail "the service edge-sim-agent could not be removed"
    [ ! -e "$TOP/made" ] || above=yes
    rm -rf "$TOP" || fail "$TOP could not be removed completely"
    [ -z "$above" ] || rmdir "${TOP%/*}" 2>/dev/null
    service forget
    echo "removed $TOP and its service"
}

# Text inside a JSON string; a line break in it would end the value.
quoted() {
    printf '%s' "$1" | tr -d '\n' | sed 's/\\/\\\\/g; s/"/\\"/g'
}

# The Greengrass root that a configuration names.
root_of() {
    printf '%s\n' "$1" | sed -n 's/.*"greengrassRoot"[[:space:]]*:[[:space:]]*"\([^"]*\)".*/\1/p' | head -n 1
}

configuration() {
    if [ -n "$CONFIG" ]; then
        cat "$CONFIG"
    else
        printf '{"thing": "%s", "broker": "%s"' "$(quoted "$THING")" "$(quoted "$BROKER")"
        [ -z "$CAFILE" ] || printf ', "cafile": "/opt/edge-sim/ca.pem"'
        [ -z "$KEY" ] || printf ', "certificate": "/opt/edge-sim/certificate.pem", "key": "/opt/edge-sim/key.pem"'
        printf ', "greengrassRoot": "/opt/edge-sim/greengrass"}\n'
    fi
}

procd_script() {
    cat <<'END'
#!/bin/sh /etc/rc.common
USE_PROCD=1
START=95
STOP=05

start_service() {
    procd_open_instance
    procd_set_param command /opt/edge-sim/bundle/bin/edge-sim agent run --root / --config /opt/edge-sim/agent.json
    procd_set_param respawn 3600 10 0
    procd_set_param term_timeout 30
    procd_set_param stdout 1
    procd_set_param stderr 1
    procd_close_instance
}
END
}

install() {
    here=$(cd "$(dirname "$0")" && pwd -P) || fail "cannot find the folder of this script"
    [ -f "$here/about" ] || fail "$here is not a complete bundle: unpack the archive and run the install.sh in it"
    if [ -e "$PACKAGED" ] && [ "$here" != "$TOP/bundle" ]; then
        fail "the agent is installed as a Debian package: install a newer package, or run $TOP/bundle/install.sh" 2
    fi
    for file in "$CONFIG" "$CAFILE" "$CERTIFICATE" "$KEY"; do
        [ -z "$file" ] || { [ -f "$file" ] && [ -r "$file" ]; } || fail "$file: no such file, or it cannot be read" 2
    done
    config=$(configuration) || fail "$CONFIG cannot be read" 2
    root=$(root_of "$config")
    case $root in
    *\\* | */../* | */..) fail "greengrassRoot $root must contain neither .. nor \\" 2 ;;
    /opt/edge-sim/?*) ;;
    *) fail "greengrassRoot ${root:-/greengrass} may be a V1 core's; name a directory below /opt/edge-sim" 2 ;;
    esac
    [ -d "${TOP%/*}" ] || above=yes
    trap interrupted HUP INT TERM
    prepare || { undo; fail "$TOP cannot be written: the agent needs up to 45 MB on a writable file system"; }
    works
    stop
    trap '' HUP INT TERM
    replace || fail "$TOP cannot be written; run this again once it can"
    case $INIT in
    systemd)
        if [ ! -e "$PACKAGED" ]; then
            mkdir -p "${UNIT%/*}"
            cp "$TOP/bundle/edge-sim-agent.service" "$UNIT" || fail "$UNIT cannot be written"
        fi
        log="journalctl -u edge-sim-agent" ;;
    procd)
        procd_script >"$SCRIPT" || fail "$SCRIPT cannot be written"
        chmod 755 "$SCRIPT"
        log="logread -e edge-sim" ;;
    esac
    service start || fail "the agent is installed, but the service edge-sim-agent does not start; its log: $log"
    echo "installed $(sed -n 's/^version=//p' "$TOP/bundle/about") in $TOP"
    if [ "$INIT" = none ]; then
        echo "this board has neither systemd nor procd; start the agent yourself:"
        echo "  /opt/edge-sim/bundle/bin/edge-sim agent run --root / --config /opt/edge-sim/agent.json"
    else
        echo "started the service edge-sim-agent; its log: $log"
    fi
}

# What is to be installed, beside what is there.
prepare() {
    rm -rf "$TOP/new" && mkdir -p "$TOP/new" || return
    [ "$here" = "$TOP/bundle" ] || cp -R "$here" "$TOP/new/bundle" || return
    copy "$CAFILE" ca.pem && copy "$CERTIFICATE" certificate.pem && copy "$KEY" key.pem || return
    [ -z "$above" ] || echo "${TOP%/*}" >"$TOP/new/made" || return
    (umask 077 && printf '%s\n' "$config" >"$TOP/new/agent.json")
}

# copy FILE NAME: a file of the agent's identity, for root alone; none where FILE is empty
copy() {
    [ -z "$1" ] || (umask 277 && cat "$1" >"$TOP/new/$2")
}

# Take away what "prepare" has laid.
undo() {
    rm -rf "$TOP/new"
    rmdir "$TOP" 2>/dev/null && [ -n "$above" ] && rmdir "${TOP%/*}"
}

# Whether the bundle runs here: it may be for another processor, or its place for data alone.
works() {
    [ -z "${DESTDIR:-}" ] || return 0
    bundle=$TOP/new/bundle
    [ -d "$bundle" ] || bundle=$TOP/bundle
    why=$("$bundle/bin/edge-sim" --version 2>&1) && return
    undo
    fail "the bundle for $(sed -n 's/^architecture=//p' "$here/about") does not run on this board ($(uname -m)): $why"
}

# A power cut leaves the old bundle or the new one whole; between two renames none, until this is run again.
replace() {
    if [ -d "$TOP/new/bundle" ] && [ -d "$TOP/bundle" ]; then
        rm -rf "$TOP/old" && mv "$TOP/bundle" "$TOP/old" || return
    fi
    for name in bundle made ca.pem certificate.pem key.pem agent.json; do
        [ ! -e "$TOP/new/$name" ] || mv -f "$TOP/new/$name" "$TOP/$name" || return
    done
    rm -rf "$TOP/new" "$TOP/old" && mkdir -p "${DESTDIR:-}$root"
}

THING='' BROKER='' CAFILE='' CERTIFICATE='' KEY='' CONFIG='' REMOVE='' above='' waits=''
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        echo "$USAGE"
        exit ;;
    --remove) REMOVE=yes ;;
    --thing | --broker | --cafile | --certificate | --key | --config)
        [ -n "${2:-}" ] || usage
        case $1 in
        --thing) THING=$2 ;;
        --broker) BROKER=$2 ;;
        --cafile) CAFILE=$2 ;;
        --certificate) CERTIFICATE=$2 ;;
        --key) KEY=$2 ;;
        --config) CONFIG=$2 ;;
        esac
        shift ;;
    *) usage ;;
    esac
    shift
done
case $THING in *[!a-zA-Z0-9:_-]*) fail "--thing $THING: the name of a thing may hold only a-z, A-Z, 0-9, : _ and -" 2 ;; esac
case $BROKER in
'' | mqtt://?* | mqtts://?*) ;;
*) fail "--broker $BROKER: neither mqtt://HOST:PORT nor mqtts://HOST:PORT" 2 ;;
esac
[ -z "$CERTIFICATE" ] || [ -n "$KEY" ] || usage
[ -z "$KEY" ] || [ -n "$CERTIFICATE" ] || usage
[ -n "$REMOVE$CONFIG" ] || { [ -n "$THING" ] && [ -n "$BROKER" ]; } || usage
if [ -z "${DESTDIR:-}" ] && [ "$(id -u)" != 0 ]; then
    fail "root is needed: sudo sh $0 …"
fi
INIT=$(init_system)
if [ -n "$REMOVE" ]; then remove; else install; fi
