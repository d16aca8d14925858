/* NAS CG with OpenMP, as a yardstick for examples/nas_cg.rs: the same matrix, the same phases, the pragmas that a user of OpenMP would write.
 *
 *   cc -O3 -fopenmp cg.c -lm -o cg && OMP_PROC_BIND=close ./cg S 2
 *
 * Written from the description (D. Bailey et al., "The NAS Parallel Benchmarks", RNR-94-007, section 2.4), not from the published code. Prints the
 * eigenvalue and the time, and ends with 1 if the former is wrong. */
#include <math.h>
#include <omp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ITERATIONS = 15, STEPS = 25 };
static const double RCOND = 0.1;

static int n, nonzeros;
static double shift, expected;

/* x' = 5^13 x mod 2^46 */
static uint64_t state = 314159265;

static double next_random(void) {
    state = (uint64_t)((unsigned __int128)state * 1220703125 & (((uint64_t)1 << 46) - 1));
    return (double)state * 0x1p-46;
}

/* One entry of a row under construction, in a list sorted by column. */
struct entry {
    int column, next;
    double value;
};

static struct entry *entries;
static int used, room, *heads;

static void add(int row, int column, double value) {
    int *link = &heads[row];
    while (*link >= 0 && entries[*link].column < column)
        link = &entries[*link].next;
    if (*link >= 0 && entries[*link].column == column) {
        entries[*link].value += value;
        return;
    }
    if (used == room) {
        size_t at = (size_t)(link - &heads[row]);
        int inside = link != &heads[row], which = 0;
        if (inside)
            which = (int)((struct entry *)((char *)link - offsetof(struct entry, next)) - entries);
        room *= 2;
        entries = realloc(entries, (size_t)room * sizeof *entries);
        link = inside ? &entries[which].next : &heads[row] + at;
    }
    entries[used] = (struct entry){column, *link, value};
    *link = used++;
}

static int *starts, *columns;
static double *values;

static void make_matrix(void) {
    int range = 1;
    while (range < n)
        range *= 2;
    next_random();
    int *places = malloc((size_t)n * (nonzeros + 1) * sizeof *places), *counts = malloc((size_t)n * sizeof *counts);
    double *parts = malloc((size_t)n * (nonzeros + 1) * sizeof *parts);
    for (int row = 0; row < n; row++) {
        int *place = places + (size_t)row * (nonzeros + 1), count = 0;
        double *part = parts + (size_t)row * (nonzeros + 1);
        while (count < nonzeros) {
            double value = next_random();
            int at = (int)(range * next_random()), known = at >= n;
            for (int i = 0; i < count && !known; i++)
                known = place[i] == at;
            if (!known) {
                place[count] = at;
                part[count++] = value;
            }
        }
        int own = 0;
        while (own < count && place[own] != row)
            own++;
        place[own] = row;
        part[own] = 0.5;
        counts[row] = own == count ? count + 1 : count;
    }
    room = 1 << 20;
    entries = malloc((size_t)room * sizeof *entries);
    heads = malloc((size_t)n * sizeof *heads);
    memset(heads, -1, (size_t)n * sizeof *heads);
    double weight = 1, ratio = pow(RCOND, 1.0 / n);
    for (int i = 0; i < n; i++) {
        int *place = places + (size_t)i * (nonzeros + 1);
        double *part = parts + (size_t)i * (nonzeros + 1);
        for (int a = 0; a < counts[i]; a++)
            for (int b = 0; b < counts[i]; b++) {
                double value = part[b] * (weight * part[a]);
                if (place[a] == i && place[b] == i)
                    value += RCOND - shift;
                add(place[a], place[b], value);
            }
        weight *= ratio;
    }
    starts = malloc(((size_t)n + 1) * sizeof *starts);
    columns = malloc((size_t)used * sizeof *columns);
    values = malloc((size_t)used * sizeof *values);
    int at = 0;
    for (int row = 0; row < n; row++) {
        starts[row] = at;
        for (int link = heads[row]; link >= 0; link = entries[link].next, at++) {
            columns[at] = entries[link].column;
            values[at] = entries[link].value;
        }
    }
    starts[n] = at;
}

static double *x, *z, *r, *q, *p;

/* One row times a vector, in four sums as examples/nas/cg.rs does it. */
static inline double multiply(int row, const double *vector) {
    double a = 0, b = 0, c = 0, d = 0;
    int k = starts[row], end = starts[row + 1];
    for (; k + 4 <= end; k += 4) {
        a += values[k] * vector[columns[k]];
        b += values[k + 1] * vector[columns[k + 1]];
        c += values[k + 2] * vector[columns[k + 2]];
        d += values[k + 3] * vector[columns[k + 3]];
    }
    if (k < end)
        a += values[k] * vector[columns[k]], k++;
    if (k < end)
        b += values[k] * vector[columns[k]], k++;
    if (k < end)
        c += values[k] * vector[columns[k]];
    return (a + b) + (c + d);
}

/* The whole benchmark; the eigenvalue. */
static double solve(void) {
    double zeta = 0, rho = 0, d = 0, last = 0, xz = 0, zz = 0, residual = 0;
#pragma omp parallel
    {
#pragma omp for
        for (int i = 0; i < n; i++)
            x[i] = 1;
        for (int iteration = 0; iteration < ITERATIONS; iteration++) {
#pragma omp single
            rho = xz = zz = residual = 0;
#pragma omp for reduction(+ : rho)
            for (int i = 0; i < n; i++) {
                z[i] = 0;
                r[i] = p[i] = x[i];
                rho += r[i] * r[i];
            }
            for (int step = 0; step < STEPS; step++) {
#pragma omp single
                {
                    d = 0;
                    last = rho;
                    rho = 0;
                }
#pragma omp for reduction(+ : d)
                for (int i = 0; i < n; i++) {
                    q[i] = multiply(i, p);
                    d += p[i] * q[i];
                }
                double alpha = last / d;
#pragma omp for reduction(+ : rho)
                for (int i = 0; i < n; i++) {
                    z[i] += alpha * p[i];
                    r[i] -= alpha * q[i];
                    rho += r[i] * r[i];
                }
                double beta = rho / last;
#pragma omp for
                for (int i = 0; i < n; i++)
                    p[i] = r[i] + beta * p[i];
            }
#pragma omp for reduction(+ : xz, zz, residual)
            for (int i = 0; i < n; i++) {
                double off = x[i] - multiply(i, z);
                residual += off * off;
                xz += x[i] * z[i];
                zz += z[i] * z[i];
            }
#pragma omp single
            zeta = shift + 1 / xz;
            double norm = 1 / sqrt(zz);
#pragma omp for
            for (int i = 0; i < n; i++)
                x[i] = norm * z[i];
        }
    }
    return zeta;
}

int main(int count, char **arguments) {
    char class = count > 1 ? arguments[1][0] : 'S';
    if (count > 2)
        omp_set_num_threads(atoi(arguments[2]));
    switch (class) {
    case 'S': n = 1400, nonzeros = 7, shift = 10, expected = 8.5971775078648; break;
    case 'W': n = 7000, nonzeros = 8, shift = 12, expected = 10.362595087124; break;
    case 'A': n = 14000, nonzeros = 11, shift = 20, expected = 17.130235054029; break;
    default: fprintf(stderr, "cg: the class is S, W or A\n"); return 2;
    }
    make_matrix();
    double **vectors[] = {&x, &z, &r, &q, &p};
    for (int i = 0; i < 5; i++)
        *vectors[i] = malloc((size_t)n * sizeof(double));
    solve();
    double began = omp_get_wtime(), zeta = solve(), took = omp_get_wtime() - began;
    printf("zeta        %.13f, published %.13f\n", zeta, expected);
    printf("time        %.4f s\n", took);
    return !(fabs((zeta - expected) / expected) <= 1e-10);
}
