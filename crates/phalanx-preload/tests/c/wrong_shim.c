// Barriers to preload that are wrong on purpose, one bug each, and with BUG=0 a right one: shows that each check beside it can fail.
//
// Each line `BUG n PROGRAM: WHAT` below is read by the script that runs the programs: built with -DBUG=n and preloaded, PROGRAM must fail.
//
//   BUG 1 crossing: now and then the first to come does not wait
//   BUG 2 crossing: now and then a trip has two serial threads
//   BUG 3 crossing: now and then a trip has no serial thread
//   BUG 4 signals: a signal ends the wait with EINTR
//   BUG 5 signals: a signal ends the wait as if the trip were over
//   BUG 6 destroy: destroy waits for nobody who is still leaving
//   BUG 7 destroy: who leaves counts itself out, and then writes once more
//   BUG 8 memory: writes a 33rd byte
//   BUG 9 memory: aligns itself to cache lines
//   BUG 10 quiet: the first wait of a thread allocates
//   BUG 11 quiet: a wait that sleeps looks at the environment
//   BUG 12 batches: callers beyond the count are forgotten
//   BUG 13 batches: now and then one who is still leaving counts for one who comes
//   BUG 14 arguments: accepts a count of 0
//   BUG 15 arguments: accepts counts that are too large
//   BUG 16 shared: wakes within the process alone
//   BUG 17 shared: remembers its own address
//   BUG 18 cancel: is a cancellation point
//   BUG 19 memory: each init keeps a record
//   BUG 20 fork: init takes a lock that a forked child finds taken
//   BUG 21 destroy: a second init keeps the first count
//   BUG 22 symbols: has no destroy of its own
//   BUG 23 crossing: now and then a trip wakes nobody
//   BUG 24 destroy: remembers callers of a barrier that is destroyed
//   BUG 25 unwinding: a wait takes a pending cancellation
//   BUG 26 ending: a handler of exit waits for those who wait
//   BUG 27 symbols: serves the newest version alone (by a version script)
//   BUG 28 arguments: attributes that are gone are looked at later
//   BUG 29 one_cpu: more than 32 callers are not counted
//   BUG 30 shared: makes every barrier one of its process alone
//   BUG 31 manners: init starts a thread that takes signals
//   BUG 32 manners: a wait changes errno
//   BUG 33 manners: a wait needs much stack
//   BUG 34 manners: init leaves a file open
//   BUG 35 manners: init needs a file
//   BUG 36 manners: init installs a handler
//   BUG 37 apart: a wait long behind the last trip is ended by a signal
//   BUG 38 apart: who comes last to a trip long behind the last one wakes nobody
//   BUG 39 apart: a trip in quick succession behind some that were far apart is over for the first to come
//   BUG 40 wrap: a generation behind the wrap is taken for one that is not there yet
//   BUG 41 wrap: the generation before the wrap is taken for one that is over
//   BUG 42 wrap: destroy waits until the generation is the greatest that there was
//   BUG 43 quiet: a process that has made no barrier asks for memory in its first wait
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef BUG
#define BUG 0
#endif
#define HAS(n) (BUG == (n))

// The simplest barrier that is right: a lock, a count, a generation to sleep on, and how many are between call and return.
struct shim {
    atomic_uint lock, generation, inside, arrived;
    unsigned count, shared;
    const void *at;
};
_Static_assert(sizeof(struct shim) == sizeof(pthread_barrier_t), "it lives in the program's 32 bytes");

static atomic_uint trips, in_waits, records_lock, greatest;
static bool has_made_one;

static struct shim *shim_of(pthread_barrier_t *barrier) {
    if (HAS(9)) return (struct shim *)(((uintptr_t)barrier + 63) & ~(uintptr_t)63);
    return (struct shim *)barrier;
}

static long futex(struct shim *shim, int operation, unsigned value) {
    bool shared = shim && shim->shared && !HAS(16);
    return syscall(SYS_futex, &shim->generation, operation | (shared ? 0 : FUTEX_PRIVATE_FLAG), value, NULL, NULL, 0);
}

static void lock(atomic_uint *word) {
    while (atomic_exchange(word, 1)) sched_yield();
}
static void unlock(atomic_uint *word) { atomic_store(word, 0); }

static void *stay(void *nothing) {
    for (;;) pause();
    return nothing;
}

static void ignore(int signal) { (void)signal; }

static void misbehave(void) {
    static bool before;
    pthread_t thread;
    if (HAS(31) && !before && pthread_create(&thread, NULL, stay, NULL) == 0) before = true;
    if (HAS(34)) (void)!open("/dev/null", O_RDONLY);
    if (HAS(36)) signal(SIGUSR2, ignore);
}

// Milliseconds since the last call, by whichever thread; and how many calls in a row came long behind the last.
static atomic_ulong last_trip;
static atomic_uint seldom;
static unsigned long since_last_trip(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    unsigned long now = (unsigned long)time.tv_sec * 1000 + (unsigned long)time.tv_nsec / 1000000;
    unsigned long since = now - atomic_exchange(&last_trip, now);
    return since;
}

// Whether generation `mine` is not over yet.
static bool is_open(struct shim *shim, unsigned mine) {
    unsigned generation = atomic_load(&shim->generation);
    if (HAS(40) && generation < mine) usleep(1000);
    if (HAS(40)) return generation <= mine;
    if (HAS(41)) return generation < mine + 1;
    return generation == mine;
}

static bool now_and_then(void) { return atomic_fetch_add(&trips, 1) % 512 == 511; }

int pthread_barrier_init(pthread_barrier_t *barrier, const pthread_barrierattr_t *attributes, unsigned count) {
    struct shim *shim = shim_of(barrier);
    int shared = PTHREAD_PROCESS_PRIVATE;
    if ((count == 0 && !HAS(14)) || (count >= INT32_MAX && !HAS(15))) return EINVAL;
    if (attributes) pthread_barrierattr_getpshared(attributes, &shared);
    if (HAS(19) && !malloc(48)) return ENOMEM;
    misbehave();
    has_made_one = true;
    atomic_store(&greatest, 0);
    if (HAS(35)) {
        int file = open("/proc/self/status", O_RDONLY);
        if (file < 0) return errno;
        close(file);
    }
    if (HAS(20)) {
        lock(&records_lock);
        sched_yield();
        unlock(&records_lock);
    }
    unsigned old = shim->count, inside = shim->inside;
    bool again = shim->at == barrier;
    memset(shim, 0, sizeof *shim);
    shim->count = HAS(21) && again && old ? old : count;
    if (HAS(24) && again) shim->inside = inside + 1;
    shim->shared = shared == PTHREAD_PROCESS_SHARED && !HAS(30);
    shim->at = HAS(28) ? (const void *)attributes : barrier;
    if (HAS(8)) ((unsigned char *)barrier)[32] = 0;
    return 0;
}

#if BUG != 22
int pthread_barrier_destroy(pthread_barrier_t *barrier) {
    struct shim *shim = shim_of(barrier);
    while (atomic_load(&shim->inside) != 0 && !HAS(6)) sched_yield();
    while (HAS(42) && atomic_load(&shim->generation) < atomic_load(&greatest)) usleep(1000);
    return 0;
}
#endif

int pthread_barrier_wait(pthread_barrier_t *barrier) {
    static __thread bool came_before;
    static void *volatile memory;
    struct shim *shim = shim_of(barrier);
    if (HAS(10) && !came_before && !(memory = malloc(16))) return ENOMEM;
    if (HAS(43) && !has_made_one && !(memory = malloc(16))) return ENOMEM;
    if (HAS(25)) pthread_testcancel();
    if (HAS(17) && shim->at != barrier) return EINVAL;
    if (HAS(28) && shim->at) {
        int shared = 0;
        pthread_barrierattr_getpshared(shim->at, &shared);
        if (shared != PTHREAD_PROCESS_PRIVATE && shared != PTHREAD_PROCESS_SHARED) return EINVAL;
    }
    came_before = true;

    atomic_fetch_add(&shim->inside, 1);
    atomic_fetch_add(&in_waits, 1);
    lock(&shim->lock);
    unsigned mine = atomic_load(&shim->generation);
    unsigned place = atomic_fetch_add(&shim->arrived, 1);
    bool bad = now_and_then();
    if (HAS(29) && place == 32) atomic_store(&shim->arrived, 0);
    unsigned enough = shim->count - (HAS(13) && bad && atomic_load(&shim->inside) > shim->count);
    bool serial = place + 1 == enough, late = false;
    if (HAS(37) || HAS(38) || HAS(39)) {
        // A straggler's trip begins when the first of the others comes.
        unsigned long since = place == 0 || serial ? since_last_trip() : 0;
        late = since >= 4;
        if (late) atomic_fetch_add(&seldom, 1);
        if (HAS(39) && place == 0 && shim->count > 1 && !late && atomic_exchange(&seldom, 0) > 4) mine--;
    }
    if (serial) {
        if (HAS(12)) {
            unlock(&shim->lock);
            sched_yield();
            lock(&shim->lock);
        }
        atomic_store(&shim->arrived, 0);
        if (HAS(42) && mine > atomic_load(&greatest)) atomic_store(&greatest, mine);
        atomic_fetch_add(&shim->generation, 1);
        if (!(HAS(23) && bad) && !(HAS(38) && late)) futex(shim, FUTEX_WAKE, INT32_MAX);
        if (HAS(3) && bad) serial = false;
    }
    unlock(&shim->lock);
    if (HAS(1) && place == 0 && shim->count > 1 && bad) mine--;
    if (HAS(2) && place == 0 && bad) serial = true;
    int answer = serial ? PTHREAD_BARRIER_SERIAL_THREAD : 0, error = errno;
    if (HAS(33)) {
        volatile char much[64 * 1024];
        for (size_t at = sizeof much; at > 0; at -= 1024) much[at - 1] = 1;
    }
    while (is_open(shim, mine)) {
        if (HAS(11)) getenv("PHALANX_SPIN");
        if (HAS(18)) pthread_testcancel();
        if (futex(shim, FUTEX_WAIT, mine) == 0 || errno != EINTR) continue;
        if (HAS(4)) answer = EINTR;
        if (HAS(4) || HAS(5) || (HAS(37) && late)) break;
    }
    atomic_fetch_sub(&in_waits, 1);
    // The last touch: behind it the memory may be gone.
    atomic_fetch_sub(&shim->inside, 1);
    if (HAS(7)) {
        sched_yield();
        shim->at = barrier;
    }
    errno = HAS(32) ? EAGAIN : error;
    return answer;
}

#if BUG == 26
__attribute__((destructor)) static void at_exit(void) {
    while (atomic_load(&in_waits)) sched_yield();
}
#endif
