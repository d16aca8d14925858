// Nothing but trips: `trips THREADS MILLISECONDS [pinned]`.
//
// Blocks of trips, twice as many each time, until a block takes as long as asked; of that block the time and the CPU time of one trip are
// printed. The blocks before it warm up. The decision is made by the first thread between two barriers, so it costs no trip anything.
#include "measure.h"

static pthread_barrier_t barrier;
static unsigned threads;
static bool pinned;
static double wanted, took, burnt;
static volatile unsigned long block = 16;
static volatile bool over;

static void *cross(void *argument) {
    size_t rank = (size_t)argument;
    if (pinned) pin((unsigned)rank);
    while (!over) {
        double began = 0, had = 0;
        pthread_barrier_wait(&barrier);
        if (rank == 0) had = cpu_time(), began = now();
        for (unsigned long trips = block; trips > 0; trips--) pthread_barrier_wait(&barrier);
        if (rank == 0) {
            took = now() - began;
            burnt = cpu_time() - had;
            over = took >= wanted;
            if (!over) block *= 2;
        }
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

int main(int count, char **arguments) {
    threads = (unsigned)argument(count, arguments, 1, 4096);
    wanted = 1e-3 * (double)argument(count, arguments, 2, 60000);
    pinned = asked_for(count, arguments, 3, "pinned");
    make(&barrier, threads);
    run_threads(threads, cross);
    pthread_barrier_destroy(&barrier);
    printf("trip %.2f ns cpu %.2f ns trips %lu\n", 1e9 * took / (double)block, 1e9 * burnt / (double)block, block);
    return 0;
}
