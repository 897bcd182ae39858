#!/bin/sh
# edge-sim on a board: edge-sim agent run|layout|access|invoke|certificate
case $0 in
/*) me=$0 ;;
*) me=$PWD/$0 ;;
esac
exec "${me%/*}/python3.11" -m edge_sim.cli.main "$@"
