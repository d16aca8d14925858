/* The constructs that the EPCC OpenMP micro-benchmarks time and that a barrier or a team has an answer to, after the
 * description in Bull, "Measuring Synchronisation and Scheduling Overheads in OpenMP" (EWOMP 1999); none of EPCC's code.
 *
 * Each does the caller's delay, and counts, so that what was not done is found. The times are those of `inner` executions
 * as EPCC takes them: with one parallel region around them all where the construct is used within one. */
#define _GNU_SOURCE
#include <omp.h>
#include <sched.h>
#include <stdint.h>
#include <sys/resource.h>
#include <time.h>

enum { MOST = 1024, CHECKED = 4, CONSTRUCTS = 6 };
enum { PARALLEL, FOR, PARALLEL_FOR, BARRIER, SINGLE, REDUCTION };

struct found {
    int64_t ns, cpu_ns, voluntary, involuntary, wrong;
};

struct task {
    int members;
    void (*delay)(uint64_t);
    uint64_t steps;
};

/* `trip` is volatile, so that the compiler does not keep what it wrote before a barrier. */
static struct {
    int64_t count;
    volatile int64_t trip;
} __attribute__((aligned(128))) slots[MOST];

static int64_t singles __attribute__((aligned(128)));

static int64_t at(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Executes a construct so often; says how many executions of its body are missing. */
static int64_t execute(int construct, const struct task *task, int64_t inner) {
    const int members = task->members;
    void (*const delay)(uint64_t) = task->delay;
    const uint64_t steps = task->steps;
    int64_t sum = 0, wrong = 0;
    singles = 0;
    for (int i = 0; i < members; i++)
        slots[i].count = 0;
    switch (construct) {
    case PARALLEL:
        for (int64_t j = 0; j < inner; j++) {
#pragma omp parallel num_threads(members)
            {
                delay(steps);
                slots[omp_get_thread_num()].count++;
            }
        }
        break;
    case FOR:
#pragma omp parallel num_threads(members)
        for (int64_t j = 0; j < inner; j++) {
#pragma omp for
            for (int i = 0; i < members; i++) {
                delay(steps);
                slots[i].count++;
            }
        }
        break;
    case PARALLEL_FOR:
        for (int64_t j = 0; j < inner; j++) {
#pragma omp parallel for num_threads(members)
            for (int i = 0; i < members; i++) {
                delay(steps);
                slots[i].count++;
            }
        }
        break;
    case BARRIER:
#pragma omp parallel num_threads(members)
    {
        int me = omp_get_thread_num();
        for (int64_t j = 0; j < inner; j++) {
            delay(steps);
            slots[me].count++;
#pragma omp barrier
        }
    } break;
    case SINGLE:
#pragma omp parallel num_threads(members)
        for (int64_t j = 0; j < inner; j++) {
#pragma omp single
            {
                delay(steps);
                singles++;
            }
        }
        return singles != inner;
    case REDUCTION:
        for (int64_t j = 0; j < inner; j++) {
#pragma omp parallel num_threads(members) reduction(+ : sum)
            {
                delay(steps);
                sum += 1;
            }
        }
        return sum != inner * members;
    }
    for (int i = 0; i < members; i++)
        wrong += slots[i].count != inner;
    return wrong;
}

/* Whether nobody leaves a barrier, or the end of a loop or of a single section, before all have come. */
static int64_t promises_broken(int members) {
    int64_t wrong = 0;
#pragma omp parallel num_threads(members) reduction(+ : wrong)
    {
        int me = omp_get_thread_num();
        for (int64_t trip = 1; trip <= 3 * CHECKED; trip++) {
            slots[me].trip = trip;
            if (trip % 3 == 0) {
#pragma omp barrier
            } else if (trip % 3 == 1) {
#pragma omp for
                for (int i = 0; i < members; i++)
                    slots[i].count++;
            } else {
#pragma omp single
                singles++;
            }
            for (int other = 0; other < members; other++) {
                int64_t seen = slots[other].trip;
                wrong += seen != trip && seen != trip + 1;
            }
        }
    }
    for (int i = 0; i < members; i++)
        slots[i].trip = 0;
    return wrong;
}

/* What all members have used so far, each by its own clock: that of the process knows nothing of the last milliseconds of
 * threads that run on other CPUs. */
static struct found used(int members) {
    int64_t cpu_ns = 0, voluntary = 0, involuntary = 0;
#pragma omp parallel num_threads(members) reduction(+ : cpu_ns, voluntary, involuntary)
    {
        struct rusage usage;
        getrusage(RUSAGE_THREAD, &usage);
        cpu_ns += at(CLOCK_THREAD_CPUTIME_ID);
        voluntary += usage.ru_nvcsw;
        involuntary += usage.ru_nivcsw;
    }
    return (struct found){0, cpu_ns, voluntary, involuntary, 0};
}

/* Starts the runtime, and says how many CPUs it sees: to be called before the caller is pinned. */
int versus_epcc_processors(void) { return omp_get_num_procs(); }

/* All constructs in turn, each `inner` times, after an eighth of that which is not timed; those of 0 times are left out. */
int versus_epcc(const int *cpus, int members, void (*delay)(uint64_t), uint64_t steps, const int64_t *inner,
                struct found *out) {
    const struct task task = {members, delay, steps};
    int failed = members > MOST;
    if (failed)
        return failed;
#pragma omp parallel num_threads(members) reduction(+ : failed)
    {
        cpu_set_t mask;
        CPU_ZERO(&mask);
        CPU_SET(cpus[omp_get_thread_num()], &mask);
        failed += sched_setaffinity(0, sizeof mask, &mask) != 0;
        failed += omp_get_num_threads() != members;
    }
    if (failed)
        return failed;
    out[BARRIER].wrong += promises_broken(members);
    for (int construct = 0; construct < CONSTRUCTS; construct++) {
        if (inner[construct] == 0)
            continue;
        struct found *found = &out[construct];
        found->wrong += execute(construct, &task, inner[construct] / 8 + 1);
        struct found before = used(members);
        int64_t start = at(CLOCK_MONOTONIC);
        found->wrong += execute(construct, &task, inner[construct]);
        found->ns = at(CLOCK_MONOTONIC) - start;
        struct found after = used(members);
        found->cpu_ns = after.cpu_ns - before.cpu_ns;
        found->voluntary = after.voluntary - before.voluntary;
        found->involuntary = after.involuntary - before.involuntary;
    }
    return 0;
}
