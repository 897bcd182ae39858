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

remove() {
    if [ -e "$PACKAGED" ]; then
        fail "it is a Debian package here: apt-get purge edge-sim-agent removes it" 2
    fi
    if [ -d "$TOP/run" ]; then
        fail "a run of edge-sim is on this board, or was cut off: edge-sim board restore ssh://… puts it back first"
    fi
    if [ -e "$UNIT" ] || [ -e "$SCRIPT" ]; then
        service stop || fail "the service edge-sim-agent does not stop"
    fi
    rm -f "$UNIT" "$SCRIPT" || fail "the service edge-sim-agent could not be removed"
    rm -rf "$TOP" || fail "$TOP could not be removed whole"
    service forget
    echo "removed $TOP and its service"
}

# Text inside a JSON string; a line break in it would end the value.
quoted() {
    printf '%s' "$1" | tr -d '\n' | sed 's/\\/\\\\/g; s/"/\\"/g'
}

# The Greengrass root that a configuration names.
root_of() {
    sed -n 's/.*"greengrassRoot"[[:space:]]*:[[:space:]]*"\([^"]*\)".*/\1/p' "$1" | head -n 1
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
    procd_set_param stdout 1
    procd_set_param stderr 1
    procd_close_instance
}
END
}

install() {
    here=$(cd "$(dirname "$0")" && pwd -P) || fail "cannot find the folder of this script"
    [ -f "$here/about" ] || fail "$here is not a whole bundle: unpack the archive and run the install.sh in it"
    new=$(mktemp) || fail "no temporary file can be made"
    trap 'rm -f "$new"' EXIT
    configuration >"$new" || fail "$CONFIG cannot be read" 2
    root=$(root_of "$new")
    case $root in
    /opt/edge-sim/?*) ;;
    *) fail "greengrassRoot ${root:-/greengrass} may be a V1 core's: name one below /opt/edge-sim" 2 ;;
    esac
    case $root in */../* | */..) fail "greengrassRoot $root: no .. in it" 2 ;; esac
    [ "$here" = "$TOP/bundle" ] || place
    mkdir -p "${DESTDIR:-}$root" || fail "$root cannot be made"
    copy "$CAFILE" ca.pem
    copy "$CERTIFICATE" certificate.pem
    copy "$KEY" key.pem
    (umask 077 && cat "$new" >"$TOP/agent.json") || fail "$TOP/agent.json cannot be written"
    case $INIT in
    systemd)
        if [ ! -e "$PACKAGED" ]; then
            mkdir -p "${UNIT%/*}"
            cp "$TOP/bundle/edge-sim-agent.service" "$UNIT" || fail "$UNIT cannot be written"
        fi ;;
    procd)
        procd_script >"$SCRIPT" || fail "$SCRIPT cannot be written"
        chmod 755 "$SCRIPT" ;;
    none)
        echo "neither systemd nor procd here; start it by your own means:"
        echo "  /opt/edge-sim/bundle/bin/edge-sim agent run --root / --config /opt/edge-sim/agent.json" ;;
    esac
    service start || fail "the service edge-sim-agent does not start"
    echo "installed $(sed -n 's/^version=//p' "$TOP/bundle/about") in $TOP"
}

# copy FILE NAME: a file of the agent's identity, for root alone; none where FILE is empty
copy() {
    [ -n "$1" ] || return 0
    rm -f "$TOP/$2"
    (umask 277 && cat "$1" >"$TOP/$2") || fail "$1 cannot be copied"
}

# The bundle where it belongs, whole or not at all.
place() {
    rm -rf "$TOP/bundle.new"
    if ! { mkdir -p "$TOP" && cp -R "$here" "$TOP/bundle.new"; }; then
        rm -rf "$TOP/bundle.new"
        rmdir "$TOP" 2>/dev/null
        fail "$TOP cannot be written: is there room, and are you root?"
    fi
    if [ -d "$TOP/bundle" ]; then
        if [ -e "$UNIT" ] || [ -e "$SCRIPT" ]; then service stop; fi
        rm -rf "$TOP/bundle" || fail "$TOP/bundle cannot be replaced"
    fi
    mv "$TOP/bundle.new" "$TOP/bundle" || fail "$TOP/bundle cannot be put in place"
}

THING='' BROKER='' CAFILE='' CERTIFICATE='' KEY='' CONFIG='' REMOVE=''
while [ $# -gt 0 ]; do
    case $1 in
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
if [ -z "${DESTDIR:-}" ] && [ "$(id -u)" != 0 ]; then
    fail "needs root"
fi
[ -n "$CERTIFICATE" ] && [ -z "$KEY" ] && usage
[ -z "$CERTIFICATE" ] && [ -n "$KEY" ] && usage
INIT=$(init_system)
if [ -n "$REMOVE" ]; then
    remove
elif [ -n "$CONFIG" ] || { [ -n "$THING" ] && [ -n "$BROKER" ]; }; then
    install
else
    usage
fi
