// phalanx for C++17 and later: handles that free themselves, errors as exceptions, and std::barrier's interface.
//
//   phalanx::barrier<>        what std::barrier<> is, faster: changing the name is a valid migration
//   phalanx::ranked_barrier   parties with handles: names who is missing, carries values along
//   phalanx::shared_barrier   any thread, any number of them, in batches
//   phalanx::team             threads that stay, and run one callable together
//
// Header only, over phalanx.h; link with -lphalanx. Everything throws phalanx::error (phalanx::broken for a trip that was broken)
// instead of returning codes.

#ifndef PHALANX_HPP
#define PHALANX_HPP

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "phalanx.h"

namespace phalanx {

// What was wrong, in words, and the code.
class error : public std::runtime_error {
public:
    error(phalanx_status status, const std::string &text) : std::runtime_error(text), status_(status) {}
    phalanx_status status() const noexcept { return status_; }

private:
    phalanx_status status_;
};

// A trip was broken, for all of its parties alike.
class broken : public error {
public:
    broken(phalanx_status status, const std::string &text, const phalanx_broken &record) : error(status, text), record_(record) {}
    phalanx_cause cause() const noexcept { return static_cast<phalanx_cause>(record_.cause); }
    // Who caused it, or -1.
    std::int64_t rank() const noexcept { return record_.rank; }
    std::uint64_t generation() const noexcept { return record_.generation; }
    std::size_t parties() const noexcept { return record_.parties; }
    std::size_t arrived() const noexcept { return record_.arrived; }

private:
    phalanx_broken record_;
};

namespace detail {

inline std::string last_error() {
    std::string text(phalanx_last_error(nullptr, 0), '\0');
    phalanx_last_error(&text[0], text.size() + 1);
    return text;
}

[[noreturn]] inline void raise(phalanx_status status) {
    const std::string text = last_error();
    phalanx_broken record{};
    const bool told = status == PHALANX_BROKEN || status == PHALANX_FAILED || status == PHALANX_REENTERED;
    if (told && phalanx_last_broken(&record) == PHALANX_OK) throw broken(status, text, record);
    throw error(status, text);
}

inline void check(phalanx_status status) {
    if (status != PHALANX_OK) raise(status);
}

// Spans of time that are over are 0, and those beyond 584 years none.
template <class Rep, class Period>
std::uint64_t nanoseconds(const std::chrono::duration<Rep, Period> &span) {
    using wide = std::chrono::duration<long double, std::nano>;
    const long double count = wide(span).count();
    if (!(count > 0)) return 0;
    return count >= 18446744073709551615.0L ? UINT64_MAX : static_cast<std::uint64_t>(count);
}

// A time of the steady clock as one of the library's.
template <class Duration>
std::uint64_t deadline(const std::chrono::time_point<std::chrono::steady_clock, Duration> &time) {
    const std::uint64_t now = phalanx_now_ns(), span = nanoseconds(time - std::chrono::steady_clock::now());
    return span > UINT64_MAX - now ? UINT64_MAX : now + span;
}

// Frees what C made.
template <class T, phalanx_status (*Free)(T *)>
class handle {
public:
    handle() noexcept = default;
    explicit handle(T *raw) noexcept : raw_(raw) {}
    handle(handle &&other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
    handle &operator=(handle &&other) noexcept {
        if (this != &other) {
            reset();
            raw_ = std::exchange(other.raw_, nullptr);
        }
        return *this;
    }
    ~handle() { reset(); }
    T *get() const noexcept { return raw_; }
    T *release() noexcept { return std::exchange(raw_, nullptr); }

private:
    void reset() noexcept {
        if (raw_) Free(raw_);
        raw_ = nullptr;
    }
    T *raw_ = nullptr;
};

// Threads that still wait are told; then nothing is in the way.
inline phalanx_status end_shared(phalanx_shared_barrier *barrier) {
    phalanx_shared_abort(barrier, "the barrier was destroyed");
    return phalanx_shared_free(barrier);
}

// double and std::int64_t, and what becomes one of them without a loss.
template <class T>
using number = std::conditional_t<std::is_floating_point_v<T>, double, std::int64_t>;

template <class T>
constexpr bool can_reduce = std::is_same_v<T, double> || std::is_same_v<T, float> ||
                            (std::is_integral_v<T> && !std::is_same_v<T, bool> && (std::is_signed_v<T> || sizeof(T) < 8));

// The barrier whose completion function runs on this thread.
inline const void *&acting() {
    static thread_local const void *barrier = nullptr;
    return barrier;
}

struct nothing {
    void operator()() const noexcept {}
};

} // namespace detail

// One participant of a ranked_barrier, for one thread at a time. Its end says "I come no more" and breaks the trip that it has not arrived at.
class party {
public:
    explicit party(phalanx_party *raw) noexcept : handle_(raw) {}

    phalanx_trip wait() {
        phalanx_trip trip{};
        detail::check(phalanx_party_wait(native_handle(), &trip));
        return trip;
    }
    // Breaks the trip when the time is over.
    template <class Rep, class Period>
    phalanx_trip wait_for(const std::chrono::duration<Rep, Period> &limit) {
        phalanx_trip trip{};
        detail::check(phalanx_party_wait_timeout(native_handle(), detail::nanoseconds(limit), &trip));
        return trip;
    }
    template <class Duration>
    phalanx_trip wait_until(const std::chrono::time_point<std::chrono::steady_clock, Duration> &time) {
        phalanx_trip trip{};
        detail::check(phalanx_party_wait_deadline(native_handle(), detail::deadline(time), &trip));
        return trip;
    }
    // One value of each party becomes one for all, in the order of the ranks.
    template <class T>
    T all_reduce(phalanx_op op, T value) {
        static_assert(detail::can_reduce<T>, "double, and integers of up to 64 bits with a sign");
        detail::number<T> result{};
        if constexpr (std::is_floating_point_v<T>)
            detail::check(phalanx_party_all_reduce_double(native_handle(), op, value, &result));
        else
            detail::check(phalanx_party_all_reduce_int64(native_handle(), op, value, &result));
        return static_cast<T>(result);
    }
    // The first half of wait(), and the second.
    void arrive() { detail::check(phalanx_party_arrive(native_handle())); }
    phalanx_trip arrival_wait() {
        phalanx_trip trip{};
        detail::check(phalanx_party_arrival_wait(native_handle(), &trip));
        return trip;
    }
    // Arrives, and takes part in no further trip.
    void arrive_and_drop() {
        detail::check(phalanx_party_leave(native_handle()));
        handle_.release();
    }
    std::size_t rank() const {
        std::size_t rank = 0;
        detail::check(phalanx_party_rank(native_handle(), &rank));
        return rank;
    }
    phalanx_party *native_handle() const noexcept { return handle_.get(); }

private:
    detail::handle<phalanx_party, phalanx_party_free> handle_;
};

// A barrier for parties with handles.
class ranked_barrier {
public:
    explicit ranked_barrier(std::size_t parties, const phalanx_barrier_options &options = {}) {
        phalanx_barrier *raw = nullptr;
        detail::check(phalanx_barrier_create(parties, &options, &raw));
        handle_ = decltype(handle_)(raw);
    }

    party claim(std::size_t rank) {
        phalanx_party *raw = nullptr;
        detail::check(phalanx_barrier_claim(native_handle(), rank, &raw));
        return party(raw);
    }
    party join() {
        phalanx_party *raw = nullptr;
        detail::check(phalanx_barrier_join(native_handle(), &raw));
        return party(raw);
    }
    void abort(const std::string &reason) { detail::check(phalanx_barrier_abort(native_handle(), reason.c_str())); }
    std::uint64_t reset() {
        std::uint64_t next = 0;
        detail::check(phalanx_barrier_reset(native_handle(), &next));
        return next;
    }
    bool is_broken() const {
        int is_broken = 0;
        detail::check(phalanx_barrier_is_broken(native_handle(), &is_broken));
        return is_broken != 0;
    }
    std::vector<std::size_t> missing() const {
        std::size_t count = 0;
        detail::check(phalanx_barrier_parties(native_handle(), &count));
        std::vector<std::size_t> ranks(count);
        detail::check(phalanx_barrier_missing(native_handle(), ranks.data(), ranks.size(), &count));
        ranks.resize(count < ranks.size() ? count : ranks.size());
        return ranks;
    }
    phalanx_stats stats() const {
        phalanx_stats stats{};
        detail::check(phalanx_barrier_stats(native_handle(), &stats));
        return stats;
    }
    phalanx_barrier *native_handle() const noexcept { return handle_.get(); }

private:
    detail::handle<phalanx_barrier, phalanx_barrier_free> handle_;
};

// std::barrier's interface, and what that lacks: limits, abort, reset. Any thread may arrive, `expected` of them in each phase.
//
// Each call takes one of the barrier's parties that is free; a thread gets the same one again, as a rule, so that finding one costs
// nothing. What is different from std::barrier: a phase may break, and then throws; and a thread too many waits for the next phase
// instead of undefined behaviour.
template <class CompletionFunction = detail::nothing>
class barrier {
public:
    // That a thread has arrived at a phase. Thrown away, the arrival stands.
    class arrival_token {
    public:
        arrival_token(arrival_token &&other) noexcept
            : barrier_(std::exchange(other.barrier_, nullptr)), place_(other.place_) {}
        arrival_token &operator=(arrival_token &&other) noexcept {
            if (this != &other) {
                abandon();
                barrier_ = std::exchange(other.barrier_, nullptr);
                place_ = other.place_;
            }
            return *this;
        }
        ~arrival_token() { abandon(); }

    private:
        friend class barrier;
        arrival_token(const barrier *barrier, std::size_t place) noexcept : barrier_(barrier), place_(place) {}
        void abandon() noexcept {
            if (barrier_) barrier_->places_[place_].abandoned.store(true);
            barrier_ = nullptr;
        }
        const barrier *barrier_;
        std::size_t place_;
    };

    static constexpr std::ptrdiff_t(max)() noexcept { return 65536; }

    explicit barrier(std::ptrdiff_t expected, CompletionFunction completion = CompletionFunction())
        : completion_(std::move(completion)), count_(expected < 0 ? 0 : static_cast<std::size_t>(expected)) {
        phalanx_barrier_options options{};
        options.split_phase = 1;
        if constexpr (!std::is_same_v<CompletionFunction, detail::nothing>) {
            options.action = complete;
            options.user = this;
        }
        phalanx_barrier *raw = nullptr;
        detail::check(phalanx_barrier_create(count_, &options, &raw));
        control_ = decltype(control_)(raw);
        places_ = std::make_unique<place[]>(count_);
        for (std::size_t rank = 0; rank < count_; ++rank) {
            phalanx_party *party = nullptr;
            const phalanx_status status = phalanx_barrier_claim(raw, rank, &party);
            if (status != PHALANX_OK) {
                free_parties();
                detail::raise(status);
            }
            places_[rank].party.store(party);
        }
    }
    barrier(const barrier &) = delete;
    barrier &operator=(const barrier &) = delete;
    // Threads that still wait are told that the phase was broken.
    ~barrier() {
        phalanx_barrier_abort(native_handle(), "the barrier was destroyed");
        free_parties();
    }

    // Arrives `update` times, without waiting.
    [[nodiscard]] arrival_token arrive(std::ptrdiff_t update = 1) {
        if (update < 1) throw error(PHALANX_INVALID, "a thread arrives at least once");
        for (; update > 1; --update) arrive_once();
        return arrive_once();
    }
    void wait(arrival_token &&arrival) const {
        phalanx_party *party = taken(arrival);
        arrival.barrier_ = nullptr;
        detail::check(phalanx_party_arrival_wait(party, nullptr));
    }
    // Whether the phase is over; if it is not within this time, the token is good for another try.
    template <class Rep, class Period>
    bool wait_for(arrival_token &arrival, const std::chrono::duration<Rep, Period> &limit) const {
        const phalanx_status status = phalanx_party_arrival_wait_timeout(taken(arrival), detail::nanoseconds(limit), nullptr);
        if (status == PHALANX_PENDING) return false;
        arrival.barrier_ = nullptr;
        detail::check(status);
        return true;
    }
    void arrive_and_wait() {
        detail::check(with_party([](phalanx_party *party) { return phalanx_party_wait(party, nullptr); }).first);
    }
    // Breaks the phase when the time is over.
    template <class Rep, class Period>
    void arrive_and_wait_for(const std::chrono::duration<Rep, Period> &limit) {
        const std::uint64_t span = detail::nanoseconds(limit);
        detail::check(with_party([span](phalanx_party *party) { return phalanx_party_wait_timeout(party, span, nullptr); }).first);
    }
    template <class Duration>
    void arrive_and_wait_until(const std::chrono::time_point<std::chrono::steady_clock, Duration> &time) {
        const std::uint64_t at = detail::deadline(time);
        detail::check(with_party([at](phalanx_party *party) { return phalanx_party_wait_deadline(party, at, nullptr); }).first);
    }
    // Arrives, and has one thread fewer arrive from the next phase on.
    void arrive_and_drop() {
        // A token's party may leave as well, but its arrival is not this one.
        const auto [status, place] = with_party([](phalanx_party *party) {
            std::uint64_t next = 0;
            const phalanx_status usable = phalanx_party_generation(party, &next);
            return usable == PHALANX_OK ? phalanx_party_leave(party) : usable;
        });
        if (status == PHALANX_OK) places_[place].party.store(nullptr);
        detail::check(status);
    }

    void abort(const std::string &reason) { detail::check(phalanx_barrier_abort(native_handle(), reason.c_str())); }
    // The first arrivals from then on, as many as had not come to the broken phase, are told of it, and do not count.
    void reset() { detail::check(phalanx_barrier_reset(native_handle(), nullptr)); }
    bool is_broken() const {
        int is_broken = 0;
        detail::check(phalanx_barrier_is_broken(native_handle(), &is_broken));
        return is_broken != 0;
    }
    phalanx_stats stats() const {
        phalanx_stats stats{};
        detail::check(phalanx_barrier_stats(native_handle(), &stats));
        return stats;
    }
    phalanx_barrier *native_handle() const noexcept { return control_.get(); }

private:
    struct place {
        std::atomic<phalanx_party *> party{nullptr};
        // Its token was thrown away: whoever wants the party sees to the end of its arrival.
        std::atomic<bool> abandoned{false};
    };
    struct memory {
        const void *barrier;
        std::size_t place;
    };

    static void complete(void *self, const phalanx_trip_info *) noexcept {
        const void *outer = std::exchange(detail::acting(), self);
        static_cast<barrier *>(self)->completion_();
        detail::acting() = outer;
    }

    // Where this thread found a party last.
    std::size_t &usual_place() {
        static thread_local memory last{nullptr, 0};
        // The one remembered may be another, larger, that was at this address before.
        if (last.barrier != this || last.place >= count_) last = {this, next_.fetch_add(1, std::memory_order_relaxed) % count_};
        return last.place;
    }

    arrival_token arrive_once() {
        const auto [status, place] = with_party([](phalanx_party *party) { return phalanx_party_arrive(party); });
        detail::check(status);
        return arrival_token(this, place);
    }

    phalanx_party *taken(const arrival_token &arrival) const {
        if (arrival.barrier_ != this) throw error(PHALANX_OUT_OF_ORDER, "the token is of no arrival at this barrier");
        return places_[arrival.place_].party.load();
    }

    // Lets `call` have a party that is free; what it returned, and where that was.
    template <class Call>
    std::pair<phalanx_status, std::size_t> with_party(Call call) {
        if (detail::acting() == this) throw error(PHALANX_REENTERED, "refused inside the barrier's own completion function");
        std::size_t &usual = usual_place();
        for (;;) {
            bool none = true;
            for (std::size_t tried = 0; tried < count_; ++tried) {
                const std::size_t at = usual + tried < count_ ? usual + tried : usual + tried - count_;
                place &here = places_[at];
                phalanx_party *party = here.party.load(std::memory_order_acquire);
                if (!party) continue;
                none = false;
                phalanx_status status = call(party);
                if (status == PHALANX_OUT_OF_ORDER && here.abandoned.exchange(false)) {
                    if (phalanx_party_arrival_wait_timeout(party, 0, nullptr) == PHALANX_PENDING)
                        here.abandoned.store(true);
                    else
                        status = call(party);
                }
                // Somebody else has it, or it has left.
                if (status == PHALANX_BUSY || status == PHALANX_OUT_OF_ORDER || status == PHALANX_STALE) continue;
                usual = at;
                return {status, at};
            }
            if (none) throw error(PHALANX_ENDED, "all that were expected have dropped out");
            std::this_thread::yield();
        }
    }

    void free_parties() noexcept {
        for (std::size_t rank = 0; rank < count_; ++rank) {
            phalanx_party *party = places_[rank].party.load();
            // Who is just leaving has it for a moment.
            while (party && phalanx_party_free(party) == PHALANX_BUSY) std::this_thread::yield();
        }
    }

    CompletionFunction completion_;
    std::size_t count_;
    std::atomic<std::size_t> next_{0};
    detail::handle<phalanx_barrier, phalanx_barrier_free> control_;
    std::unique_ptr<place[]> places_;
};

// A barrier that any number of threads may wait on, in batches.
class shared_barrier {
public:
    explicit shared_barrier(std::size_t parties, const phalanx_shared_options &options = {}) {
        phalanx_shared_barrier *raw = nullptr;
        detail::check(phalanx_shared_create(parties, &options, &raw));
        handle_ = decltype(handle_)(raw);
    }

    phalanx_shared_trip wait() {
        phalanx_shared_trip trip{};
        detail::check(phalanx_shared_wait(native_handle(), &trip));
        return trip;
    }
    template <class Rep, class Period>
    phalanx_shared_trip wait_for(const std::chrono::duration<Rep, Period> &limit) {
        phalanx_shared_trip trip{};
        detail::check(phalanx_shared_wait_timeout(native_handle(), detail::nanoseconds(limit), &trip));
        return trip;
    }
    void abort(const std::string &reason) { detail::check(phalanx_shared_abort(native_handle(), reason.c_str())); }
    void reset() { detail::check(phalanx_shared_reset(native_handle())); }
    phalanx_shared_barrier *native_handle() const noexcept { return handle_.get(); }

private:
    detail::handle<phalanx_shared_barrier, detail::end_shared> handle_;
};

// One member of a team, inside a run.
class member {
public:
    explicit member(const phalanx_member *raw) noexcept : raw_(raw) {}

    std::size_t rank() const {
        std::size_t rank = 0;
        detail::check(phalanx_member_rank(raw_, &rank));
        return rank;
    }
    std::size_t size() const {
        std::size_t size = 0;
        detail::check(phalanx_member_size(raw_, &size));
        return size;
    }
    phalanx_trip wait() {
        phalanx_trip trip{};
        detail::check(phalanx_member_wait(raw_, &trip));
        return trip;
    }
    template <class Rep, class Period>
    phalanx_trip wait_for(const std::chrono::duration<Rep, Period> &limit) {
        phalanx_trip trip{};
        detail::check(phalanx_member_wait_timeout(raw_, detail::nanoseconds(limit), &trip));
        return trip;
    }
    template <class T>
    T all_reduce(phalanx_op op, T value) {
        static_assert(detail::can_reduce<T>, "double, and integers of up to 64 bits with a sign");
        detail::number<T> result{};
        if constexpr (std::is_floating_point_v<T>)
            detail::check(phalanx_member_all_reduce_double(raw_, op, value, &result));
        else
            detail::check(phalanx_member_all_reduce_int64(raw_, op, value, &result));
        return static_cast<T>(result);
    }
    // This member's part of `count` things: from first to below second.
    std::pair<std::size_t, std::size_t> chunk(std::size_t count) const {
        std::pair<std::size_t, std::size_t> part;
        detail::check(phalanx_member_chunk(raw_, count, &part.first, &part.second));
        return part;
    }
    const phalanx_member *native_handle() const noexcept { return raw_; }

private:
    const phalanx_member *raw_;
};

// Threads that stay, and run one callable together.
class team {
public:
    explicit team(std::size_t members = 0, const phalanx_team_options &options = {}) {
        phalanx_team *raw = nullptr;
        detail::check(phalanx_team_create(members, &options, &raw));
        handle_ = decltype(handle_)(raw);
    }

    std::size_t size() const {
        std::size_t size = 0;
        detail::check(phalanx_team_size(native_handle(), &size));
        return size;
    }

    // Lets every member call body(member &), and returns what each returned, by rank, if that is not void. An exception of one releases the
    // others from their barrier, and is thrown here.
    template <class Body>
    auto run(Body &&body) {
        using result = std::invoke_result_t<Body &, member &>;
        using kept = std::conditional_t<std::is_void_v<result>, detail::nothing, result>;
        struct call {
            std::remove_reference_t<Body> &body;
            std::vector<std::optional<kept>> results;
            std::vector<std::exception_ptr> errors;
            static int one(void *user, const phalanx_member *raw) noexcept {
                call &self = *static_cast<call *>(user);
                member own(raw);
                std::size_t rank = 0;
                phalanx_member_rank(raw, &rank);
                try {
                    if constexpr (std::is_void_v<result>)
                        self.body(own);
                    else
                        self.results[rank].emplace(self.body(own));
                    return 0;
                } catch (...) {
                    self.errors[rank] = std::current_exception();
                    return 1;
                }
            }
        };
        const std::size_t members = size();
        call all{body, std::vector<std::optional<kept>>(members), std::vector<std::exception_ptr>(members)};
        const phalanx_status status = phalanx_team_run(native_handle(), call::one, &all, nullptr);
        if (status == PHALANX_FAILED) {
            phalanx_broken record{};
            phalanx_last_broken(&record);
            std::rethrow_exception(all.errors[static_cast<std::size_t>(record.rank)]);
        }
        detail::check(status);
        if constexpr (!std::is_void_v<result>) {
            std::vector<result> results;
            results.reserve(members);
            for (auto &one : all.results) results.push_back(std::move(*one));
            return results;
        }
    }
    void abort(const std::string &reason) { detail::check(phalanx_team_abort(native_handle(), reason.c_str())); }
    phalanx_stats stats() const {
        phalanx_stats stats{};
        detail::check(phalanx_team_stats(native_handle(), &stats));
        return stats;
    }
    phalanx_team *native_handle() const noexcept { return handle_.get(); }

private:
    detail::handle<phalanx_team, phalanx_team_free> handle_;
};

} // namespace phalanx

#endif // PHALANX_HPP
