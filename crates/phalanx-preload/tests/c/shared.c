// Barriers of processes: forked ones, ones that map the memory at another address, and ones that are started anew and find it by name; at
// each alignment that a barrier may have.
//
// Started with arguments, the program is one of those others: `attach NAME OFFSET RANK SIZE TRIPS`.
#include "check.h"
#include <fcntl.h>
#include <sys/mman.h>

enum { MOST = 8, PAGE = 65536 };

struct common {
    long written[MOST];
    atomic_uint serials;
    // A barrier may lie at any multiple of 8.
    _Alignas(64) unsigned char place[128];
};

static void cross(struct common *common, unsigned offset, unsigned rank, unsigned size, unsigned trips) {
    pthread_barrier_t *barrier = (pthread_barrier_t *)(common->place + offset);
    unsigned seed = rank;
    for (unsigned trip = 0; trip < trips; trip++) {
        dawdle(&seed);
        common->written[rank] = trip + 1;
        if (TRIP(barrier)) atomic_fetch_add(&common->serials, 1);
        for (unsigned other = 0; other < size; other++)
            CHECK(common->written[other] == trip + 1, "process %u left trip %u, and process %u was at %ld", rank, trip, other, common->written[other] - 1);
        if (TRIP(barrier)) atomic_fetch_add(&common->serials, 1);
    }
}

static struct common *map(int file) {
    void *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | (file < 0 ? MAP_ANONYMOUS : 0), file, 0);
    CHECK(memory != MAP_FAILED, "mmap: %s", strerror(errno));
    return memory;
}

static void make(struct common *common, unsigned offset, unsigned size) {
    pthread_barrierattr_t attributes;
    pthread_barrierattr_init(&attributes);
    pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    memset(common, 0, sizeof *common);
    memset(common->place, 0xa5, sizeof common->place);
    INIT((pthread_barrier_t *)(common->place + offset), &attributes, size);
}

static void finish(struct common *common, unsigned offset, unsigned size, unsigned trips) {
    DESTROY((pthread_barrier_t *)(common->place + offset));
    unsigned serials = atomic_load(&common->serials);
    CHECK(serials == 2 * trips, "%u processes had %u serial threads in %u trips", size, serials, 2 * trips);
    for (unsigned at = 0; at < sizeof common->place; at++)
        CHECK((at >= offset && at < offset + 32) || common->place[at] == 0xa5, "byte %d after the barrier was written", (int)at - (int)offset);
}

static void forked(unsigned size, unsigned offset, unsigned trips) {
    struct common *common = map(-1);
    pid_t children[MOST];
    make(common, offset, size);
    for (unsigned rank = 1; rank < size; rank++)
        if (start_child(&children[rank])) {
            cross(common, offset, rank, size, trips);
            exit(0);
        }
    cross(common, offset, 0, size, trips);
    for (unsigned rank = 1; rank < size; rank++) end_child(children[rank], 0);
    finish(common, offset, size, trips);
    munmap(common, PAGE);
}

static int open_common(const char *name) {
    int file = shm_open(name, O_RDWR | O_CREAT, 0600);
    CHECK(file >= 0 && ftruncate(file, PAGE) == 0, "shm_open %s: %s", name, strerror(errno));
    return file;
}

static void elsewhere(unsigned offset, unsigned trips) {
    char name[64];
    pid_t child;
    snprintf(name, sizeof name, "/phalanx-preload-%d", getpid());
    int file = open_common(name);
    shm_unlink(name);
    struct common *common = map(file);
    make(common, offset, 2);
    if (start_child(&child)) {
        // The old address stays mapped, so the new one is another.
        struct common *other = map(file);
        CHECK(other != common, "two mappings at one address");
        CHECK(mprotect(common, PAGE, PROT_NONE) == 0, "mprotect: %s", strerror(errno));
        cross(other, offset, 1, 2, trips);
        exit(0);
    }
    cross(common, offset, 0, 2, trips);
    end_child(child, 0);
    finish(common, offset, 2, trips);
    munmap(common, PAGE);
    close(file);
}

static void by_name(unsigned size, unsigned offset, unsigned trips) {
    char name[64], numbers[4][16];
    pid_t children[MOST];
    snprintf(name, sizeof name, "/phalanx-preload-%d", getpid());
    int file = open_common(name);
    struct common *common = map(file);
    make(common, offset, size);
    for (unsigned rank = 1; rank < size; rank++)
        if (start_child(&children[rank])) {
            const unsigned values[] = {offset, rank, size, trips};
            for (unsigned at = 0; at < 4; at++) snprintf(numbers[at], sizeof numbers[at], "%u", values[at]);
            execl("/proc/self/exe", "shared", "attach", name, numbers[0], numbers[1], numbers[2], numbers[3], (char *)NULL);
            CHECK(false, "exec: %s", strerror(errno));
        }
    cross(common, offset, 0, size, trips);
    for (unsigned rank = 1; rank < size; rank++) end_child(children[rank], 0);
    shm_unlink(name);
    finish(common, offset, size, trips);
    munmap(common, PAGE);
    close(file);
}

struct half {
    struct common *common;
    unsigned base, size, trips;
};
static void cross_as_thread(unsigned rank, void *with) {
    struct half *half = with;
    cross(half->common, 8, half->base + rank, half->size, half->trips);
}

static void threads_in_processes(unsigned trips) {
    struct half half = {map(-1), 0, 4, trips};
    pid_t child;
    make(half.common, 8, half.size);
    if (start_child(&child)) {
        half.base = 2;
        run_team(2, cross_as_thread, &half);
        exit(0);
    }
    run_team(2, cross_as_thread, &half);
    end_child(child, 0);
    finish(half.common, 8, half.size, trips);
    munmap(half.common, PAGE);
}

// The serial process destroys and fills the barrier, while others may be leaving.
static void destroyed(unsigned size, unsigned turns) {
    struct common *common = map(-1);
    atomic_uint *round = (atomic_uint *)((char *)common + PAGE / 2), *left = round + 1;
    pid_t children[MOST];
    unsigned rank = 0;
    make(common, 0, size);
    while (rank < size - 1 && !start_child(&children[rank])) rank++;
    for (unsigned turn = 0; turn < turns; turn++) {
        if (TRIP((pthread_barrier_t *)common->place)) {
            DESTROY((pthread_barrier_t *)common->place);
            memset(common->place, 0xa5, 64);
            while (atomic_load(left) != (size - 1) * (turn + 1)) sched_yield();
            for (unsigned at = 0; at < 64; at++) CHECK(common->place[at] == 0xa5, "a process wrote into a destroyed barrier");
            make(common, 0, size);
            atomic_fetch_add(round, 1);
        } else {
            atomic_fetch_add(left, 1);
            until_moved(round, turn, "waits for the next barrier");
        }
    }
    if (rank < size - 1) exit(0);
    for (rank = 0; rank < size - 1; rank++) end_child(children[rank], 0);
    munmap(common, PAGE);
}

int main(int count, char **arguments) {
    watch("shared");
    if (count == 7 && !strcmp(arguments[1], "attach")) {
        int file = shm_open(arguments[2], O_RDWR, 0600);
        CHECK(file >= 0, "shm_open %s: %s", arguments[2], strerror(errno));
        cross(map(file), (unsigned)atoi(arguments[3]), (unsigned)atoi(arguments[4]), (unsigned)atoi(arguments[5]), (unsigned)atoi(arguments[6]));
        return 0;
    }
    for (unsigned offset = 0; offset < 64; offset += 8) forked(2, offset, rounds(500));
    ok("two forked processes, at each alignment");
    forked(4, 40, rounds(1000));
    ok("four forked processes");
    for (unsigned offset = 0; offset < 64; offset += 24) elsewhere(offset, rounds(500));
    ok("at different addresses");
    // Emulators that the system does not know start no program by themselves.
    if (getenv("PHALANX_TEST_NO_EXEC")) {
        dprintf(1, "left out: programs that find it by name\n");
    } else {
        by_name(2, 56, rounds(1000));
        by_name(4, 0, rounds(1000));
        ok("programs that find it by name");
    }
    threads_in_processes(rounds(1000));
    ok("two threads in each of two processes");
    destroyed(2, rounds(5000));
    destroyed(4, rounds(2000));
    ok("the serial process destroys it at once");
    return 0;
}
