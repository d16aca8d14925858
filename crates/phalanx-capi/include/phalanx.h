/*
 * phalanx: barriers for threads that move in step.
 *
 * A barrier is where threads meet: each works, arrives, and goes on once all have arrived. Two kinds:
 *
 *   phalanx_barrier          for parties with handles: the fastest trip, names who is missing, carries values along
 *   phalanx_shared_barrier   for any thread, like pthread_barrier_t
 *
 * and phalanx_team: threads that stay, and run a callback together.
 *
 * Every function that can fail returns a phalanx_status; 0 is success. phalanx_strerror() has a sentence for it,
 * phalanx_last_error() says what exactly was wrong with the calling thread's last call that failed.
 *
 * Handles (phalanx_barrier *, phalanx_party *, phalanx_shared_barrier *, phalanx_team *) are numbers that look like pointers, and
 * are never followed. NULL, a handle that was freed (also twice), one of another kind, and noise are answered by
 * PHALANX_NULL or PHALANX_STALE; a party that two threads use at once by PHALANX_BUSY. (A handle counts how often its place was used
 * before, and the count wraps after 2^32 times, 2^12 where pointers have 32 bits.) A const phalanx_member * is the same, for the
 * callback and the thread that it was given to.
 *
 * What cannot be found out: pointers to results and texts that point nowhere, and results that are too short. Everything
 * else is a code, never a crash; but when there is no memory left, the process ends.
 *
 * On Linux on x86, Arm and RISC-V none of these functions is a cancellation point: pthread_cancel() ends a thread behind a wait, not in
 * it. Nor may it end one in an action; one that comes to cancellation points disables them (pthread_setcancelstate()). In
 * phalanx_team_run() they are disabled.
 *
 * Not to be called from signal handlers. After fork() the child has none of the parent's threads: it may make new
 * objects, if no other thread was in a function of phalanx at that moment, and should leave those of the parent alone.
 *
 * Made by cbindgen from the sources; do not edit.
 */

#ifndef PHALANX_H
#define PHALANX_H

#include <stddef.h>
#include <stdint.h>

/// What became of a call. Every function that can fail returns one of these; 0 is success.
///
/// phalanx_strerror() has a sentence for each; phalanx_last_error() says what exactly was wrong with the last call of this thread
/// that failed.
typedef enum {
  /// Done.
  PHALANX_OK = 0,
  /// The trip was broken, for all of its parties alike: phalanx_last_broken() says why, phalanx_last_error() in words.
  PHALANX_BROKEN = 1,
  /// The trip that was arrived at is not decided yet. Nothing is wrong; ask again.
  PHALANX_PENDING = 2,
  /// A pointer that is needed is NULL.
  PHALANX_NULL = 3,
  /// A value that no such argument can have: 0 parties, an operator that there is not, reserved fields that are not 0.
  PHALANX_INVALID = 4,
  /// A handle of nothing that lives: freed before, of another kind, or never given out. For a member also: not of a callback that
  /// is under way on the calling thread.
  PHALANX_STALE = 5,
  /// In use: a party by another call, a barrier on which threads wait, a team that is at work. Nothing was done.
  PHALANX_BUSY = 6,
  /// The barrier, or the snapshot, has no such rank.
  PHALANX_NO_SUCH_RANK = 7,
  /// The rank is claimed already.
  PHALANX_TAKEN = 8,
  /// The party of this rank has left.
  PHALANX_LEFT = 9,
  /// All parties have left: there will be no further trip.
  PHALANX_ENDED = 10,
  /// There are as many parties as there can be.
  PHALANX_FULL = 11,
  /// No reset: a party was freed and its rank not claimed again, so no trip could be completed.
  PHALANX_DESERTED = 12,
  /// Refused: called from inside what would have to be over first, the barrier's action or the team's run. Nothing was broken by it.
  PHALANX_REENTERED = 13,
  /// The party has arrived and not waited yet, and so can do nothing else; or it has not arrived, and so cannot wait for that.
  PHALANX_OUT_OF_ORDER = 14,
  /// A member's callback returned something else than 0.
  PHALANX_FAILED = 15,
  /// The system gave no thread.
  PHALANX_NO_THREAD = 16,
  /// The members of a team cannot be placed or pinned as asked.
  PHALANX_NO_CPU = 17,
  /// There is no break to tell of.
  PHALANX_NOT_BROKEN = 18,
  /// Too many handles are in use.
  PHALANX_NO_ROOM = 19,
  /// A bug in phalanx, caught before it reached its caller. Please report what phalanx_last_error() says.
  PHALANX_PANICKED = 20,
} phalanx_status;

/// Why a trip was broken.
typedef enum {
  /// One that this version has no number for; the text says what it is.
  PHALANX_CAUSE_OTHER = 0,
  /// A party waited as long as it was told to, and somebody had still not arrived.
  PHALANX_CAUSE_TIMED_OUT = 1,
  /// Somebody called an abort function.
  PHALANX_CAUSE_ABORTED = 2,
  /// A party was freed: it comes no more. Also: a member of a team returned while others waited for it.
  PHALANX_CAUSE_DROPPED = 3,
  /// A member of a team returned something else than 0.
  PHALANX_CAUSE_FAILED = 4,
  /// On the trip before, two parties did not call the same function with the same operator.
  PHALANX_CAUSE_MISMATCHED = 5,
  /// Somebody called a reset function while parties were waiting.
  PHALANX_CAUSE_RESET = 6,
  /// The barrier's own action waited at the barrier. That call is refused (PHALANX_REENTERED), and nothing is broken by it.
  PHALANX_CAUSE_REENTERED = 7,
  /// Cancelled for good, by a part of the program that is written in Rust.
  PHALANX_CAUSE_CANCELLED = 8,
  /// A thread panicked, in a part of the program that is written in Rust.
  PHALANX_CAUSE_PANICKED = 9,
} phalanx_cause;

/// How the news that all have arrived gets to everybody. Changes what a trip costs, and nothing else.
typedef enum {
  /// Chosen when the barrier is made, by number of parties and CPUs. Right unless measured otherwise.
  PHALANX_AUTO = 0,
  /// Everyone reads everyone: for a few parties that share a cache.
  PHALANX_EXCHANGE = 1,
  /// One counter and one flag: for more parties than CPUs.
  PHALANX_CENTRAL = 2,
  /// A tree of counters.
  PHALANX_COMBINING = 3,
  /// Mellor-Crummey and Scott's tree, its root releasing all by flags.
  PHALANX_STATIC_TREE = 4,
  /// The same, releasing along a binary tree.
  PHALANX_STATIC_TREE_WAKE_TREE = 5,
  /// Rounds of pairs with fixed winners.
  PHALANX_TOURNAMENT = 6,
  /// Rounds in which everybody hears from one other.
  PHALANX_DISSEMINATION_2 = 7,
  /// Rounds in which everybody hears from three others.
  PHALANX_DISSEMINATION_4 = 8,
  /// Within each cache first, then between caches.
  PHALANX_HIERARCHICAL = 9,
} phalanx_algorithm;

/// What waiting parties do with their CPU.
typedef enum {
  /// As the environment says (PHALANX_WAIT_POLICY), else PHALANX_WAIT_ADAPTIVE.
  PHALANX_WAIT_DEFAULT = 0,
  /// Spins, yields or sleeps, by what this machine and the past waits suggest.
  PHALANX_WAIT_ADAPTIVE = 1,
  /// Polls, and keeps its CPU whatever happens: only for CPUs that nothing else uses.
  PHALANX_WAIT_SPIN = 2,
  /// Polls for a while, then yields between looks; never sleeps.
  PHALANX_WAIT_SPIN_YIELD = 3,
  /// Polls for a while, then sleeps.
  PHALANX_WAIT_SPIN_PARK = 4,
  /// Sleeps at once.
  PHALANX_WAIT_PARK = 5,
} phalanx_wait_policy;

/// How the values of all parties become one.
typedef enum {
  /// The sum, from rank 0 upwards. Of int64 modulo 2^64.
  PHALANX_SUM = 0,
  /// The least. Of doubles like fmin(): a NaN gives way to a number.
  PHALANX_MIN = 1,
  /// The greatest. Of doubles like fmax().
  PHALANX_MAX = 2,
} phalanx_op;

/// A barrier for parties with handles: makes the parties, looks at them, breaks their trip, and returns them to service. Its
/// functions may be called from any thread at any time, but not from signal handlers.
typedef struct phalanx_barrier phalanx_barrier;

/// One member of a team, inside a callback. It belongs to that call and to its thread.
typedef struct phalanx_member phalanx_member;

/// One participant of a barrier: a rank, and the right to arrive with it. For one thread at a time; it may be handed from thread to
/// thread. A call that finds it in use returns PHALANX_BUSY and does nothing.
typedef struct phalanx_party phalanx_party;

/// A barrier that any thread may wait on, like a pthread_barrier_t; more callers than parties are served in batches. It cannot say who
/// is missing, only how many; it has no statistics; and its trip costs more than that of a phalanx_barrier.
typedef struct phalanx_shared_barrier phalanx_shared_barrier;

/// Threads that stay, and run one callback together as often as they are asked to, like a parallel region of OpenMP.
typedef struct phalanx_team phalanx_team;

/// A completed trip, as one of its parties sees it.
typedef struct {
  /// The number of the trip, counted from 0.
  uint64_t generation;
  /// 1 for exactly one party of each trip, else 0.
  int leader;
} phalanx_trip;

/// What an action is told of its trip.
typedef struct {
  /// The number of the trip, counted from 0.
  uint64_t generation;
  /// How many parties take part in it.
  size_t parties;
  /// The party whose thread runs the action: the last to arrive.
  size_t rank;
} phalanx_trip_info;

/// A callback that runs once per trip, after the last arrival and before any release, on the thread of the last to arrive. It must
/// return by returning: neither by an exception nor by longjmp(). `info` is valid until then.
typedef void (*phalanx_action)(void *user, const phalanx_trip_info *info);

/// What can be chosen of a barrier. All 0 is the default of everything: `phalanx_barrier_options options = {0};`.
typedef struct {
  /// For messages and reports; NULL for `barrier-1`, `barrier-2` and so on. Copied.
  const char *name;
  /// The limit of every wait in nanoseconds: the trip of a party that has waited so long breaks. 0 for none.
  uint64_t timeout_ns;
  /// How long a party spins before it does something else. 0 for what a sleep and a wake cost here; UINT64_MAX for ever.
  uint64_t spin_ns;
  /// One of enum phalanx_algorithm.
  int algorithm;
  /// One of enum phalanx_wait_policy.
  int wait_policy;
  /// Runs once per trip; NULL for nothing. It cannot wait at its own barrier: that is refused with PHALANX_REENTERED. It may run on
  /// any thread that waits, as long as the barrier or a party of it lives.
  phalanx_action action;
  /// What the action is called with.
  void *user;
  /// Not 0: parties work between phalanx_party_arrive() and the wait, so PHALANX_AUTO takes an algorithm in which that holds up nobody.
  int split_phase;
  /// Must be 0; for later versions.
  uint64_t reserved[4];
} phalanx_barrier_options;

/// A break, in numbers.
typedef struct {
  /// Why: one of enum phalanx_cause.
  int cause;
  /// Who caused it, where that was one party; else -1. On a shared barrier the arrival index of who timed out.
  int64_t rank;
  /// The number of the broken trip, counted from 0.
  uint64_t generation;
  /// How many parties the barrier has.
  size_t parties;
  /// How many of them had arrived.
  size_t arrived;
} phalanx_broken;

/// A callback that runs once per trip, after the last arrival and before any release, on the thread of the last caller. It must return by
/// returning: neither by an exception nor by longjmp().
typedef void (*phalanx_shared_action)(void *user);

/// What can be chosen of a shared barrier. All 0 is the default of everything.
typedef struct {
  /// Runs once per trip; NULL for nothing. It cannot wait at its own barrier: that is refused with PHALANX_REENTERED.
  phalanx_shared_action action;
  /// What the action is called with.
  void *user;
  /// Must be 0; for later versions.
  uint64_t reserved[4];
} phalanx_shared_options;

/// A completed trip, as one of its callers sees it.
typedef struct {
  /// The caller's arrival index: 0 for the first of the trip, parties - 1 for the last.
  size_t index;
  /// 1 for exactly one caller of each trip, the last to arrive; else 0.
  int leader;
} phalanx_shared_trip;

/// What a barrier, or the barrier of a team, has been through. The numbers of one snapshot are each right at some moment while it was
/// taken; of a barrier at rest they are exact.
typedef struct {
  /// How many parties take part in the open trip.
  size_t parties;
  /// How many of these have arrived at it.
  size_t arrived;
  /// Completed trips.
  uint64_t trips;
  /// Resets.
  uint64_t resets;
  /// Breaks, whatever their cause; phalanx_barrier_breaks() counts one cause.
  uint64_t breaks;
  /// Waits of all parties that were not over within the first few dozens of polls.
  uint64_t waits;
  /// Polls in these, with the CPU kept.
  uint64_t spins;
  /// Polls in these, behind which a party gave its CPU to others.
  uint64_t yields;
  /// How often parties went to sleep.
  uint64_t parks;
  /// How often parties woke others, with a system call.
  uint64_t wakes;
} phalanx_stats;

/// What one party has been through.
typedef struct {
  /// Its rank.
  size_t rank;
  /// Arrivals, also at trips that are open, or broke afterwards.
  uint64_t arrivals;
  /// Trips on which it looked who else was there.
  uint64_t looks;
  /// On how many of these nobody was there before it.
  uint64_t first;
  /// On how many of these everybody else was there before it: near to `looks` for the one for which the others wait.
  uint64_t last;
  /// As in phalanx_stats, of this party.
  uint64_t waits;
  /// As in phalanx_stats, of this party.
  uint64_t spins;
  /// As in phalanx_stats, of this party.
  uint64_t yields;
  /// As in phalanx_stats, of this party.
  uint64_t parks;
  /// As in phalanx_stats, of this party.
  uint64_t wakes;
} phalanx_party_stats;

/// What can be chosen of a team. All 0 is the default of everything: `phalanx_team_options options = {0};`.
typedef struct {
  /// The threads are called `name-rank`; NULL for `phalanx`. Copied.
  const char *name;
  /// The limit of every wait at the members' barrier in nanoseconds. 0 for none.
  uint64_t timeout_ns;
  /// How long members spin before they do something else. 0 for what a sleep and a wake cost here; UINT64_MAX for ever.
  uint64_t spin_ns;
  /// The size of the threads' stacks in bytes; 0 for 2 MiB.
  size_t stack_size;
  /// Where the threads run: `none`, `close`, `spread`, `per-llc`, `per-node`, or CPUs such as `0-3,8`. NULL for what the environment says
  /// (PHALANX_BIND), else `none`. Copied.
  const char *bind;
  /// One of enum phalanx_wait_policy.
  int wait_policy;
  /// Not 0: the thread that calls phalanx_team_run() only waits. Otherwise it is the member with rank 0.
  int caller_stays_out;
  /// Must be 0; for later versions.
  uint64_t reserved[4];
} phalanx_team_options;

/// What every member of a team runs. 0 is success; anything else fails the run and releases the others. It must return by returning:
/// neither by an exception nor by longjmp().
typedef int (*phalanx_member_body)(void *user, const phalanx_member *member);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/// Arrives at the open trip and does not wait: the first half of phalanx_party_wait(). Never blocks. The other half is
/// phalanx_party_arrival_wait(); until then the party can do nothing else (PHALANX_OUT_OF_ORDER) but leave and be freed.
phalanx_status phalanx_party_arrive(phalanx_party *party);

/// Stays until the trip is decided that the party has arrived at: the second half of phalanx_party_wait(), whose answers it gives.
///
/// Must hold: `trip` is NULL or points to room for a result.
phalanx_status phalanx_party_arrival_wait(phalanx_party *party,
                                          phalanx_trip *trip);

/// phalanx_party_arrival_wait(), but returns PHALANX_PENDING when so many nanoseconds have passed. That breaks nothing, and it may be called
/// again. With 0 it only looks.
///
/// Must hold: `trip` is NULL or points to room for a result.
phalanx_status phalanx_party_arrival_wait_timeout(phalanx_party *party,
                                                  uint64_t timeout_ns,
                                                  phalanx_trip *trip);

/// Does without the second half: the arrival stands, and what became of its trip is the business of the party's next call, which
/// waits for that first, and tells of it if it broke.
phalanx_status phalanx_party_arrival_forget(phalanx_party *party);

/// Makes a barrier for `parties`, 1 to 65536. The first one of a process also measures what waiting costs here, in well under a
/// millisecond, and on Linux asks the kernel for a service that takes up to 15 ms once the process has several threads: make it before
/// them.
///
/// `options` may be NULL for all defaults.
///
/// Must hold: `options` is NULL or points to options whose `name` is NULL or a text that ends; `barrier` points to room for a handle.
phalanx_status phalanx_barrier_create(size_t parties,
                                      const phalanx_barrier_options *options,
                                      phalanx_barrier **barrier);

/// Gives up the control of a barrier. Its parties live on and work on; but a rank that nobody has claimed can never be claimed then,
/// and so breaks the trip. May be called while other threads are in functions of this barrier.
phalanx_status phalanx_barrier_free(phalanx_barrier *barrier);

/// Gives out the party of `rank`. A rank whose party was freed may be claimed again: that is how a worker is restarted, before
/// phalanx_barrier_reset().
///
/// Must hold: `party` points to room for a handle.
phalanx_status phalanx_barrier_claim(const phalanx_barrier *barrier,
                                     size_t rank,
                                     phalanx_party **party);

/// Adds a party, which takes part from the next trip on, while the others go on. It gets the lowest rank whose party has left, or
/// one more than there were.
///
/// Must hold: `party` points to room for a handle.
phalanx_status phalanx_barrier_join(const phalanx_barrier *barrier,
                                    phalanx_party **party);

/// Breaks the open trip: all parties that wait, and those that come to wait, are told PHALANX_CAUSE_ABORTED with this reason. On a
/// broken barrier it changes nothing. `reason` may be NULL; it is copied.
///
/// Must hold: `reason` is NULL or a text that ends.
phalanx_status phalanx_barrier_abort(const phalanx_barrier *barrier,
                                     const char *reason);

/// Returns a broken barrier to service; no arrival from before counts. Parties that are waiting are told PHALANX_CAUSE_RESET; if nothing is
/// broken and nobody waits, nothing changes. A party that had not come to the broken trip is told of it at its next wait.
///
/// `generation`, which may be NULL, gets the number of the next trip.
///
/// Must hold: `generation` is NULL or points to room for a result.
phalanx_status phalanx_barrier_reset(const phalanx_barrier *barrier,
                                     uint64_t *generation);

/// How many parties take part in the open trip.
///
/// Must hold: `parties` points to room for a result.
phalanx_status phalanx_barrier_parties(const phalanx_barrier *barrier, size_t *parties);

/// The number of the open trip; on a broken barrier, of the broken one. A snapshot.
///
/// Must hold: `generation` points to room for a result.
phalanx_status phalanx_barrier_generation(const phalanx_barrier *barrier, uint64_t *generation);

/// The ranks that have not arrived at the open trip, ascending; on a broken barrier, those that had not when it broke. A snapshot.
///
/// Writes at most `capacity` of them to `ranks`, and how many there are to `count`, which may be NULL.
///
/// Must hold: `ranks` has room for `capacity` ranks, or is NULL if that is 0; `count` is NULL or points to room for a result.
phalanx_status phalanx_barrier_missing(const phalanx_barrier *barrier,
                                       size_t *ranks,
                                       size_t capacity,
                                       size_t *count);

/// Whether the barrier is broken: 0 or 1.
///
/// Must hold: `is_broken` points to room for a result.
phalanx_status phalanx_barrier_is_broken(const phalanx_barrier *barrier, int *is_broken);

/// What every wait is told while the barrier is broken, in numbers and in words. `broken` may be NULL; so may `buffer` if `size` is 0; so
/// may `length`, which gets the length of the whole text without its NUL, as snprintf() returns it.
///
/// Returns PHALANX_NOT_BROKEN if it is not broken.
///
/// Must hold: `broken` and `length` are NULL or point to room for a result; `buffer` has room for `size` bytes.
phalanx_status phalanx_barrier_broken(const phalanx_barrier *barrier,
                                      phalanx_broken *broken,
                                      char *buffer,
                                      size_t size,
                                      size_t *length);

/// What was chosen for this barrier and why, in a few lines for a person. Texts as with phalanx_barrier_broken().
///
/// Must hold: `buffer` has room for `size` bytes, or is NULL if that is 0; `length` is NULL or points to room for a result.
phalanx_status phalanx_barrier_explain(const phalanx_barrier *barrier, char *buffer, size_t size, size_t *length);

/// Now, in nanoseconds of this library's monotonic clock: what deadlines are made of. It starts with its first use in the process,
/// and is no other clock's.
uint64_t phalanx_now_ns(void);

/// Arrives, and stays until the trip is decided. Everything that any party did before it arrived happens before everything that any
/// party does after it was given PHALANX_OK.
///
/// `trip` may be NULL. Limited by the barrier's `timeout_ns`. Returns PHALANX_BROKEN for all parties of a trip alike, and from then on until
/// somebody calls phalanx_barrier_reset().
///
/// Must hold: `trip` is NULL or points to room for a result.
phalanx_status phalanx_party_wait(phalanx_party *party,
                                  phalanx_trip *trip);

/// phalanx_party_wait(), but breaks the trip when so many nanoseconds have passed: then all are told PHALANX_CAUSE_TIMED_OUT. 0 does not
/// wait: the trip is complete if this party is the last to arrive, and breaks otherwise.
///
/// Must hold: `trip` is NULL or points to room for a result.
phalanx_status phalanx_party_wait_timeout(phalanx_party *party,
                                          uint64_t timeout_ns,
                                          phalanx_trip *trip);

/// phalanx_party_wait(), but breaks the trip at a time of phalanx_now_ns(). One in the past does not wait.
///
/// Must hold: `trip` is NULL or points to room for a result.
phalanx_status phalanx_party_wait_deadline(phalanx_party *party, uint64_t deadline_ns, phalanx_trip *trip);

/// Crosses a trip, as phalanx_party_wait(), and combines one value of each party into one for all, by one of enum phalanx_op. In the order of
/// the ranks, whoever arrives when: so sums have the same bits on every run. On failure `result` stays as it is.
///
/// Every party has to call the same function with the same `op`; otherwise those that called a reduction are told
/// PHALANX_CAUSE_MISMATCHED.
///
/// Must hold: `result` points to room for a result.
phalanx_status phalanx_party_all_reduce_double(phalanx_party *party,
                                               int op,
                                               double value,
                                               double *result);

/// phalanx_party_all_reduce_double() for integers of 64 bits.
///
/// Must hold: `result` points to room for a result.
phalanx_status phalanx_party_all_reduce_int64(phalanx_party *party, int op, int64_t value, int64_t *result);

/// This party's number.
///
/// Must hold: `rank` points to room for a result.
phalanx_status phalanx_party_rank(const phalanx_party *party, size_t *rank);

/// The trip that this party arrives at next; after a break, the broken one until the party has moved on.
///
/// Must hold: `generation` points to room for a result.
phalanx_status phalanx_party_generation(const phalanx_party *party, uint64_t *generation);

/// Arrives at the open trip, does not stay, and takes part in no further one; from the next trip on the others are one fewer. Nothing
/// breaks. The handle is gone. Never waits, unless the party has arrived and not waited: then first for the end of that trip.
phalanx_status phalanx_party_leave(phalanx_party *party);

/// Says that this party comes no more. The handle is gone, and the trip that it has not arrived at breaks, with PHALANX_CAUSE_DROPPED, for
/// whoever waits or comes to wait; so parties that all finish together notice nothing, and one that goes early is found at once.
phalanx_status phalanx_party_free(phalanx_party *party);

/// Makes a shared barrier for `parties` callers, 1 to 65536. `options` may be NULL.
///
/// Must hold: `options` is NULL or points to options; `barrier` points to room for a handle.
phalanx_status phalanx_shared_create(size_t parties,
                                     const phalanx_shared_options *options,
                                     phalanx_shared_barrier **barrier);

/// Frees a shared barrier, also while others are still leaving a completed trip. If threads wait in an open trip, it returns PHALANX_BUSY
/// and does nothing; a thread that comes to wait meanwhile is told PHALANX_BROKEN, and does not hang.
phalanx_status phalanx_shared_free(phalanx_shared_barrier *barrier);

/// Arrives, and stays until as many callers as the barrier has parties have arrived. `trip` may be NULL.
///
/// Returns PHALANX_BROKEN for all callers of a trip alike, and from then on until somebody calls phalanx_shared_reset().
///
/// Must hold: `trip` is NULL or points to room for a result.
phalanx_status phalanx_shared_wait(const phalanx_shared_barrier *barrier,
                                   phalanx_shared_trip *trip);

/// phalanx_shared_wait(), but breaks the trip when so many nanoseconds have passed. 0 does not wait.
///
/// Must hold: `trip` is NULL or points to room for a result.
phalanx_status phalanx_shared_wait_timeout(const phalanx_shared_barrier *barrier,
                                           uint64_t timeout_ns,
                                           phalanx_shared_trip *trip);

/// phalanx_shared_wait(), but breaks the trip at a time of phalanx_now_ns(). One in the past does not wait.
///
/// Must hold: `trip` is NULL or points to room for a result.
phalanx_status phalanx_shared_wait_deadline(const phalanx_shared_barrier *barrier,
                                            uint64_t deadline_ns,
                                            phalanx_shared_trip *trip);

/// Breaks the open trip: its callers, and those who come before phalanx_shared_reset(), are told PHALANX_CAUSE_ABORTED with this reason,
/// which may be NULL.
///
/// Must hold: `reason` is NULL or a text that ends.
phalanx_status phalanx_shared_abort(const phalanx_shared_barrier *barrier,
                                    const char *reason);

/// Returns a shared barrier to service. Callers that are waiting are told PHALANX_CAUSE_RESET; if nobody waits and nothing is broken, nothing
/// changes.
phalanx_status phalanx_shared_reset(const phalanx_shared_barrier *barrier);

/// Whether the shared barrier is broken (0 or 1), how many callers make a trip, and how many have arrived at the open one: a snapshot.
/// Each may be NULL.
///
/// Must hold: Each is NULL or points to room for a result.
phalanx_status phalanx_shared_state(const phalanx_shared_barrier *barrier,
                                    int *is_broken,
                                    size_t *parties,
                                    size_t *arrived);

/// What the barrier has been through so far.
///
/// Must hold: `stats` points to room for a result.
phalanx_status phalanx_barrier_stats(const phalanx_barrier *barrier, phalanx_stats *stats);

/// What the party of `rank` has been through so far; a rank that is claimed again goes on counting.
///
/// Must hold: `stats` points to room for a result.
phalanx_status phalanx_barrier_party_stats(const phalanx_barrier *barrier, size_t rank, phalanx_party_stats *stats);

/// How often the barrier broke for one of enum phalanx_cause (but PHALANX_CAUSE_OTHER).
///
/// Must hold: `breaks` points to room for a result.
phalanx_status phalanx_barrier_breaks(const phalanx_barrier *barrier, int cause, uint64_t *breaks);

/// What the barrier of a team's members has been through, since the last run that broke it.
///
/// Must hold: `stats` points to room for a result.
phalanx_status phalanx_team_stats(const phalanx_team *team, phalanx_stats *stats);

/// As phalanx_barrier_party_stats(), of the member with this rank.
///
/// Must hold: `stats` points to room for a result.
phalanx_status phalanx_team_member_stats(const phalanx_team *team, size_t rank, phalanx_party_stats *stats);

/// How many barriers, parties, shared barriers and teams this process has not freed yet: for tests that look for leaks, which tools
/// cannot see behind handles.
size_t phalanx_live_handles(void);

/// A sentence for a code. Never NULL; static, so any thread may use it for as long as it likes.
const char *phalanx_strerror(int status);

/// The name of a cause (enum phalanx_cause) in one word. Never NULL; static.
const char *phalanx_cause_name(int cause);

/// The version of the library, as text. Never NULL; static.
const char *phalanx_version(void);

/// What was wrong with the last call of this thread that failed, in words: which value, which limit; for a broken trip, why, by
/// whom, and who was missing. Calls that succeed leave it as it is; empty if none has failed.
///
/// Copies at most `size` bytes to `buffer`, the terminating NUL included, and returns the length of the whole text without
/// it, like snprintf(). A text that is cut is cut between characters. With `size` 0 `buffer` may be NULL.
///
/// Must hold: `buffer` has room for `size` bytes, or is NULL.
size_t phalanx_last_error(char *buffer,
                          size_t size);

/// The last break that a call of this thread was told of (PHALANX_BROKEN, PHALANX_FAILED, PHALANX_REENTERED), in numbers.
///
/// For PHALANX_FAILED `generation` and `arrived` are 0.
///
/// Returns PHALANX_NOT_BROKEN if there was none.
///
/// Must hold: `broken` points to room for a result, or is NULL.
phalanx_status phalanx_last_broken(phalanx_broken *broken);

/// Makes a team of `members` threads, 1 to 65536, or as many as the process may use CPUs if that is 0. The thread that calls
/// phalanx_team_run() is one of them. `options` may be NULL.
///
/// Must hold: `options` is NULL or points to options whose `name` and `bind` are NULL or texts that end; `team` points to room for a handle.
phalanx_status phalanx_team_create(size_t members,
                                   const phalanx_team_options *options,
                                   phalanx_team **team);

/// Ends the threads of a team and waits for them. PHALANX_BUSY, and nothing is done, while any thread is in a function of this team:
/// inside a run, that is.
phalanx_status phalanx_team_free(phalanx_team *team);

/// How many members the team has.
///
/// Must hold: `size` points to room for a result.
phalanx_status phalanx_team_size(const phalanx_team *team, size_t *size);

/// Whether the thread of `rank` is pinned to a CPU: 0 or 1. Never that of a caller.
///
/// Must hold: `is_pinned` points to room for a result.
phalanx_status phalanx_team_is_pinned(const phalanx_team *team, size_t rank, int *is_pinned);

/// Breaks the members' open trip: those who wait at the team's barrier, and those who come to it in this run, are told PHALANX_CAUSE_ABORTED
/// with this reason, which may be NULL. Has no effect while nothing runs.
///
/// Must hold: `reason` is NULL or a text that ends.
phalanx_status phalanx_team_abort(const phalanx_team *team,
                                  const char *reason);

/// Lets every member call `body` with `user`, and returns when all have. The caller is rank 0, unless the team was made otherwise. What the
/// caller did before happens before every member's call, and that before the return.
///
/// `results`, which may be NULL, gets what each member returned, by rank. If that is not 0 for somebody, the others are released from
/// their barrier, and this returns PHALANX_FAILED, or PHALANX_BROKEN if something else had broken it before; phalanx_last_broken() says
/// by whom. The team is ready for the next run at once.
///
/// PHALANX_REENTERED from inside a run of this team, PHALANX_BUSY while another thread runs it.
///
/// Must hold: `body` can be called with `user` on several threads at once; `results` is NULL or has room for as many values as the team has
/// members.
phalanx_status phalanx_team_run(const phalanx_team *team,
                                phalanx_member_body body,
                                void *user,
                                int *results);

/// This member's number, from 0.
///
/// Must hold: `rank` points to room for a result.
phalanx_status phalanx_member_rank(const phalanx_member *member, size_t *rank);

/// How many members there are.
///
/// Must hold: `size` points to room for a result.
phalanx_status phalanx_member_size(const phalanx_member *member, size_t *size);

/// This member's part of the `count` things numbered from 0: from `begin` to below `end`. In the order of the ranks, no two parts differing
/// by more than one.
///
/// Must hold: `begin` and `end` point to room for a result.
phalanx_status phalanx_member_chunk(const phalanx_member *member,
                                    size_t count,
                                    size_t *begin,
                                    size_t *end);

/// Waits until all members have come here; phalanx_party_wait() of the team's barrier.
///
/// Must hold: `trip` is NULL or points to room for a result.
phalanx_status phalanx_member_wait(const phalanx_member *member, phalanx_trip *trip);

/// phalanx_member_wait(), but breaks the trip when so many nanoseconds have passed.
///
/// Must hold: `trip` is NULL or points to room for a result.
phalanx_status phalanx_member_wait_timeout(const phalanx_member *member, uint64_t timeout_ns, phalanx_trip *trip);

/// phalanx_member_wait(), but breaks the trip at a time of phalanx_now_ns().
///
/// Must hold: `trip` is NULL or points to room for a result.
phalanx_status phalanx_member_wait_deadline(const phalanx_member *member, uint64_t deadline_ns, phalanx_trip *trip);

/// Combines one value of each member into one for all; see phalanx_party_all_reduce_double().
///
/// Must hold: `result` points to room for a result.
phalanx_status phalanx_member_all_reduce_double(const phalanx_member *member, int op, double value, double *result);

/// phalanx_member_all_reduce_double() for integers of 64 bits.
///
/// Must hold: `result` points to room for a result.
phalanx_status phalanx_member_all_reduce_int64(const phalanx_member *member, int op, int64_t value, int64_t *result);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* PHALANX_H */
