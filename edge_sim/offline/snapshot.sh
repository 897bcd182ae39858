#!/bin/sh
# edge-sim snapshot: lists a Greengrass V1 core's deployment on a board, for "edge-sim drift GROUP --snapshot FILE".
# As root: sh snapshot.sh [GREENGRASS_ROOT [PATH...]] >FILE
# PATHs are the sources of local resources. Needs sh, ls, readlink, sed, uname; sha256sum if there. Changes nothing.
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
