// Four threads in phases: phalanx::barrier where std::barrier would stand, then what it lacks, then a team.
//
// Checks its own answers and exits with 1 if one is wrong.
//
//     c++ -std=c++17 -O2 phases.cpp $(pkg-config --cflags --libs phalanx) -pthread -o phases && ./phases

#include <phalanx.hpp>

#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

#define EXPECT(what)                                                         \
    do {                                                                     \
        if (!(what)) {                                                       \
            std::fprintf(stderr, "phases: WRONG: line %d: %s\n", __LINE__, #what); \
            std::exit(1);                                                    \
        }                                                                    \
    } while (0)

static constexpr int threads = 4, phases = 1000;

// Each thread doubles its number in each phase; between phases the completion function adds them all up.
static void like_std_barrier() {
    std::vector<long> numbers(threads, 0);
    long sum = 0, completed = 0;
    auto add_up = [&]() noexcept {
        sum = std::accumulate(numbers.begin(), numbers.end(), 0L);
        ++completed;
    };
    phalanx::barrier barrier(threads, add_up);
    std::vector<std::thread> crew;
    for (int rank = 0; rank < threads; ++rank) {
        crew.emplace_back([&, rank] {
            for (long phase = 1; phase <= phases; ++phase) {
                numbers[rank] = phase * (rank + 1);
                if (phase % 2) {
                    barrier.arrive_and_wait();
                } else { // with work in between that is nobody else's business
                    auto token = barrier.arrive();
                    barrier.wait(std::move(token));
                }
                EXPECT(sum == phase * (1 + 2 + 3 + 4));
                barrier.arrive_and_wait();
            }
            barrier.arrive_and_drop();
        });
    }
    for (auto &thread : crew) thread.join();
    EXPECT(completed == 2 * phases + 1); // the last one by those who dropped out
    std::printf("phases: %ld completed, sum %ld\n", completed, sum);
}

// A phase that somebody does not come to ends with an exception for all, which says who.
static void what_std_barrier_lacks() {
    phalanx::ranked_barrier barrier(3);
    phalanx::party first = barrier.claim(0), second = barrier.claim(1), third = barrier.claim(2);
    try {
        first.wait_for(10ms);
        EXPECT(!"the others are not there");
    } catch (const phalanx::broken &broken) {
        EXPECT(broken.cause() == PHALANX_CAUSE_TIMED_OUT && broken.rank() == 0);
        EXPECT((barrier.missing() == std::vector<std::size_t>{1, 2}));
        std::printf("phases: %s\n", broken.what());
    }
    barrier.reset();
}

// Threads that stay: each sums up its share, and all get the whole.
static void a_team() {
    std::vector<double> values(1000);
    std::iota(values.begin(), values.end(), 1.0);
    phalanx::team team(3);
    const std::vector<double> sums = team.run([&](phalanx::member &member) {
        const auto [begin, end] = member.chunk(values.size());
        return member.all_reduce(PHALANX_SUM, std::accumulate(&values[0] + begin, &values[0] + end, 0.0));
    });
    EXPECT((sums == std::vector<double>{500500, 500500, 500500}));
    try {
        team.run([](phalanx::member &member) {
            if (member.rank() == 1) throw std::runtime_error("the input ends here");
            member.wait(); // released, and told why
        });
        EXPECT(!"rank 1 has thrown");
    } catch (const std::runtime_error &error) {
        EXPECT(std::string(error.what()) == "the input ends here");
    }
    std::printf("phases: a team of %zu, sum %.0f\n", team.size(), sums[0]);
}

int main() {
    like_std_barrier();
    what_std_barrier_lacks();
    a_team();
}
