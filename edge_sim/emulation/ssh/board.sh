# What a run does on a board of somebody's, and undoes: sh -c THIS sh VERB [ARGUMENT...]. For any POSIX shell.
TOP=/opt/edge-sim
RUN=$TOP/run
KEPT=$TOP/bundle-of-runs
SHARED="^d $TOP\$|^d /opt\$" # folders that outlive a run where something else is in them
umask 022

# begin WHO VERSION: take the board, which only one run can; print the folder of a whole bundle of that version
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
        for folder in $made; do echo "d $folder"; done | sed '1!G;h;$!d' >"$RUN/journal" && echo "$1" | cat >"$RUN/owner"
    } || { restore >/dev/null; exit 6; }
    for bundle in "$TOP/bundle" "$KEPT"; do
        grep -qx "version=$2" "$bundle/about" 2>/dev/null || continue
        (cd "$bundle" && sha256sum -c sums >/dev/null 2>&1) || continue
        echo "$bundle"
        break
    done
}

# keep: put the bundle that was brought where the next run finds it, in place of an older one
keep() {
    made=$(cat "$KEPT/made" 2>/dev/null; grep -E "$SHARED" "$RUN/journal")
    printf '%s\n' "$made" | cat >"$RUN/edge-sim/made" && rm -rf "$KEPT" && mv "$RUN/edge-sim" "$KEPT" || exit 6
    sync
}

# forget: remove that bundle, and the folders that were made for it
forget() {
    made=$(sed '1!G;h;$!d' "$KEPT/made" 2>/dev/null)
    rm -rf "$KEPT" || exit 6
    empty "$made"
}

# the folders of journal lines, where nothing is in them
empty() {
    printf '%s\n' "$1" | while IFS= read -r line; do rmdir "${line#? }" 2>/dev/null; done
    sync
}

# journal: note the paths of the standard input ("d PATH" and "f PATH", parents first) at which nothing is, and print them
journal() {
    new=$(while IFS= read -r line; do
        path=${line#? }
        [ -e "$path" ] || [ -h "$path" ] || printf '%s\n' "$line"
    done)
    # all of them or none: a line that is cut off may name something of the board's
    { cat "$RUN/journal" && printf '%s\n' "$new" | cat; } >"$RUN/journal.new" || exit 6
    sync
    mv "$RUN/journal.new" "$RUN/journal" || exit 6
    sync
    printf '%s\n' "$new"
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
            if tr '\000' '\n' <"$place/$file" 2>/dev/null | grep -q -e "$RUN/" -e "$KEPT/"; then
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

# say what functions wrote, and could write to: of the standard input's lines, "v VOLUME" and "d DEVICE"
written() {
    newer=
    for test in -newer -cnewer; do # the second, where find has it, shows copies that kept an earlier time as well
        ! find "$RUN/owner" "$test" "$RUN/owner" >/dev/null 2>&1 || newer=$test
    done
    while IFS= read -r line; do
        place=${line#? }
        case $line in
        d*) printf 'open %s\n' "$place" ;;
        v*)
            [ -n "$newer" ] || { printf 'unlisted %s\n' "$place"; continue; }
            find -H "$place" "$newer" "$RUN/owner" ! -type d 2>/dev/null | head -n 101 | sed 's/^/wrote /; 101s/.*/more/'
            ;;
        esac
    done
}

# restore: end the run, undo what is in its journal, and say what stays
restore() {
    [ -d "$RUN" ] || { echo none; exit 0; }
    end
    for bundle in "$KEPT" "$TOP/bundle" "$RUN/edge-sim"; do
        [ -x "$bundle/bin/python3.11" ] || continue
        "$bundle/bin/python3.11" -c 'from edge_sim.agent.cgroups import sweep; sweep()' 2>/dev/null
        break
    done
    undo=$(sed '1!G;h;$!d' "$RUN/journal" 2>/dev/null)
    printf '%s\n' "$undo" | grep -Ev "$SHARED" | while IFS= read -r line; do
        path=${line#? }
        case $line in
        d*) rmdir "$path" 2>/dev/null ;;
        f*) rm -f "$path" ;;
        esac
        [ ! -e "$path" ] || [ -z "$path" ] || echo "left $path"
    done
    [ ! -f "$RUN/writable" ] || written <"$RUN/writable"
    rm -rf "$RUN" || exit 6
    empty "$(printf '%s\n' "$undo" | grep -E "$SHARED")"
    echo restored
}

"$@"
