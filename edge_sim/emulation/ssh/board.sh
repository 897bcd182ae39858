# What a run does on a board of somebody's, and undoes: sh -c THIS sh VERB [ARGUMENT...]. For any POSIX shell.
TOP=/opt/edge-sim
RUN=$TOP/run
umask 022

# begin WHO: take the board, which only one run can; say which bundle is installed
begin() {
    made=
    for folder in /opt "$TOP"; do
        [ -d "$folder" ] && continue
        mkdir "$folder" || exit 6
        made="$folder $made"
    done
    if ! mkdir "$RUN"; then
        [ ! -d "$RUN" ] || exit 5
        for folder in $made; do rmdir "$folder"; done
        exit 6
    fi
    {
        for folder in $made; do echo "d $folder"; done | sed '1!G;h;$!d' >"$RUN/journal" && echo "$1" >"$RUN/owner"
    } || { restore >/dev/null; exit 6; }
    [ ! -r "$TOP/bundle/about" ] || cat "$TOP/bundle/about"
}

# journal: note the paths of the standard input ("d PATH" and "f PATH", parents first) at which nothing is, and print them
journal() {
    while IFS= read -r line; do
        path=${line#? }
        if [ ! -e "$path" ] && [ ! -h "$path" ]; then
            printf '%s\n' "$line" >>"$RUN/journal" || exit 6
            printf '%s\n' "$line"
        fi
    done
    sync
}

# agent BUNDLE: run the agent until the standard input ends
agent() {
    exec 3<&0
    "$1/bin/edge-sim" agent run --root / --config "$RUN/agent.json" </dev/null 3<&- &
    agent=$!
    { cat <&3; kill "$agent"; } >/dev/null 2>&1 &
    watch=$!
    wait "$agent"
    status=$?
    kill "$watch"
    exit "$status"
}

# the run's processes, but for those above this one
ours() {
    for place in /proc/[0-9]*; do
        for file in cmdline environ; do
            if tr '\000' '\n' <"$place/$file" 2>/dev/null | grep -q "$RUN/"; then
                echo "${place#/proc/}"
                break
            fi
        done
    done
}

end() {
    for signal in TERM KILL; do
        for pid in $(ours); do kill -"$signal" "$pid" 2>/dev/null; done
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            [ -n "$(ours)" ] || return
            sleep 1
        done
    done
}

# restore [PLACE...]: end the run, undo what is in its journal, and say what stays; PLACEs are what it could write to
restore() {
    [ -d "$RUN" ] || { echo none; exit 0; }
    end
    for place; do
        find "$place" -newer "$RUN/owner" -type f 2>/dev/null | head -n 100 | sed 's/^/wrote /'
    done
    for bundle in "$RUN/edge-sim" "$TOP/bundle"; do
        [ -x "$bundle/bin/python3.11" ] || continue
        "$bundle/bin/python3.11" -c 'from edge_sim.agent.cgroups import sweep; sweep()' 2>/dev/null
        break
    done
    undo=$(sed '1!G;h;$!d' "$RUN/journal" 2>/dev/null)
    back="$undo" without="^d $TOP\$|^d /opt\$"
    printf '%s\n' "$back" | grep -Ev "$without" | while IFS= read -r line; do
        path=${line#? }
        case $line in
        d*) rmdir "$path" 2>/dev/null ;;
        f*) rm -f "$path" ;;
        esac
        [ ! -e "$path" ] || [ -z "$path" ] || echo "left $path"
    done
    rm -rf "$RUN" || exit 6
    printf '%s\n' "$back" | grep -E "$without" | while IFS= read -r line; do rmdir "${line#? }" 2>/dev/null; done
    sync
    echo restored
}

"$@"
