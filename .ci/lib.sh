# Shared by the scripts beside it.

# Copies what the models need into $1: the library alone, without benches, examples, members and their dependencies.
model_tree() {
    mkdir -p "$1"
    rm -rf "$1/src"
    cp -r src "$1/src"
    awk '/^\[(workspace|dev-dependencies|\[bench\]|\[example\])\]/ { skip = 1; next } /^\[/ { skip = 0 } !skip' Cargo.toml >"$1/Cargo.toml"
    echo '[workspace]' >>"$1/Cargo.toml"
    [ -f "$1/Cargo.lock" ] || cp Cargo.lock "$1/"
}

# Builds the models of the tree in $1; prints the path of the test binary, or nothing and leaves the reason in $2.
build_models() {
    (cd "$1" && cargo test --release --lib --no-run 2>"$2") || true
    sed -n 's/.*Executable.*(\(.*\))/\1/p' "$2"
}

# The names of the models in binary $1.
list_models() {
    "$1" --list 2>/dev/null | sed -n 's/: test$//p' | grep models
}

# Runs the tests $3... of binary $1, each in a process of its own and for at most $2 seconds, and prints their times.
run_each() {
    local binary=$1 limit=$2 start output status failed=0 passed=0
    shift 2
    for test; do
        start=$(date +%s%N)
        if output=$(timeout "$limit" "$binary" --exact "$test" 2>&1); then
            passed=$((passed + 1))
            printf '%6d ms  %s\n' $((($(date +%s%N) - start) / 1000000)) "$test"
        else
            status=$?
            failed=$((failed + 1))
            [ $status = 124 ] && echo "$test did not end within $limit s"
            printf '%s\nFAILED (status %d): %s\n' "$(printf '%s' "$output" | tail -n 30)" $status "$test"
        fi
    done
    echo "$passed passed, $failed failed"
    [ $failed = 0 ] && [ $passed -gt 0 ]
}
