// The C++ wrapper: std::barrier's interface under the habits that std allows, and what is beyond it.

#include <phalanx.hpp>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

using namespace std::chrono_literals;

static std::atomic<long> checks{0};

#define CHECK(what)                                                                  \
    do {                                                                             \
        if (!(what)) {                                                               \
            std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);  \
            std::exit(1);                                                            \
        }                                                                            \
        checks.fetch_add(1, std::memory_order_relaxed);                              \
    } while (0)

// The call has to throw this, with this code.
template <class Error, class Call>
static std::string thrown(phalanx_status status, Call call) {
    try {
        call();
    } catch (const Error &error) {
        CHECK(error.status() == status);
        return error.what();
    }
    CHECK(!"nothing was thrown");
    return "";
}

static int scaled(int count) {
    const char *by = std::getenv("PHALANX_TEST_SHRINK");
    const int shrink = by ? std::atoi(by) : 1;
    return shrink > 1 ? (count / shrink > 0 ? count / shrink : 1) : count;
}

static void crew(int size, const std::function<void(int)> &body) {
    std::vector<std::thread> threads;
    for (int rank = 0; rank < size; ++rank) threads.emplace_back(body, rank);
    for (auto &thread : threads) thread.join();
}

// A barrier without a completion function, arrivals of all kinds mixed.
static void mixed_arrivals() {
    constexpr int size = 3;
    phalanx::barrier<> barrier(size);
    std::vector<int> steps(size, 0);
    crew(size, [&](int rank) {
        for (int step = 1; step <= scaled(300); ++step) {
            steps[rank] = step;
            switch ((step + rank) % 4) {
            case 0: barrier.arrive_and_wait(); break;
            case 1: barrier.wait(barrier.arrive()); break;
            case 2: barrier.arrive_and_wait_for(200s); break;
            default: {
                auto token = barrier.arrive();
                auto moved = std::move(token);
                while (!barrier.wait_for(moved, step % 2 ? 0ms : 100ms)) std::this_thread::yield();
            }
            }
            for (int other : steps) CHECK(other == step);
            barrier.arrive_and_wait_until(std::chrono::steady_clock::now() + 200s);
        }
    });
    CHECK(barrier.stats().trips == 2 * static_cast<std::uint64_t>(scaled(300)));
    CHECK(!barrier.is_broken());
}

// One thread arrives and goes on without a look, the other waits: a signal, phase after phase.
static void tokens_thrown_away() {
    phalanx::barrier<> barrier(2);
    std::atomic<int> told{0};
    crew(2, [&](int rank) {
        for (int step = 1; step <= scaled(200); ++step) {
            if (rank == 0) {
                while (told.load() != step - 1) std::this_thread::yield();
                (void)barrier.arrive(); // the arrival stands
            } else {
                barrier.arrive_and_wait();
                told.store(step);
            }
        }
    });
    // Others than those who were there before.
    (void)barrier.arrive();
    crew(1, [&](int) { barrier.arrive_and_wait(); });
    // One thread for two.
    auto both = barrier.arrive(2);
    CHECK(barrier.wait_for(both, 200s));
    thrown<phalanx::error>(PHALANX_INVALID, [&] { (void)barrier.arrive(0); });
    thrown<phalanx::error>(PHALANX_OUT_OF_ORDER, [&] { barrier.wait(std::move(both)); });
}

static void dropping_out() {
    int completed = 0;
    auto count = [&]() noexcept { ++completed; };
    phalanx::barrier<decltype(count)> barrier(4, count);
    crew(4, [&](int rank) {
        // One fewer in each phase.
        for (int phase = 0; phase < rank; ++phase) barrier.arrive_and_wait();
        barrier.arrive_and_drop();
    });
    CHECK(completed == 4);
    thrown<phalanx::error>(PHALANX_ENDED, [&] { barrier.arrive_and_wait(); });
}

// More threads than are expected: the next phase's.
static void too_many() {
    phalanx::barrier<> barrier(2);
    crew(6, [&](int) { barrier.arrive_and_wait(); });
    CHECK(barrier.stats().trips == 3);
}

static void breaks() {
    phalanx::barrier<> barrier(2);
    const std::string text = thrown<phalanx::broken>(PHALANX_BROKEN, [&] { barrier.arrive_and_wait_for(5ms); });
    CHECK(text.find("timed out after 5 ms") != std::string::npos);
    CHECK(barrier.is_broken());
    barrier.reset();
    std::thread waiter([&] {
        // Who had not come to the broken phase is told of it first.
        const std::string late = thrown<phalanx::broken>(PHALANX_BROKEN, [&] { barrier.arrive_and_wait(); });
        CHECK(late.find("timed out after 5 ms") != std::string::npos);
        const std::string now = thrown<phalanx::broken>(PHALANX_BROKEN, [&] { barrier.arrive_and_wait(); });
        CHECK(now.find("enough") != std::string::npos);
    });
    while (barrier.stats().arrived == 0) std::this_thread::yield();
    barrier.abort("enough");
    waiter.join();
    barrier.reset();
    thrown<phalanx::broken>(PHALANX_BROKEN, [&] { barrier.arrive_and_wait_until(std::chrono::steady_clock::now() - 1h); });

    thrown<phalanx::error>(PHALANX_INVALID, [] { phalanx::barrier<> none(0); });
    thrown<phalanx::error>(PHALANX_INVALID, [] { phalanx::barrier<> less(-3); });
    CHECK(phalanx::barrier<>::max() == 65536);
}

// The completion function cannot wait for itself.
struct Within {
    void (*call)();
    void operator()() noexcept { call(); }
};
static phalanx::barrier<Within> *within;

static void reentered() {
    phalanx::barrier<Within> barrier(1, Within{[] {
        thrown<phalanx::error>(PHALANX_REENTERED, [] { within->arrive_and_wait(); });
    }});
    within = &barrier;
    barrier.arrive_and_wait();
    barrier.arrive_and_wait();
}

// Destroyed as soon as the phase is over, again and again.
static void short_lives() {
    for (int round = 0; round < scaled(200); ++round) {
        auto barrier = std::make_unique<phalanx::barrier<>>(2);
        std::thread other([&] { barrier->arrive_and_wait(); });
        barrier->arrive_and_wait();
        other.join();
    }
    // With a token that nobody waited for, and one that outlives its use.
    phalanx::barrier<> barrier(2);
    auto token = barrier.arrive();
    (void)barrier.arrive();
    barrier.wait(std::move(token));
}

// A smaller one where a larger one was: what a thread remembers of that is no place of this.
static void one_address_two_barriers() {
    std::optional<phalanx::barrier<>> barrier;
    barrier.emplace(8);
    auto all = barrier->arrive(8); // the last place is this thread's usual one now
    barrier->wait(std::move(all));
    const void *const before = &*barrier;
    barrier.emplace(2);
    CHECK(&*barrier == before);
    auto both = barrier->arrive(2);
    barrier->wait(std::move(both));
    CHECK(barrier->stats().trips == 1);
}

static void ranks() {
    phalanx::ranked_barrier barrier(2);
    phalanx::party first = barrier.claim(0);
    thrown<phalanx::error>(PHALANX_TAKEN, [&] { barrier.claim(0); });
    thrown<phalanx::error>(PHALANX_NO_SUCH_RANK, [&] { barrier.claim(5); });
    phalanx::party second = barrier.claim(1);
    CHECK(first.rank() == 0 && second.rank() == 1);
    first.arrive();
    CHECK(second.wait().generation == 0);
    CHECK(first.arrival_wait().generation == 0);
    std::thread other([&] {
        CHECK(second.all_reduce(PHALANX_SUM, 0.25) == 0.75);
        CHECK(second.all_reduce(PHALANX_MAX, 7) == 7);
    });
    CHECK(first.all_reduce(PHALANX_SUM, 0.5) == 0.75);
    CHECK(first.all_reduce(PHALANX_MAX, -7) == 7);
    other.join();
    first = std::move(second); // the first comes no more
    CHECK(barrier.is_broken());
    CHECK((barrier.missing() == std::vector<std::size_t>{0, 1}));
    phalanx::party again = barrier.claim(0);
    CHECK(barrier.reset() > 2);
    again.arrive_and_drop();
    thrown<phalanx::broken>(PHALANX_BROKEN, [&] { first.wait(); }); // had not come to the broken trip
    first.wait();
    first.wait_for(1s);
    first.wait_until(std::chrono::steady_clock::now());
    phalanx::party newcomer = barrier.join();
    CHECK(newcomer.rank() == 0);
    barrier.abort("over");
    const std::string text = thrown<phalanx::broken>(PHALANX_BROKEN, [&] { first.wait(); });
    CHECK(text.find("over") != std::string::npos);
}

static void shared() {
    phalanx::shared_barrier barrier(2);
    std::atomic<int> leaders{0};
    crew(4, [&](int) { leaders += barrier.wait().leader; });
    CHECK(leaders == 2);
    thrown<phalanx::broken>(PHALANX_BROKEN, [&] { barrier.wait_for(1ms); });
    barrier.reset();
    barrier.abort("why");
    thrown<phalanx::broken>(PHALANX_BROKEN, [&] { barrier.wait(); });
}

static void teams() {
    phalanx::team team(3);
    CHECK(team.size() == 3);
    const std::vector<std::string> names = team.run([](phalanx::member &member) {
        CHECK(member.size() == 3);
        member.wait();
        member.wait_for(100s);
        return "rank " + std::to_string(member.rank());
    });
    CHECK((names == std::vector<std::string>{"rank 0", "rank 1", "rank 2"}));
    const std::vector<bool> evens = team.run([](phalanx::member &member) { return member.rank() % 2 == 0; });
    CHECK((evens == std::vector<bool>{true, false, true}));
    std::atomic<int> runs{0};
    team.run([&](phalanx::member &member) { runs += static_cast<int>(member.all_reduce(PHALANX_SUM, std::int64_t{1})); });
    CHECK(runs == 9);
    // The exception of the one that failed first, not of those who were told of it.
    for (std::size_t thrower = 0; thrower < 3; ++thrower) {
        try {
            team.run([&](phalanx::member &member) {
                if (member.rank() == thrower) throw thrower;
                for (;;) member.wait();
            });
            CHECK(!"nothing was thrown");
        } catch (std::size_t who) {
            CHECK(who == thrower);
        }
    }
    thrown<phalanx::broken>(PHALANX_BROKEN, [&] {
        team.run([](phalanx::member &member) {
            if (member.rank() == 2) member.wait_for(1ms);
        });
    });
    thrown<phalanx::error>(PHALANX_REENTERED, [&] {
        team.run([&](phalanx::member &member) {
            if (member.rank() == 0) team.run([](phalanx::member &) {});
        });
    });
    CHECK(team.stats().parties == 3);
}

int main() {
    alarm(240); // a test that hangs is killed, which fails it
    mixed_arrivals();
    tokens_thrown_away();
    dropping_out();
    too_many();
    breaks();
    reentered();
    short_lives();
    one_address_two_barriers();
    ranks();
    shared();
    teams();
    CHECK(phalanx_live_handles() == 0);
    std::printf("wrapper: %ld checks\n", checks.load());
}
