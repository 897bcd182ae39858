#!/bin/sh
# The bundle's own Python, which takes nothing of the board but its kernel. Called by an absolute path, which Python
# finds its libraries by, and starts itself anew with.
case $0 in
/*) me=$0 ;;
*) me=$PWD/$0 ;;
esac
lib=${me%/bin/*}/lib
exec "$lib/loader" --inhibit-cache --argv0 "$me" --library-path "$lib" "$lib/python" -I -X utf8 "$@"
