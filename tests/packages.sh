#!/bin/sh
# packages.sh [--tests] - installs what the build needs on Debian or Ubuntu,
# and with --tests what the tests use beside it.  Works as root without sudo.
# libdnnl-dev (oneDNN, for --precision) is optional: where there is none the
# build does without; so is libopenmpi-dev (training on several machines), which
# comes with the tests.
set -eu

build='gcc make pkg-config libc6-dev libopenblas-dev libpng-dev
libjpeg62-turbo-dev libsndfile1-dev libsamplerate0-dev libkissfft-dev
libjansson-dev zlib1g-dev libxxhash-dev libzip-dev'
tests='libcmocka-dev clang libclang-rt-14-dev mandoc jq binutils
gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
libopenmpi-dev openmpi-bin'
want=$build
[ "${1:-}" = --tests ] && want="$build $tests"
apt-cache show libdnnl-dev >/dev/null 2>&1 && want="$want libdnnl-dev"

missing=
for p in $want; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

as_root=
[ "$(id -u)" -eq 0 ] || as_root=sudo
$as_root apt-get update -q
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
$as_root apt-get install -y -q --no-install-recommends $missing
