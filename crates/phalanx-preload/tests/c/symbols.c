// Whose functions a program gets: by an ordinary link, by the versions that programs linked long ago ask for, and by dlsym. EXPECT says
// whose they must be: `preload`, or `glibc` unless set. All must be of one library, and work together.
#include "check.h"
#include <dlfcn.h>
#include <gnu/libc-version.h>

#if defined __x86_64__
#define OLD "GLIBC_2.2.5"
#elif defined __aarch64__
#define OLD "GLIBC_2.17"
#else
#error "no version known for this processor"
#endif
// From 2.34 on these functions are part of the C library proper, under a new version.
#define NEW "GLIBC_2.34"

int old_init(pthread_barrier_t *, const pthread_barrierattr_t *, unsigned);
int old_wait(pthread_barrier_t *);
int old_destroy(pthread_barrier_t *);
__asm__(".symver old_init, pthread_barrier_init@" OLD);
__asm__(".symver old_wait, pthread_barrier_wait@" OLD);
__asm__(".symver old_destroy, pthread_barrier_destroy@" OLD);

typedef int init_function(pthread_barrier_t *, const pthread_barrierattr_t *, unsigned);
typedef int wait_function(pthread_barrier_t *);

static const char *expected;

static void owner(const char *how, const char *name, void *function) {
    Dl_info info;
    CHECK(function, "%s finds no %s", how, name);
    CHECK(dladdr(function, &info) && info.dli_fname, "nobody knows whose %s is, by %s", name, how);
    bool ours = strstr(info.dli_fname, "libc.so") == NULL && strstr(info.dli_fname, "libpthread") == NULL;
    CHECK(ours == !strcmp(expected, "preload"), "%s by %s is of %s, where %s was expected", name, how, info.dli_fname, expected);
}

static void all_of(const char *how, void *init, void *wait, void *destroy) {
    pthread_barrier_t barrier;
    owner(how, "pthread_barrier_init", init);
    owner(how, "pthread_barrier_wait", wait);
    owner(how, "pthread_barrier_destroy", destroy);
    // Made by the one, waited at by the ordinary one.
    CHECK(((init_function *)init)(&barrier, NULL, 0) == EINVAL, "%s: count 0", how);
    CHECK(((init_function *)init)(&barrier, NULL, 1) == 0, "%s: init", how);
    CHECK(TRIP(&barrier), "%s: the ordinary wait", how);
    CHECK(((wait_function *)wait)(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD, "%s: wait", how);
    CHECK(((wait_function *)destroy)(&barrier) == 0, "%s: destroy", how);
    ok("%s", how);
}

static void by_dlsym(const char *how, void *handle) {
    all_of(how, dlsym(handle, "pthread_barrier_init"), dlsym(handle, "pthread_barrier_wait"), dlsym(handle, "pthread_barrier_destroy"));
}

// Who asks for a version by name gets only libraries that have it, so this may be either; but all three must be of one library.
static void by_version(const char *version) {
    pthread_barrier_t barrier;
    Dl_info of_init, of_wait, of_destroy;
    void *init = dlvsym(RTLD_DEFAULT, "pthread_barrier_init", version);
    void *wait = dlvsym(RTLD_DEFAULT, "pthread_barrier_wait", version);
    void *destroy = dlvsym(RTLD_DEFAULT, "pthread_barrier_destroy", version);
    CHECK(init && wait && destroy, "dlvsym of %s finds not all three functions", version);
    CHECK(dladdr(init, &of_init) && dladdr(wait, &of_wait) && dladdr(destroy, &of_destroy), "nobody knows whose the functions of %s are", version);
    CHECK(of_init.dli_fbase == of_wait.dli_fbase && of_wait.dli_fbase == of_destroy.dli_fbase, "version %s is of several libraries: %s, %s, %s", version, of_init.dli_fname, of_wait.dli_fname, of_destroy.dli_fname);
    CHECK(((init_function *)init)(&barrier, NULL, 1) == 0, "%s: init", version);
    CHECK(((wait_function *)wait)(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD, "%s: wait", version);
    CHECK(((wait_function *)destroy)(&barrier) == 0, "%s: destroy", version);
    dprintf(1, "dlvsym of %s finds %s\n", version, of_init.dli_fname);
    ok("dlvsym of %s", version);
}

int main(void) {
    watch("symbols");
    expected = getenv("EXPECT");
    if (!expected) expected = "glibc";
    all_of("an ordinary link", (void *)pthread_barrier_init, (void *)pthread_barrier_wait, (void *)pthread_barrier_destroy);
    all_of("a link of long ago", (void *)old_init, (void *)old_wait, (void *)old_destroy);
    by_dlsym("dlsym", RTLD_DEFAULT);
    by_dlsym("dlsym of the next", RTLD_NEXT);
    by_version(OLD);
    if (strverscmp(gnu_get_libc_version(), "2.34") >= 0) by_version(NEW);
    return 0;
}
