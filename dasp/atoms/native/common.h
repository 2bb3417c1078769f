// What the kernels share: the C ABI's export macro and a loop over rows on several threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#define DASP_EXPORT extern "C" __attribute__((visibility("default")))
#define DASP_INLINED __attribute__((always_inline))  // of lambdas; everything else is DASP_INLINE
#define DASP_INLINE inline DASP_INLINED

namespace dasp {

// Samples per block where a backward pass recomputes states: scratch stays small whatever the length.
constexpr int64_t kBlock = 4096;

// Rows are independent; a few threads take them one by one. The caller gets no exception: kernels do not throw.
template <typename Row>
void for_rows(int64_t rows, int64_t threads, Row&& row) {
    const int64_t workers = std::min(rows, threads);
    if (workers <= 1) {
        for (int64_t r = 0; r < rows; ++r) row(r);
        return;
    }
    std::atomic<int64_t> next{0};
    auto work = [&] {
        for (int64_t r; (r = next.fetch_add(1)) < rows;) row(r);
    };
    std::vector<std::thread> pool;
    for (int64_t i = 1; i < workers; ++i) pool.emplace_back(work);
    work();
    for (auto& thread : pool) thread.join();
}

// The same for what needs nothing but its own index: in chunks that are worth a thread's while.
template <typename F>
void each(int64_t count, int64_t threads, F&& f) {
    constexpr int64_t chunk = 1 << 14;
    for_rows((count + chunk - 1) / chunk, threads, [&](int64_t c) {
        for (int64_t i = c * chunk; i < std::min(count, (c + 1) * chunk); ++i) f(i);
    });
}

}  // namespace dasp
