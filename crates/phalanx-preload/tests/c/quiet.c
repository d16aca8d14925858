// No wait allocates or looks at the environment, not even a thread's first: this program's malloc and getenv are the ones that everybody
// in the process calls, and count what they are asked in a wait.
//
// Nor where the process has made no barrier, and waits at one of another's.
#include "check.h"
#include <sys/mman.h>

static __thread bool inside;
static atomic_ulong asked_memory, asked_environment, asked_at_all;

static void count(void) {
    atomic_fetch_add_explicit(&asked_at_all, 1, memory_order_relaxed);
    if (inside) atomic_fetch_add(&asked_memory, 1);
}

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);
void *malloc(size_t size) {
    count();
    return __libc_malloc(size);
}
void *calloc(size_t number, size_t size) {
    count();
    return __libc_calloc(number, size);
}
void *realloc(void *old, size_t size) {
    count();
    return __libc_realloc(old, size);
}
void *memalign(size_t alignment, size_t size) {
    count();
    return __libc_memalign(alignment, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
    count();
    return __libc_memalign(alignment, size);
}
int posix_memalign(void **result, size_t alignment, size_t size) {
    count();
    *result = __libc_memalign(alignment, size);
    return *result ? 0 : ENOMEM;
}
void free(void *memory) {
    if (memory) count();
    __libc_free(memory);
}

extern char **environ;
char *getenv(const char *name) {
    size_t length = strlen(name);
    if (inside) atomic_fetch_add(&asked_environment, 1);
    for (char **entry = environ; entry && *entry; entry++)
        if (!strncmp(*entry, name, length) && (*entry)[length] == '=') return *entry + length + 1;
    return NULL;
}
char *secure_getenv(const char *name) { return getenv(name); }

struct place {
    pthread_barrier_t barrier;
    unsigned trips;
};

static void cross(unsigned rank, void *with) {
    struct place *place = with;
    unsigned seed = rank;
    for (unsigned trip = 0; trip < place->trips; trip++) {
        dawdle(&seed);
        // Late enough for the others to sleep.
        if (rank == 0 && trip % 64 == 1) nap(2000000);
        inside = true;
        TRIP(&place->barrier);
        inside = false;
    }
}

static void used(unsigned threads, unsigned trips, int shared) {
    static struct place place;
    pthread_barrierattr_t attributes;
    pthread_barrierattr_init(&attributes);
    pthread_barrierattr_setpshared(&attributes, shared);
    INIT(&place.barrier, &attributes, threads);
    place.trips = trips;
    run_team(threads, cross, &place);
    DESTROY(&place.barrier);
}

static void nothing_asked(void) {
    CHECK(atomic_load(&asked_at_all) > 0, "this program's malloc is called by nobody");
    CHECK(atomic_load(&asked_memory) == 0, "memory was asked for or given back %lu times in waits", atomic_load(&asked_memory));
    CHECK(atomic_load(&asked_environment) == 0, "the environment was looked at %lu times in waits", atomic_load(&asked_environment));
}

// The other process makes them, and has as many threads there as this one.
static void made_by_another(unsigned trips) {
    enum { PLACES = 12 };
    struct common {
        struct place places[PLACES];
        atomic_uint made;
    } *common = mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t maker;
    CHECK(common != MAP_FAILED, "mmap: %s", strerror(errno));
    bool makes = start_child(&maker);
    if (makes) {
        pthread_barrierattr_t attributes;
        pthread_barrierattr_init(&attributes);
        pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
        for (unsigned at = 0; at < PLACES; at++) {
            INIT(&common->places[at].barrier, &attributes, at % 2 ? 4 : 2);
            // First waits, but for the last two.
            common->places[at].trips = at < PLACES - 2 ? 1 : trips;
        }
        atomic_store(&common->made, 1);
    }
    until_moved(&common->made, 0, "waits for the barriers of another process");
    for (unsigned at = 0; at < PLACES; at++) run_team(at % 2 ? 2 : 1, cross, &common->places[at]);
    nothing_asked();
    if (makes) {
        for (unsigned at = 0; at < PLACES; at++) DESTROY(&common->places[at].barrier);
        exit(0);
    }
    end_child(maker, 0);
    munmap(common, sizeof *common);
}

int main(void) {
    watch("quiet");
    // Before this process has made one.
    made_by_another(rounds(1000));
    ok("nothing is asked for at barriers of another process");
    for (int shared = PTHREAD_PROCESS_PRIVATE; shared <= PTHREAD_PROCESS_SHARED; shared++) {
        used(1, rounds(1000), shared);
        used(2, rounds(2000), shared);
        used(5, rounds(1000), shared);
        // First waits.
        for (unsigned turn = 0; turn < rounds(50); turn++) used(4, 1, shared);
    }
    nothing_asked();
    ok("no allocation in a wait");
    ok("no look at the environment in a wait");
    return 0;
}
