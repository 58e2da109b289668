#!/bin/sh
# Builds for ARM (aarch64) in build/arm, on another CPU, and runs the result under QEMU. Called by `make arm` and
# `make bench-arm`. usage: on_arm.sh GOAL COMMAND ...
# GOAL is a file of build/arm that is built first, beside the program. Then COMMAND runs. In its environment CS336 names a
# script that runs the program under QEMU: a test starts it as if it were the program.
# If something is missing, one line says which packages bring it.
set -eu
goal=$1
shift
compiler=${ARM_CC:-aarch64-linux-gnu-gcc}
PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig # of ARM's libraries
export PKG_CONFIG_LIBDIR

case $(uname -m) in
aarch64 | arm64)
    echo 'skipped: this CPU is an ARM CPU, on which make test does the same'
    exit 0
    ;;
esac
missing=''
command -v "${compiler##* }" >/dev/null || missing="$missing gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
command -v qemu-aarch64 >/dev/null || missing="$missing qemu-user"
pkg-config --exists jansson 2>/dev/null || missing="$missing libjansson-dev:arm64"
pkg-config --exists check 2>/dev/null || missing="$missing check:arm64"
[ -e /usr/lib/aarch64-linux-gnu/libgomp.so.1 ] || missing="$missing libgomp1:arm64"
if [ -n "$missing" ]; then
    echo "skipped: not installed:$missing (Debian: dpkg --add-architecture arm64 && apt-get update && apt-get install" \
        "--no-install-recommends$missing)"
    exit 0
fi

$MAKE BUILD=arm CC="$compiler" build/arm/cs336 "$goal"
# The program executes itself again, unless this variable is set (cli/main.c). Under QEMU it could not: Linux does not run
# a program of another CPU.
CS336=build/arm/cs336-under-qemu
printf '%s\n' '#!/bin/sh' 'OMP_WAIT_POLICY=passive exec qemu-aarch64 "${0%-under-qemu}" "$@"' >$CS336
chmod +x $CS336
export CS336 OMP_WAIT_POLICY=passive CS336_EMULATED=1
exec "$@"
