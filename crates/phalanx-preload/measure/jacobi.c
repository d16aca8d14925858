// Heat on a square plate by Jacobi's method, as a C program does it: `jacobi SIZE THREADS SWEEPS`.
//
// Each thread has some rows. A sweep has two barriers: all have computed, then the serial thread has added up what changed and decided
// whether to go on. The plate's left edge is hot. The result is compared, bit for bit, with a run without threads and barriers when
// `check` is a word behind the numbers; it is the same for any number of threads, since the change is the maximum of all changes. It is
// looked for in the first column alone, where it is largest for long: a maximum over the row would keep compilers from vectors.
#include "measure.h"
#include <math.h>

static pthread_barrier_t barrier;
static unsigned size, threads;
static unsigned long sweeps, done;
static double *from, *to, change;
static struct {
    _Alignas(64) double change;
} *of_thread;

static double *plate(void) {
    size_t width = size + 2;
    double *cells = aligned_alloc(64, (width * width * sizeof *cells + 63) / 64 * 64);
    if (!cells) give_up("no memory for the plate", 0);
    memset(cells, 0, width * width * sizeof *cells);
    for (size_t row = 0; row < width; row++) cells[row * width] = 100;
    return cells;
}

// Rows `first` to `last - 1` of one sweep; the largest change.
static double sweep(const double *restrict old, double *restrict new, size_t first, size_t last) {
    size_t width = size + 2;
    double most = 0;
    for (size_t row = first; row < last; row++) {
        const double *here = old + row * width;
        double *next = new + row * width;
        for (size_t column = 1; column <= size; column++) next[column] = 0.25 * (here[column - 1] + here[column + 1] + here[column - width] + here[column + width]);
        double change_here = fabs(next[1] - here[1]);
        if (change_here > most) most = change_here;
    }
    return most;
}

static void *work(void *argument) {
    size_t rank = (size_t)argument, first = 1 + size * rank / threads, last = 1 + size * (rank + 1) / threads;
    while (done < sweeps) {
        of_thread[rank].change = sweep(from, to, first, last);
        if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD) {
            change = 0;
            for (unsigned other = 0; other < threads; other++)
                if (of_thread[other].change > change) change = of_thread[other].change;
            double *swap = from;
            from = to;
            to = swap;
            done++;
        }
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

static double sum_of(const double *cells) {
    double sum = 0;
    for (size_t at = 0; at < (size_t)(size + 2) * (size + 2); at++) sum += cells[at];
    return sum;
}

static void check(void) {
    double *old = plate(), *new = plate(), last = 0;
    for (unsigned long turn = 0; turn < sweeps; turn++) {
        last = sweep(old, new, 1, size + 1);
        double *swap = old;
        old = new;
        new = swap;
    }
    if (memcmp(old, from, (size_t)(size + 2) * (size + 2) * sizeof *old) != 0 || last != change) give_up("the result is not that of a run without threads", 0);
}

int main(int count, char **arguments) {
    size = (unsigned)argument(count, arguments, 1, 16384);
    threads = (unsigned)argument(count, arguments, 2, size < 4096 ? size : 4096);
    sweeps = (unsigned long)argument(count, arguments, 3, 1000000000);
    from = plate();
    to = plate();
    of_thread = aligned_alloc(64, threads * sizeof *of_thread);
    if (!of_thread) give_up("no memory", 0);
    make(&barrier, threads);
    double began = now();
    run_threads(threads, work);
    double took = now() - began;
    pthread_barrier_destroy(&barrier);
    if (asked_for(count, arguments, 4, "check")) check();
    printf("loop %.3f ms cpu %.3f ms sum %.17g change %.17g\n", 1e3 * took, 1e3 * cpu_time(), sum_of(from), change);
    return 0;
}
