// What a barrier must leave alone in a process that is not its own: small stacks, masked signals, the number of threads, open files,
// handlers, errno; and that it can be made where no file may be opened any more.
#include "check.h"
#include <dirent.h>
#include <limits.h>
#include <sys/resource.h>

static pthread_barrier_t barrier;

static unsigned entries(const char *directory) {
    DIR *list = opendir(directory);
    unsigned number = 0;
    CHECK(list, "%s: %s", directory, strerror(errno));
    while (readdir(list)) number++;
    closedir(list);
    return number;
}

static void *cross_asleep(void *argument) {
    take_seat();
    for (int trip = 0; trip < 20; trip++) {
        // Long enough for the other to fall asleep.
        if (argument) nap(2000000);
        errno = 12345;
        TRIP(&barrier);
        CHECK(errno == 12345, "a wait made errno %d", errno);
    }
    return argument;
}

static void two_threads(size_t stack) {
    pthread_t other;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstacksize(&attributes, stack) == 0, "a stack of %zu bytes", stack);
    CHECK(pthread_create(&other, &attributes, cross_asleep, NULL) == 0, "pthread_create with a stack of %zu bytes", stack);
    cross_asleep(&barrier);
    pthread_join(other, NULL);
}

// The first barrier of the process is made here, on the smallest stack that there is: what the library learns then has to fit.
static void *first_init(void *argument) {
    take_seat();
    INIT(&barrier, NULL, 2);
    return argument;
}

static void small_stacks(void) {
    pthread_t thread;
    pthread_attr_t attributes;
    size_t smallest = (size_t)sysconf(_SC_THREAD_STACK_MIN);
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstacksize(&attributes, smallest) == 0, "a stack of %zu bytes", smallest);
    CHECK(pthread_create(&thread, &attributes, first_init, NULL) == 0, "pthread_create with a stack of %zu bytes", smallest);
    pthread_join(thread, NULL);
    two_threads(smallest);
    DESTROY(&barrier);
    ok("the smallest stacks");
}

// A signal that all of the program's threads keep for `sigwait` must not come to a thread that the program has not made.
static void masked_signals(void) {
    sigset_t kept, before;
    INIT(&barrier, NULL, 2);
    two_threads(1 << 20);
    sigemptyset(&kept);
    sigaddset(&kept, SIGUSR1);
    CHECK(pthread_sigmask(SIG_BLOCK, &kept, &before) == 0, "pthread_sigmask");
    for (int turn = 0; turn < 200; turn++) {
        int got = 0;
        CHECK(kill(getpid(), SIGUSR1) == 0, "kill: %s", strerror(errno));
        CHECK(sigwait(&kept, &got) == 0 && got == SIGUSR1, "sigwait got %d", got);
    }
    DESTROY(&barrier);
    ok("signals kept for sigwait");
}

static void nothing_left_behind(unsigned files, unsigned threads) {
    for (int turn = 0; turn < 100; turn++) {
        INIT(&barrier, NULL, 2);
        DESTROY(&barrier);
    }
    CHECK(entries("/proc/self/fd") == files, "%u files are open where %u were", entries("/proc/self/fd"), files);
    ok("no file left open");
    // Who asks for a watchdog has asked for a thread.
    if (!getenv("PHALANX_WATCHDOG")) {
        // A thread that has been joined may still be on its way out of the kernel.
        for (int turn = 0; turn < 1000 && entries("/proc/self/task") != threads; turn++) nap(1000000);
        CHECK(entries("/proc/self/task") == threads, "%u threads where %u were", entries("/proc/self/task") - 2, threads - 2);
    }
    ok("no thread left behind");
    for (int number = 1; number < 32; number++) {
        struct sigaction action;
        if (number == SIGALRM || number == SIGSEGV || number == SIGBUS || sigaction(number, NULL, &action) != 0) continue;
        CHECK(action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN, "signal %d has a handler", number);
    }
    ok("no handler left behind");
}

static void no_files(void) {
    pid_t child;
    // A process whose first barrier is made when nothing can be opened.
    if (start_child(&child)) {
        struct rlimit none = {0, 0};
        CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0, "setrlimit: %s", strerror(errno));
        INIT(&barrier, NULL, 2);
        two_threads(1 << 20);
        DESTROY(&barrier);
        exit(0);
    }
    end_child(child, 0);
    ok("where no file can be opened");
}

int main(void) {
    watch("manners");
    // An emulator has threads of its own.
    unsigned files = entries("/proc/self/fd"), threads = entries("/proc/self/task");
    // Before this process has made one.
    no_files();
    small_stacks();
    masked_signals();
    nothing_left_behind(files, threads);
    return 0;
}
