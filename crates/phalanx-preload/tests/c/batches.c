// More threads than the count: they cross in batches, each full, each with one serial thread.
//
// Threads take tickets until there are none left, so that nobody has to come twice at the end without company. When k threads have
// returned and a have come, k is at most what the full batches of a hold.
#include "check.h"

struct crowd {
    pthread_barrier_t barrier;
    unsigned count, tickets;
    atomic_uint taken, returned, serials;
};

static void come_and_go(unsigned rank, void *with) {
    struct crowd *crowd = with;
    unsigned seed = rank + 17 * crowd->count;
    while (atomic_fetch_add(&crowd->taken, 1) < crowd->tickets) {
        dawdle(&seed);
        if (TRIP(&crowd->barrier)) atomic_fetch_add(&crowd->serials, 1);
        unsigned returned = atomic_fetch_add(&crowd->returned, 1) + 1;
        unsigned taken = atomic_load(&crowd->taken);
        if (taken > crowd->tickets) taken = crowd->tickets;
        CHECK(returned <= taken / crowd->count * crowd->count, "%u have returned from batches of %u, and %u have come", returned, crowd->count, taken);
    }
}

static void crowd_of(unsigned threads, unsigned count) {
    static struct crowd crowd;
    memset(&crowd, 0, sizeof crowd);
    crowd.count = count;
    crowd.tickets = count * rounds(count == 1 ? 20000 : 5000);
    INIT(&crowd.barrier, NULL, count);
    run_team(threads, come_and_go, &crowd);
    DESTROY(&crowd.barrier);
    unsigned returned = atomic_load(&crowd.returned), serials = atomic_load(&crowd.serials);
    CHECK(returned == crowd.tickets && serials == crowd.tickets / count, "%u threads in batches of %u: %u came, %u returned, %u were serial", threads, count, crowd.tickets, returned, serials);
    ok("%u threads in batches of %u", threads, count);
}

int main(void) {
    watch("batches");
    crowd_of(6, 2);
    crowd_of(5, 3);
    crowd_of(3, 2);
    crowd_of(5, 4);
    crowd_of(7, 1);
    crowd_of(20, 3);
    crowd_of(20, 7);
    return 0;
}
