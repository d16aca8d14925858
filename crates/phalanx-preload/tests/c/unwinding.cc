// C++: exceptions thrown between waits, destructors of threads that are cancelled, and a barrier in an object. No unwinding is disturbed.
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <pthread.h>
#include <stdexcept>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {
[[noreturn]] void complain(const char *what) {
    dprintf(2, "unwinding: FAILED: %s\n", what);
    _exit(1);
}

class Barrier {
    pthread_barrier_t inner;

  public:
    explicit Barrier(unsigned count) {
        if (pthread_barrier_init(&inner, nullptr, count) != 0) throw std::invalid_argument("count");
    }
    ~Barrier() { pthread_barrier_destroy(&inner); }
    bool wait() {
        int answer = pthread_barrier_wait(&inner);
        if (answer != 0 && answer != PTHREAD_BARRIER_SERIAL_THREAD) complain("a wait answered something else");
        return answer != 0;
    }
};

// Waits on its way out, as a guard of a phase would.
struct Phase {
    Barrier &barrier;
    explicit Phase(Barrier &barrier) : barrier(barrier) {}
    ~Phase() { barrier.wait(); }
};

std::atomic<int> caught, destroyed;

void throw_through(Barrier &barrier, int rounds) {
    for (int round = 0; round < rounds; round++) {
        try {
            Phase phase(barrier);
            barrier.wait();
            throw std::runtime_error("round " + std::to_string(round));
        } catch (const std::runtime_error &error) {
            if (error.what() != "round " + std::to_string(round)) complain("another exception came");
            caught++;
        }
    }
}

struct Counted {
    ~Counted() { destroyed++; }
};

void *cancelled_after_a_wait(void *argument) {
    Counted counted;
    static_cast<Barrier *>(argument)->wait();
    for (;;) pause();
}
} // namespace

int main() {
    signal(SIGALRM, [](int) { complain("STUCK"); });
    const char *limit = getenv("PHALANX_TEST_LIMIT");
    alarm(limit ? unsigned(atoi(limit)) : 60);
    try {
        Barrier none(0);
        complain("a barrier for nobody was made");
    } catch (const std::invalid_argument &) {
    }
    dprintf(1, "ok unwinding: a constructor that throws\n");
    const int rounds = 500;
    {
        Barrier barrier(3);
        std::vector<std::thread> threads;
        for (int rank = 0; rank < 3; rank++) threads.emplace_back([&] { throw_through(barrier, rounds); });
        for (auto &thread : threads) thread.join();
    }
    if (caught != 3 * rounds) complain("an exception was lost");
    dprintf(1, "ok unwinding: exceptions across waits\n");
    for (int turn = 0; turn < 50; turn++) {
        Barrier barrier(2);
        pthread_t thread;
        if (pthread_create(&thread, nullptr, cancelled_after_a_wait, &barrier) != 0) complain("pthread_create");
        pthread_cancel(thread);
        barrier.wait();
        pthread_join(thread, nullptr);
    }
    // A thread that is cancelled before it comes to its wait waits as well; nowhere before it is a cancellation point.
    if (destroyed != 50) complain("a destructor of a cancelled thread did not run");
    dprintf(1, "ok unwinding: destructors of cancelled threads\n");
    return 0;
}
