#!/bin/sh
# Installs the rivals that come as packages, on Debian and its relatives: GCC with libgomp, clang with libomp, Concurrency Kit, Open MPI and MPICH.
# None is needed: the comparison runs without, and says whom it skips. Needs root.
#
#   sudo benches/versus/peers.sh
set -eu
packages="gcc g++ clang libomp-dev libck-dev openmpi-bin libopenmpi-dev mpich libmpich-dev"
if ! command -v apt-get >/dev/null; then
    echo "no apt-get here; what these packages of Debian hold is wanted: $packages" >&2
    exit 1
fi
apt-get update -qq
# One by one: what a distribution lacks is no reason to go without the others.
for package in $packages; do
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null ||
        echo "$package: not to be had; the comparison will skip what needs it" >&2
done
