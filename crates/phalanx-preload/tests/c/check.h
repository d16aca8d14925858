// Shared by the programs beside it: complaints, a watchdog that says who is stuck, a gate that is no pthread barrier, teams of threads.
//
// A program prints `ok WHAT` for each thing it has seen to hold, and ends with 0; at the first that does not hold it says so and ends
// with 1. What it prints must not depend on whose barrier it uses.
//
// PHALANX_TEST_SHRINK=n divides the rounds by n, for emulators. PHALANX_TEST_LIMIT=s is the watchdog's patience, 60 s unless set.
#ifndef CHECK_H
#define CHECK_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SEATS = 256 };

// What the thread of each seat is about, for the watchdog.
static _Atomic(const char *) seat_doing[SEATS];
static atomic_uint seats_taken;
static __thread unsigned my_seat;
static const char *program_name = "?";

__attribute__((noreturn, format(printf, 3, 4))) static inline void complain(int line, const char *what, const char *form, ...) {
    char text[512];
    va_list rest;
    va_start(rest, form);
    vsnprintf(text, sizeof text, form, rest);
    va_end(rest);
    dprintf(2, "%s: FAILED at line %d: %s: not so: %s\n", program_name, line, text, what);
    _exit(1);
}
#define CHECK(so, ...) \
    do { \
        if (!(so)) complain(__LINE__, #so, __VA_ARGS__); \
    } while (0)

__attribute__((format(printf, 1, 2))) static inline void ok(const char *form, ...) {
    char text[256];
    va_list rest;
    va_start(rest, form);
    vsnprintf(text, sizeof text, form, rest);
    va_end(rest);
    // Not stdio, whose buffer a fork would print twice.
    dprintf(1, "ok %s: %s\n", program_name, text);
}

static inline void doing(const char *what) { atomic_store_explicit(&seat_doing[my_seat], what, memory_order_relaxed); }

static inline void take_seat(void) {
    my_seat = (atomic_fetch_add(&seats_taken, 1) + 1) % SEATS;
    doing("starts");
}

static inline void say(const char *text) {
    if (write(2, text, strlen(text)) < 0) _exit(3);
}

static inline void on_alarm(int signal) {
    (void)signal;
    say(program_name);
    say(": FAILED: STUCK; its threads, as far as they have said what they do:\n");
    for (int seat = 0; seat < SEATS; seat++) {
        const char *what = atomic_load(&seat_doing[seat]);
        if (!what || !strcmp(what, "ended")) continue;
        char number[] = {' ', ' ', (char)('0' + seat / 100), (char)('0' + seat / 10 % 10), (char)('0' + seat % 10), ' ', 0};
        say(number);
        say(what);
        say("\n");
    }
    _exit(1);
}

static inline void on_fault(int signal) {
    (void)signal;
    say(program_name);
    say(": FAILED: a thread touched memory that is gone\n");
    _exit(1);
}

static inline long setting(const char *name, long unless_set) {
    const char *text = getenv(name);
    return text && atol(text) > 0 ? atol(text) : unless_set;
}

// Alarms are not inherited: a child calls this again.
static inline void watch(const char *name) {
    program_name = name;
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    action.sa_handler = on_fault;
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    alarm((unsigned)setting("PHALANX_TEST_LIMIT", 60));
    doing("main");
}

static inline unsigned rounds(unsigned full) {
    long shrink = setting("PHALANX_TEST_SHRINK", 1);
    unsigned some = (unsigned)(full / shrink);
    return some < 8 ? 8 : some;
}

// A barrier that shares nothing with those that are looked at.
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    unsigned count, arrived;
    unsigned long turn;
};
#define GATE(n) {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, (n), 0, 0}

static inline void pass(struct gate *gate) {
    doing("at the gate between rounds");
    pthread_mutex_lock(&gate->lock);
    unsigned long turn = gate->turn;
    if (++gate->arrived == gate->count) {
        gate->arrived = 0;
        gate->turn++;
        pthread_cond_broadcast(&gate->opened);
    }
    while (gate->turn == turn) pthread_cond_wait(&gate->opened, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

// Waits at the barrier; true for the serial thread. Anything else than the two answers of the standard is a failure.
static inline bool trip_at(int line, pthread_barrier_t *barrier) {
    doing("in pthread_barrier_wait");
    int answer = pthread_barrier_wait(barrier);
    doing("after pthread_barrier_wait");
    if (answer != 0 && answer != PTHREAD_BARRIER_SERIAL_THREAD)
        complain(line, "0 or PTHREAD_BARRIER_SERIAL_THREAD", "pthread_barrier_wait returned %d (%s)", answer, strerror(answer));
    return answer == PTHREAD_BARRIER_SERIAL_THREAD;
}
#define TRIP(barrier) trip_at(__LINE__, barrier)

#define INIT(barrier, attributes, n) \
    do { \
        int answer_ = pthread_barrier_init(barrier, attributes, n); \
        CHECK(answer_ == 0, "pthread_barrier_init for %u returned %d", (unsigned)(n), answer_); \
    } while (0)
#define DESTROY(barrier) \
    do { \
        doing("in pthread_barrier_destroy"); \
        int answer_ = pthread_barrier_destroy(barrier); \
        doing("after pthread_barrier_destroy"); \
        CHECK(answer_ == 0, "pthread_barrier_destroy returned %d", answer_); \
    } while (0)

// Threads 0 to size - 1 run `body`; returns when all have ended.
struct member {
    unsigned rank;
    void (*body)(unsigned rank, void *with);
    void *with;
    pthread_t thread;
};
static inline void *member_main(void *argument) {
    struct member *member = argument;
    take_seat();
    member->body(member->rank, member->with);
    doing("ended");
    return NULL;
}
static inline struct member *start_team(unsigned size, void (*body)(unsigned, void *), void *with) {
    struct member *members = calloc(size, sizeof *members);
    CHECK(members, "no memory for %u members", size);
    for (unsigned rank = 0; rank < size; rank++) {
        members[rank] = (struct member){.rank = rank, .body = body, .with = with};
        int answer = pthread_create(&members[rank].thread, NULL, member_main, &members[rank]);
        CHECK(answer == 0, "pthread_create returned %d", answer);
    }
    return members;
}
static inline void join_team(struct member *members, unsigned size) {
    doing("joins a team");
    for (unsigned rank = 0; rank < size; rank++) pthread_join(members[rank].thread, NULL);
    doing("main");
    free(members);
}
static inline void run_team(unsigned size, void (*body)(unsigned, void *), void *with) { join_team(start_team(size, body, with), size); }

// Until a point in time: in a storm of signals the rest of a relative sleep grows by the timer's slack each time, and never ends.
static inline void nap(long nanoseconds) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    nanoseconds += until.tv_nsec;
    until.tv_sec += nanoseconds / 1000000000;
    until.tv_nsec = nanoseconds % 1000000000;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) continue;
}

// Comes late now and then, in several ways.
static inline void dawdle(unsigned *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    unsigned draw = *seed >> 16 & 63;
    if (draw < 8) {
        for (volatile unsigned turn = 0; turn < draw * 300; turn++) continue;
    } else if (draw < 12) {
        sched_yield();
    } else if (draw == 12) {
        nap(60000);
    }
}

// Waits until `*word` is no longer `old`, by means that no barrier has.
static inline void until_moved(atomic_uint *word, unsigned old, const char *what) {
    doing(what);
    while (atomic_load(word) == old) sched_yield();
}

// A child that outlives nobody; true in the child.
static inline bool start_child(pid_t *child) {
    pid_t parent = getpid();
    *child = fork();
    CHECK(*child >= 0, "fork: %s", strerror(errno));
    if (*child != 0) return false;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    watch(program_name);
    return true;
}
static inline void end_child(pid_t child, int expected) {
    int status;
    doing("waits for a child");
    pid_t answer;
    while ((answer = waitpid(child, &status, 0)) < 0 && errno == EINTR) continue;
    CHECK(answer == child, "waitpid: %s", strerror(errno));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == expected, "a child ended with status %#x instead of exit code %d", (unsigned)status, expected);
    doing("main");
}
#endif
