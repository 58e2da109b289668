#!/bin/sh
# Runs a command on one of the hosts that with_hosts.sh has made. Works only below with_hosts.sh.
# usage: on_host.sh HOST COMMAND ...
host=$1
shift
[ -d "/run/hosts/$host" ] || {
    echo "on_host.sh: no host $host; expected one that with_hosts.sh has made" >&2
    exit 2
}
export TMPDIR="/run/hosts/$host/tmp"
exec ip netns exec "$host" unshare --uts sh -c 'mount --bind "/run/hosts/$0/disk" /run/hosts/disk && hostname "$0" && exec "$@"' \
    "$host" "$@"
