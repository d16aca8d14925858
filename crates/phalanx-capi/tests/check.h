/* What all test programs share: checks that say where they failed, threads, and a watchdog. */
#ifndef CHECK_H
#define CHECK_H

#include <phalanx.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHECK(what)                                                                        \
    do {                                                                                   \
        if (!(what)) {                                                                     \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);             \
            exit(1);                                                                       \
        }                                                                                  \
        __atomic_fetch_add(&checks, 1, __ATOMIC_RELAXED);                                  \
    } while (0)

/* The call has to answer this; if that is a failure, there are words for it. */
#define ANSWERS(wanted, call)                                                              \
    do {                                                                                   \
        phalanx_status answered = (call);                                                  \
        if (answered != (wanted)) {                                                        \
            char words[512];                                                               \
            phalanx_last_error(words, sizeof words);                                       \
            fprintf(stderr, "%s:%d: %s: %s, not %s\nlast error: %s\n", __FILE__, __LINE__, #call, \
                    phalanx_strerror(answered), phalanx_strerror(wanted), words);          \
            exit(1);                                                                       \
        }                                                                                  \
        if (answered != PHALANX_OK && answered != PHALANX_PENDING) CHECK(phalanx_last_error(NULL, 0) > 0); \
        __atomic_fetch_add(&checks, 1, __ATOMIC_RELAXED);                                  \
    } while (0)

#define OK(call) ANSWERS(PHALANX_OK, call)

static long checks;

static int contains(const char *text, const char *part) {
    if (strstr(text, part)) return 1;
    fprintf(stderr, "`%s` has no `%s`\n", text, part);
    return 0;
}

/* The words for this thread's last failure. */
#define SAYS(part)                                                                         \
    do {                                                                                   \
        char words[512];                                                                   \
        phalanx_last_error(words, sizeof words);                                           \
        CHECK(contains(words, part));                                                      \
    } while (0)

static pthread_t start(void *(*body)(void *), void *argument) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, body, argument) == 0);
    return thread;
}

static void join(pthread_t thread) { CHECK(pthread_join(thread, NULL) == 0); }

static void nap(long milliseconds) {
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* Fewer repetitions where each is slow: under valgrind and sanitizers. */
static int scaled(int count) {
    const char *by = getenv("PHALANX_TEST_SHRINK");
    int shrink = by ? atoi(by) : 1;
    return shrink > 1 && count / shrink > 0 ? count / shrink : shrink > 1 ? 1 : count;
}

static void setup(void) {
    /* A test that hangs is killed, which fails it. */
    alarm(240);
}

static int passed(const char *name) {
    CHECK(phalanx_live_handles() == 0);
    printf("%s: %ld checks\n", name, checks);
    /* Not all programs use all of these. */
    (void)start, (void)join, (void)nap, (void)scaled, (void)contains;
    return 0;
}

#endif
