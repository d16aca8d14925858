// C++20's std::barrier behind three C functions; all the work is in the standard library's header.
#include <barrier>
#include <cstddef>
#include <new>

extern "C" void *versus_create(std::ptrdiff_t parties) { return new (std::nothrow) std::barrier<>(parties); }
extern "C" void versus_wait(void *barrier) { static_cast<std::barrier<> *>(barrier)->arrive_and_wait(); }
extern "C" void versus_destroy(void *barrier) { delete static_cast<std::barrier<> *>(barrier); }
