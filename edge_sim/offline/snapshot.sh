#!/bin/sh
# edge-sim snapshot: lists a Greengrass V1 core's deployment on a board, for "edge-sim drift GROUP --snapshot FILE".
# As root: sh snapshot.sh [GREENGRASS_ROOT [PATH...]] >FILE
# PATHs are the sources of local resources. Needs sh, ls, readlink, sed, uname; uses id, df, date, getconf, sha256sum
# where they are. Changes nothing.
export LC_ALL=C
gg=${1:-/greengrass}
[ $# -eq 0 ] || shift
for path in "$gg" "$@"; do case $path in /*) ;; *) echo "$path: must be absolute" >&2; exit 2 ;; esac; done
sum=$(command -v sha256sum)
nl='
'

# n TYPE-AND-MODE UID GID PATH, and for a link a line > TARGET
node() {
    case $1 in *"$nl"*) printf '! %s\n' "${1%%"$nl"*}"; return ;; esac
    [ -e "$1" ] || [ -h "$1" ] || { printf '0 %s\n' "$1"; return; }
    ls -ldn "$1" | { read -r mode _ uid gid _ && printf 'n %.11s %s %s %s\n' "$mode" "$uid" "$gid" "$1"; }
    [ ! -h "$1" ] || printf '> %s\n' "$(readlink "$1")"
}

# a path with the directories above it
above() {
    rest=$1
    while [ -n "$rest" ]; do
        node "$rest"
        rest=${rest%/*}
    done
    node /
}

# all that is below a directory
walk() (
    [ -r "$1" ] && [ -x "$1" ] || printf 'x %s\n' "$1"
    for path in "$1"/* "$1"/.[!.]* "$1"/..?*; do
        [ -e "$path" ] || [ -h "$path" ] || continue
        node "$path"
        [ -h "$path" ] || [ ! -d "$path" ] || walk "$path"
        [ -z "$sum" ] || [ -h "$path" ] || [ ! -f "$path" ] || printf 's %.64s\n' "$("$sum" <"$path")"
    done
)

printf '# edge-sim snapshot 1\nm %s\ng %s\n' "$(uname -m)" "$gg"
for file in /etc/passwd /etc/group /etc/os-release; do
    [ -r "$file" ] || continue
    printf 't %s\n' "$file"
    sed 's/^\([^:=]*\):[^:]*:/\1:x:/; s/^/| /' "$file"
    echo # the file's last line may lack its end
done
for file in /etc/hostname /etc/openwrt_release /proc/self/mounts /proc/meminfo /proc/cpuinfo; do
    [ -r "$file" ] || continue
    printf 't %s\n' "$file"
    sed 's/^/| /' "$file"
    echo
done

# what only the running system tells; a program that is not there tells nothing
fact() { [ -z "$2" ] || printf 'f %s %s\n' "$1" "$2"; }
fact kernel "$(uname -r)"
fact uid "$(id -u 2>&-)"
fact clock "$(date +%s 2>&-)"
fact libc "$(getconf GNU_LIBC_VERSION 2>&-)"
fact storage "$(df -kP / 2>&- | sed -n '2s/^[^ ]* *\([0-9]*\) .*/\1/p')"
opt=/opt
[ -d /opt ] || opt=/
fact free "$(df -kP "$opt" 2>&- | sed -n '2s/^[^ ]* *[0-9]* *[0-9]* *\([0-9]*\) .*/\1/p')"
fact protected_symlinks "$(sed -n 1p /proc/sys/fs/protected_symlinks 2>&-)"
for name in python2.7 python3.7 python3.8 nodejs12.x java8 wget realpath tar readlink basename dirname pidof df grep \
    umount mv gzip mkdir rm ln cut cat /bin/bash; do
    place=$(command -v "$name") && place=$(readlink -f "$place")
    fact "${name##*/}" "${place:--}"
done
[ ! -d /run/systemd/system ] || node /run/systemd/system
for path in /lib/systemd/systemd /sbin/procd /etc/rpi-issue /lib/ld-musl-* /dev/*; do
    [ -d "$path" ] || [ ! -e "$path" ] || node "$path"
done
[ ! -r "$gg/config/config.json" ] ||
    sed -n 's/.*"allowFunctionsToRunAsRoot"[[:space:]]*:[[:space:]]*"\([a-z]*\)".*/r \1/p' "$gg/config/config.json"
echo
above "$gg/ggc/core"
above "$gg/ggc/deployment"
[ ! -d "$gg/ggc/deployment" ] || walk "$gg/ggc/deployment"
for path; do
    above "$path"
    [ ! -h "$path" ] || above "$(readlink -f "$path")"
done
echo "# end"
