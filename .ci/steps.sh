# Shared by .ci/run and .ci/deep: named steps, each timed, all run whatever fails. SKIP="name name" leaves steps out; ONLY="name name" runs
# no others.
failed=() ran=0
step() { # name command...
    local name=$1 start=$SECONDS
    shift
    case " ${SKIP:-} " in *" $name "*) echo "== $name: skipped on request"; return ;; esac
    case " ${ONLY:-$name} " in *" $name "*) ;; *) return ;; esac
    ran=$((ran + 1))
    echo "== $name: $*"
    if "$@"; then
        echo "== $name: ok, $((SECONDS - start)) s"
    else
        echo "== $name: FAILED, $((SECONDS - start)) s"
        failed+=("$name")
    fi
}
summary() {
    if [ ${#failed[@]} -gt 0 ]; then
        echo "== failed: ${failed[*]}"
        exit 1
    fi
    [ $ran -gt 0 ] || { echo "== nothing was run"; exit 1; }
    echo "== $ran steps passed in $SECONDS s"
}
