#!/bin/sh
# Builds the whole comparison as one static binary, for a machine with neither cargo nor compilers. Needs, where it is built, the C library, libgomp
# and libstdc++ as archives, and libck for Concurrency Kit (Debian: libc6-dev, g++ and libck-dev have them); a peer whose archive is missing is left
# out, and the report says so.
#
#   benches/versus/static.sh [WHERE]      the binary, by default ./phalanx-versus-static
#
# Then copy it and run it there: `./phalanx-versus-static --only family --out family`.
set -eu
where=$(realpath "${1:-phalanx-versus-static}")
cd "$(dirname "$0")/../.."
target=$(rustc -vV | sed -n 's/^host: //p')
# The report cannot ask git where there is no tree, so the commit goes along.
VERSUS_COMMIT=$(git rev-parse --short=12 HEAD 2>/dev/null || true)
if [ -n "$VERSUS_COMMIT" ]; then
    [ -z "$(git status --porcelain)" ] || VERSUS_COMMIT=$VERSUS_COMMIT-dirty
    export VERSUS_COMMIT
else
    unset VERSUS_COMMIT
fi
# --target keeps the flag away from build scripts and procedural macros.
RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" cargo build --release -p phalanx-versus --target "$target"
cp "${CARGO_TARGET_DIR:-target}/$target/release/phalanx-versus" "$where"
echo "$where"
