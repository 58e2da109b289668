#!/bin/sh
# Starts mpirun's daemon on a host of with_hosts.sh, where ssh does it between real ones. As with ssh, the arguments after the
# host are joined to a line for sh.
# usage: launch_agent.sh HOST ARGUMENT ...
host=$1
shift
exec "${0%/*}/on_host.sh" "$host" sh -c "$*"
