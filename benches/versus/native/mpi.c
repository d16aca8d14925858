/* Rounds of MPI_Barrier, or of sums, between processes that each have a CPU; and what the ranks need besides.
 *
 * Every rank is our own program with this loaded, so the clock, the delays and the work are the same code as everyone's.
 * The build asks for one implementation by name, and whatever else calls itself `mpicc` must not take its place. */
#define _GNU_SOURCE
#include <mpi.h>

#if defined(VERSUS_OPENMPI) && !defined(OPEN_MPI)
#error "this mpicc is not Open MPI's"
#endif
#if defined(VERSUS_MPICH) && !defined(MPICH_VERSION)
#error "this mpicc is not MPICH's"
#endif

#define MEET() MPI_Barrier(MPI_COMM_WORLD)
#define WHO RUSAGE_SELF

static int summed(int parties, int me, long trip, double *before);

#include "rounds.h"

static inline int summed(int parties, int me, long trip, double *before) {
    double own = brought(me, trip), all = 0;
    (void)before;
    MPI_Allreduce(&own, &all, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    return all != expected(parties, trip);
}

/* An error ends the job, as MPI has it by default. `version` gets the library's own words, cut off where they are too long. */
void versus_mpi_start(int *rank, int *parties, char *version, int size) {
    char words[MPI_MAX_LIBRARY_VERSION_STRING];
    int length = 0;
    MPI_Init(0, 0);
    MPI_Comm_rank(MPI_COMM_WORLD, rank);
    MPI_Comm_size(MPI_COMM_WORLD, parties);
    MPI_Get_library_version(words, &length);
    for (int i = 0; i < size; i++)
        version[i] = i < length && i < size - 1 ? words[i] : 0;
}

/* Rank 0's bytes to all. */
void versus_mpi_tell(void *bytes, int size) { MPI_Bcast(bytes, size, MPI_BYTE, 0, MPI_COMM_WORLD); }

void versus_mpi_end(void) { MPI_Finalize(); }

/* This rank's part; when it returns, all reports are written. */
int versus_mpi(int me, const struct order *o, struct report *out) {
    int failed = pin(o->cpus[me]), all = 0;
    MPI_Allreduce(&failed, &all, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    if (!all)
        party(o, me, o->parties, &out[me]);
    MPI_Barrier(MPI_COMM_WORLD);
    return all;
}
