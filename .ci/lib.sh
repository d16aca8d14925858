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

# Adds up the executions that the lines of run_each on standard input speak of, by file and all; fails if there are none.
sum_executions() {
    awk '$2 == "ms" {
            for (i = 4; i < NF; i++) if ($(i + 1) ~ /^executions/) {
                file = $3; sub(/::[a-z_0-9]+$/, "", file)
                by[file] += $i; in_file[file]++; sum += $i; tests++
                if (/cut short/) cut++
            }
        }
        END {
            for (file in by) printf "%10d executions in %3d tests of %s\n", by[file], in_file[file], file | "sort -k6"
            close("sort -k6")
            printf "%10d executions in %3d tests", sum, tests; if (cut) printf ", %d of them cut short by the clock", cut
            print ""; exit sum == 0
        }'
}

# The names of the models in binary $1.
list_models() {
    "$1" --list 2>/dev/null | sed -n 's/: test$//p' | grep models
}

# Runs test $3 of binary $1 in a process of its own for at most $2 seconds; prints its time and what it says of itself in
# lines that begin with "@ ", or what went wrong.
run_one() {
    local start output status
    start=$(date +%s%N)
    if output=$(timeout "$2" "$1" --nocapture --exact "$3" 2>&1); then
        printf '%6d ms  %s%s\n' $((($(date +%s%N) - start) / 1000000)) "$3" "$(sed -n 's/^@ /  /p' <<<"$output" | tr -d '\n')"
    else
        status=$?
        [ $status = 124 ] && output="it did not end within $2 s"
        printf '%s\nFAILED (status %d): %s\n' "$(printf '%s' "$output" | tail -n 30)" $status "$3"
    fi
}

# Runs the tests $3... of binary $1 like that, as many at once as there are CPUs.
run_each() {
    local binary=$1 limit=$2 log
    shift 2
    log=$(mktemp)
    export -f run_one
    printf '%s\n' "$@" | xargs -r -P "$(nproc)" -I TEST bash -c 'run_one "$@"' run_one "$binary" "$limit" TEST | tee "$log"
    local passed failed
    passed=$(grep -c ' ms  ' "$log")
    failed=$(grep -c '^FAILED ' "$log")
    rm -f "$log"
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ] && [ "$passed" = $# ] && [ $# -gt 0 ]
}

# Copies what the tests of the library need into $1: the library and its tests, without benches, examples and members, and of the
# dev-dependencies those alone that a test of ours needs which any target can run. Where each of them is built anew for a target,
# that is most of the time. Ages are kept, so that a second run builds only what has changed.
test_tree() {
    mkdir -p "$1"
    rm -rf "$1/src" "$1/tests" "$1/fuzz"
    cp -rp src tests rust-toolchain.toml "$1/"
    mkdir "$1/fuzz" && cp -rp fuzz/seeds "$1/fuzz/"
    rm -f "$1/tests/compile_fail.rs"
    awk '/^\[/ { skip = /^\[(workspace|\[bench\]|\[example\])\]/; dev = /^\[dev-dependencies\]/ }
        !skip && (!dev || /^(\[|proptest|serde_json)/)' Cargo.toml >"$1/Cargo.toml"
    echo '[workspace]' >>"$1/Cargo.toml"
    [ -f "$1/Cargo.lock" ] || cp Cargo.lock "$1/"
}

# Adds up libtest's results in the log $1, into `counted`; whether any test has run.
result() {
    counted=$(awk '/^test result:/ { passed += $4; failed += $6; ignored += $8 }
        END { printf "%d passed, %d failed, %d ignored", passed, failed, ignored }' "$1")
    [ "${counted%% *}" -gt 0 ]
}

# The next line of $1/list; fails when there is none. For workers beside each other, who begin with $1/at holding 0.
next_line() {
    (
        flock 9
        at=$(($(cat "$1/at") + 1))
        echo $at >"$1/at"
        sed -n "${at}p" "$1/list" | grep .
    ) 9>"$1/lock"
}
