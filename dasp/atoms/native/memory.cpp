// Large pages for large results: the first touch of memory costs more than the arithmetic done on it, once a page.
#include "common.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

DASP_EXPORT void advise_huge_pages(char* data, int64_t bytes, int64_t) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    constexpr uintptr_t page = uintptr_t(1) << 21;
    const uintptr_t from = (reinterpret_cast<uintptr_t>(data) + page - 1) & ~(page - 1);
    const uintptr_t to = reinterpret_cast<uintptr_t>(data + bytes) & ~(page - 1);
    // Advice: where the system has none to give, small pages do.
    if (to > from) ::madvise(reinterpret_cast<void*>(from), to - from, MADV_HUGEPAGE);
#endif
}
