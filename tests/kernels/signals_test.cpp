// Signals while products are made. oneDNN 2.6 moves its stack into the heap for a while, where a handler's frame
// overwrites what lives there: without receive_signals_on_one_thread() the storm ends this program at once.
#include "base/signals.h"

#include <gtest/gtest.h>
#include <omp.h>
#include <sys/time.h>

#include <atomic>
#include <csignal>
#include <thread>

#include "kernels/autotune.h"
#include "kernels/cpu/gemm/autotune.h"
#include "kernels/ops.h"
#include "support/oracle.h"

namespace sluice {
namespace {

thread_local bool computes = false;
std::atomic<int64_t> handled{0}, handled_while_computing{0};

void count(int) { (computes ? handled_while_computing : handled)++; }

// A signal every 50 microseconds to whichever thread does not block it, as profilers send them.
void start_storm() {
    struct sigaction action = {};
    action.sa_handler = count;
    action.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &action, nullptr);
    const itimerval often{{0, 50}, {0, 50}};
    setitimer(ITIMER_REAL, &often, nullptr);
}

// In a process of its own, that has no threads yet. Ends with 0 where all is well.
void multiply_under_a_storm() {
    receive_signals_on_one_thread();
    omp_set_num_threads(2);
#pragma omp parallel
    computes = true;
    const int64_t rows = 2048, out = 192, in = 8192;
    import_autotune({gemm_machine(), {to_line({GemmShape::nt(rows, out, in), 2}, GemmAlgorithm::onednn_sgemm)}});
    const auto x = cast<float>(noise(size_t(rows * in), 1)), w = cast<float>(noise(size_t(out * in), 2));
    const auto product = [&] {
        std::vector<float> y(size_t(rows * out));
        linear_forward<Cpu<float>>({}, y.data(), x.data(), w.data(), rows, in, out);
        return y;
    };
    const auto calm = product();
    start_storm();
    bool same = true;
    for (int i = 0; i < 30 || handled < 100; i++) same &= product() == calm;
    std::_Exit(!same ? 2 : handled_while_computing > 0 ? 3 : 0);
}

TEST(Signals, ProductsUnderAStormKeepTheirBits) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");  // the program once more, up to here
    EXPECT_EXIT(multiply_under_a_storm(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace sluice
