#!/usr/bin/env bash
# Builds phalanx for C, C++ and Fortran, and installs it: libraries, headers, the Fortran module's source, and what pkg-config and CMake
# look for. Needs cargo.
# Usage: install.sh [prefix]     /usr/local unless given; DESTDIR is put before it, LIBDIR replaces its `lib`
set -eu
cd "$(dirname "$0")"
prefix=${1:-/usr/local}
case $prefix in /*) ;; *) echo "install: the prefix has to begin with /: $prefix" >&2; exit 1 ;; esac
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
lib=${LIBDIR:-$prefix/lib}
to=${DESTDIR:-}

# What a program has to link with when it links the static library, the compiler says as it makes it.
log=$(cargo rustc --release --lib -- --print native-static-libs 2>&1) || { echo "$log" >&2; exit 1; }
needs=$(sed -n 's/.*native-static-libs: //p' <<<"$log" | tail -n 1)
# Where cargo puts things is known to cargo.
built=$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/release

mkdir -p "$to$lib/pkgconfig" "$to$lib/cmake/phalanx" "$to$prefix/include"
install -m 644 include/phalanx.h include/phalanx.hpp include/phalanx.f90 "$to$prefix/include/"
install -m 644 "$built/libphalanx_capi.a" "$to$lib/libphalanx.a"
if [ -f "$built/libphalanx_capi.dylib" ]; then
    install -m 755 "$built/libphalanx_capi.dylib" "$to$lib/libphalanx.dylib"
    command -v install_name_tool >/dev/null && install_name_tool -id "$lib/libphalanx.dylib" "$to$lib/libphalanx.dylib"
else
    install -m 755 "$built/libphalanx_capi.so" "$to$lib/libphalanx.so.$version"
    ln -sf "libphalanx.so.$version" "$to$lib/libphalanx.so.0"
    ln -sf "libphalanx.so.0" "$to$lib/libphalanx.so"
fi
fill() { sed -e "s|@prefix@|$prefix|g" -e "s|@libdir@|$lib|g" -e "s|@version@|$version|g" -e "s|@needs@|$needs|g" "$1"; }
fill phalanx.pc.in >"$to$lib/pkgconfig/phalanx.pc"
fill cmake/phalanxConfig.cmake.in >"$to$lib/cmake/phalanx/phalanxConfig.cmake"
fill cmake/phalanxConfigVersion.cmake.in >"$to$lib/cmake/phalanx/phalanxConfigVersion.cmake"
echo "phalanx $version is in $to$prefix"
