#!/bin/sh
# Runs a command on the first of several hosts that exist while it runs: network namespaces of this machine, joined by a
# bridge, with a limited bandwidth. mpirun finds the other hosts by itself. Needs Linux, root, iproute2 and util-linux.
# usage: with_hosts.sh COUNT RATE COMMAND ...
#   COUNT  number of hosts, 1 to 9. They are called host1, host2, ...
#   RATE   bandwidth of each host's link in either direction, as tc writes it (100mbit, 1gbit), or any: no limit
# For example: tests/hosts/with_hosts.sh 2 1gbit mpirun -q -n 2 build/cs336 train ...
#
# - Each host has its own name, addresses (10.36.0.1, ... and fd36::1, ...), TMPDIR and "local disk": $CS336_HOSTS_DISK is
#   the same path on every host, and each finds its own files there (in memory; they vanish). All other files are shared.
# - Each host has CS336_HOSTS_SLOTS slots, 1 if that is not set. More ranks than slots need mpirun --oversubscribe.
# - Processors are not divided: the hosts share those of this machine.
# - Inside, `on_host.sh host2 COMMAND ...` runs a command on another host, and `ip -n switch link set port2 down` takes
#   host2 off the network as a pulled cable does. Both scripts are in PATH there.
# - The exit code is the command's; 2 if the hosts could not be made. All of it is in namespaces of its own: it vanishes
#   with the command, and several calls at a time do not meet. Ctrl-C goes to the command. `kill` of this script ends
#   all processes of all hosts at once.
set -u
fail() { echo "with_hosts.sh: $1" >&2; exit 2; }

check() {
    usage='usage: with_hosts.sh COUNT RATE COMMAND ..., where COUNT is 1 to 9 and RATE such as 1gbit, or any'
    [ $# -ge 3 ] || fail "$usage"
    case $1 in [1-9]) ;; *) fail "$1 hosts; $usage" ;; esac
    case $2 in any | [1-9]*[kmg]bit) ;; *) fail "the rate $2; $usage" ;; esac
    # What tc cannot read it says only when hosts are made. It counts the bytes of a burst in 32 bits: 9999gbit is enough.
    case ${2%[kmg]bit} in any) ;; *[!0-9.]* | *.*.* | *.) fail "the rate $2; $usage" ;; esac
    case $2 in ?????*gbit | ??????*[mk]bit) fail "the rate $2 is too large; $usage" ;; esac
    case ${CS336_HOSTS_SLOTS:-1} in *[!0-9]* | 0*) fail "CS336_HOSTS_SLOTS is $CS336_HOSTS_SLOTS, expected a number from 1 on" ;; esac
    [ "$(uname -s)" = Linux ] || fail 'network namespaces need Linux'
    [ "$(id -u)" = 0 ] || fail 'network namespaces need root: sudo, or a container'
    for program in ip tc unshare setpriv; do
        command -v $program >/dev/null || fail "no program $program (packages iproute2 and util-linux)"
    done
}

# The link of one host: its end is eth0 there, the other is port1, port2, ... at the bridge. Each end limits what it sends.
# A burst is what may pass at once at full speed: 2 ms of the rate, and at least two of the largest pieces of the kernel.
connect() { # number, rate
    ip netns add "host$1" && ip link add "port$1" type veth peer name eth0 netns "host$1" &&
        ip link set "port$1" master cables up && ip -n "host$1" link set lo up &&
        ip -n "host$1" addr add "10.36.0.$1/24" dev eth0 && ip -n "host$1" addr add "fd36::$1/64" dev eth0 nodad &&
        ip -n "host$1" link set eth0 up || return 1
    [ "$2" != any ] || return 0
    burst=$(echo "$2" | awk '{ unit = $1 ~ /gbit/ ? 1e9 : $1 ~ /mbit/ ? 1e6 : 1e3; bytes = $1 * unit / 8 * 0.002
        print int(bytes > 131072 ? bytes : 131072) }')
    tc qdisc add dev "port$1" root tbf rate "$2" burst "$burst" limit 16mb &&
        tc -n "host$1" qdisc add dev eth0 root tbf rate "$2" burst "$burst" limit 16mb
}

# Makes the hosts. The caller is process 1 of its own process namespace: when it ends, the kernel ends all others there.
make_hosts() { # count, rate
    mount -t proc proc /proc && mount -t tmpfs hosts /run && mkdir -p /run/netns /run/hosts/disk &&
        ip netns attach switch $$ && ip link set lo up && ip link add cables type bridge && ip link set cables up &&
        echo '127.0.0.1 localhost' >/run/hosts/names || return 1
    number=1
    while [ $number -le "$1" ]; do
        connect $number "$2" && mkdir -p "/run/hosts/host$number/tmp" "/run/hosts/host$number/disk" || return 1
        echo "10.36.0.$number host$number" >>/run/hosts/names
        echo "host$number slots=${CS336_HOSTS_SLOTS:-1}" >>/run/hosts/hostfile
        number=$((number + 1))
    done
    mount --bind /run/hosts/names /etc/hosts
}

inside() { # count, rate, command ...
    make_hosts "$1" "$2" || fail 'the hosts could not be made'
    shift 2
    export CS336_HOSTS_DISK=/run/hosts/disk PATH="$tools:$PATH"
    # What mpirun reads: where to run, how to start its daemons, which network is theirs, and that processors are shared.
    export OMPI_MCA_orte_default_hostfile=/run/hosts/hostfile OMPI_MCA_plm_rsh_agent="$tools/launch_agent.sh"
    export OMPI_MCA_oob_tcp_if_include=eth0 OMPI_MCA_btl_tcp_if_include=eth0 OMPI_MCA_btl=tcp,vader,self
    export OMPI_MCA_pml=ob1 OMPI_MCA_hwloc_base_binding_policy=none
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    on_host.sh host1 env "$@"
}

# unshare gives a new process namespace not to its own process, but to the first that this one starts, which so is process 1.
# So the script runs three times, by its absolute path: to check and call unshare, to start process 1, and as process 1.
tools=${0%/*}
stage=${CS336_HOSTS_STAGE-}
unset CS336_HOSTS_STAGE
case $stage in
namespaces)
    trap : INT
    CS336_HOSTS_STAGE=inside setpriv --pdeathsig KILL "$tools/with_hosts.sh" "$@"
    ;;
inside)
    trap : INT
    inside "$@"
    ;;
*)
    check "$@"
    tools=$(cd "$(dirname "$0")" && pwd)
    CS336_HOSTS_STAGE=namespaces exec unshare --mount --net --pid "$tools/with_hosts.sh" "$@"
    ;;
esac
