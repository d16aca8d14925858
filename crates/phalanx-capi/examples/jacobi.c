/*
 * Heat in a square plate, one edge of which is kept at 1: Jacobi's iteration with POSIX threads, a barrier per sweep, and the
 * residual of all threads in one all-reduce, so that all stop at the same sweep.
 *
 * Checks itself against the same sweeps by one thread, bit for bit, and exits with 1 if they differ.
 *
 *     cc -O2 jacobi.c $(pkg-config --cflags --libs phalanx) -pthread -lm -o jacobi && ./jacobi
 */
#include <phalanx.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 66, THREADS = 4, MOST_SWEEPS = 20000 };
static const double enough = 1e-6;

typedef double plate[SIDE][SIDE];

struct solver {
    phalanx_barrier *barrier;
    plate grid[2];
    int sweeps;
};

struct worker {
    struct solver *solver;
    size_t rank;
    phalanx_status status;
};

/* One sweep over rows `from` to below `to`; the largest change. */
static double sweep(plate out, plate in, int from, int to) {
    double most = 0;
    for (int i = from; i < to; i++) {
        for (int j = 1; j < SIDE - 1; j++) {
            out[i][j] = 0.25 * (in[i - 1][j] + in[i + 1][j] + in[i][j - 1] + in[i][j + 1]);
            double change = out[i][j] > in[i][j] ? out[i][j] - in[i][j] : in[i][j] - out[i][j];
            if (change > most) most = change;
        }
    }
    return most;
}

static void start(struct solver *solver) {
    memset(solver->grid, 0, sizeof solver->grid);
    for (int j = 0; j < SIDE; j++) solver->grid[0][0][j] = solver->grid[1][0][j] = 1;
}

static phalanx_status solve(struct solver *solver, size_t rank) {
    phalanx_party *party;
    phalanx_status status = phalanx_barrier_claim(solver->barrier, rank, &party);
    if (status != PHALANX_OK) return status;
    int rows = SIDE - 2, from = 1 + rows * (int)rank / THREADS, to = 1 + rows * ((int)rank + 1) / THREADS, now = 0;
    for (int done = 0; done < MOST_SWEEPS; done++, now = !now) {
        double change = sweep(solver->grid[!now], solver->grid[now], from, to);
        /* All rows are written, and everybody knows the largest change of all. */
        status = phalanx_party_all_reduce_double(party, PHALANX_MAX, change, &change);
        if (status != PHALANX_OK) break;
        if (change < enough) {
            if (rank == 0) solver->sweeps = done + 1;
            break;
        }
    }
    phalanx_party_free(party);
    return status;
}

static void *work(void *argument) {
    struct worker *worker = argument;
    worker->status = solve(worker->solver, worker->rank);
    if (worker->status != PHALANX_OK) {
        char text[256];
        phalanx_last_error(text, sizeof text);
        fprintf(stderr, "rank %zu: %s\n", worker->rank, text);
    }
    return NULL;
}

int main(void) {
    static struct solver parallel, serial;
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    phalanx_barrier_options options = {0};
    options.name = "jacobi";
    options.timeout_ns = 60000000000; /* nobody waits longer than a minute */
    phalanx_status status = phalanx_barrier_create(THREADS, &options, &parallel.barrier);
    if (status != PHALANX_OK) {
        fprintf(stderr, "jacobi: %s\n", phalanx_strerror(status));
        return 1;
    }
    start(&parallel);
    for (size_t rank = 0; rank < THREADS; rank++) {
        workers[rank] = (struct worker){&parallel, rank, PHALANX_OK};
        if (pthread_create(&threads[rank], NULL, work, &workers[rank]) != 0) {
            perror("jacobi: pthread_create");
            return 1;
        }
    }
    int failed = 0;
    for (size_t rank = 0; rank < THREADS; rank++) {
        pthread_join(threads[rank], NULL);
        failed |= workers[rank].status != PHALANX_OK;
    }
    phalanx_stats stats;
    phalanx_barrier_stats(parallel.barrier, &stats);
    phalanx_barrier_free(parallel.barrier);

    start(&serial);
    for (int now = 0; serial.sweeps < MOST_SWEEPS; now = !now) {
        serial.sweeps++;
        if (sweep(serial.grid[!now], serial.grid[now], 1, SIDE - 1) < enough) break;
    }
    double middle = parallel.grid[parallel.sweeps % 2][SIDE / 2][SIDE / 2];
    printf("jacobi: %d sweeps by %d threads, %llu trips, %.6f in the middle\n", parallel.sweeps, THREADS,
           (unsigned long long)stats.trips, middle);
    /* By symmetry the middle of the plate has a quarter of the edge's heat; between two grid points a little less. */
    int right = !failed && parallel.sweeps == serial.sweeps && stats.trips == (uint64_t)serial.sweeps &&
                memcmp(parallel.grid, serial.grid, sizeof serial.grid) == 0 && middle > 0.22 && middle < 0.26;
    if (!right) fprintf(stderr, "jacobi: WRONG: one thread needed %d sweeps\n", serial.sweeps);
    return !right;
}
