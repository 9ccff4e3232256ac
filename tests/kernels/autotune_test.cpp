// The door to autotuning: sections of several libraries, out and in again, and those of others left alone.
#include "kernels/autotune.h"

#include <gtest/gtest.h>

#include <thread>

#include "kernels/cpu/gemm/autotune.h"

namespace sluice {
namespace {

// What another backend may bring.
class Library : public Autotuner {
 public:
    explicit Library(std::string machine) : machine_(std::move(machine)) {}
    const std::string& machine() const override { return machine_; }
    std::set<std::string> export_lines() const override { return lines_; }
    void import_lines(const std::set<std::string>& lines) override { lines_.insert(lines.begin(), lines.end()); }

 private:
    std::string machine_;
    std::set<std::string> lines_;
};

std::set<std::string> lines_of(const std::string& machine) {
    for (const AutotuneSection& section : export_autotune())
        if (section.machine == machine) return section.lines;
    return {"no section"};
}

TEST(Autotune, EveryLibraryHasASection) {
    ASSERT_EQ(export_autotune().size(), 1u);  // before any GEMM, too
    EXPECT_EQ(export_autotune()[0].machine, gemm_machine());
    {
        const Library blas("cublaslt-0123");
        EXPECT_EQ(export_autotune().size(), 2u);
        EXPECT_EQ(lines_of("cublaslt-0123"), std::set<std::string>());
    }
    EXPECT_EQ(export_autotune().size(), 1u);
}

TEST(Autotune, ASectionGoesToItsLibraryAndComesBack) {
    Library blas("cublaslt-0123"), other("cublaslt-4567");
    const auto before = lines_of(gemm_machine());
    import_autotune({"cublaslt-0123", {"algo 7 4096x384x1024", "anything else"}});
    EXPECT_EQ(lines_of("cublaslt-0123"), (std::set<std::string>{"algo 7 4096x384x1024", "anything else"}));
    EXPECT_EQ(lines_of("cublaslt-4567"), std::set<std::string>());
    EXPECT_EQ(lines_of(gemm_machine()), before);

    auto after = before;
    after.insert("onednn_sgemm 12x34x56 nt set threads 3");
    after.insert("blis 96x80x8192 tn add ragged threads 4");
    import_autotune({gemm_machine(), after});
    EXPECT_EQ(lines_of(gemm_machine()), after);
    for (const AutotuneSection& section : export_autotune()) import_autotune(section);
    EXPECT_EQ(lines_of(gemm_machine()), after);
    EXPECT_EQ(lines_of("cublaslt-0123").size(), 2u);
}

TEST(Autotune, OtherMachinesAndUnreadableLinesAreIgnored) {
    const auto before = lines_of(gemm_machine());
    import_autotune({"another", {"blis 11x11x11 nn set threads 1"}});
    import_autotune({gemm_machine(), {"algo 7 4096x384x1024", "rubbish"}});
    EXPECT_EQ(lines_of(gemm_machine()), before);
}

TEST(Autotune, AnImportedChoiceReplacesTheLast) {
    import_autotune({gemm_machine(), {"blis 13x13x13 nn set threads 1"}});
    import_autotune({gemm_machine(), {"onednn_sgemm 13x13x13 nn set threads 1"}});
    EXPECT_EQ(lines_of(gemm_machine()).count("blis 13x13x13 nn set threads 1"), 0u);
    EXPECT_EQ(lines_of(gemm_machine()).count("onednn_sgemm 13x13x13 nn set threads 1"), 1u);
}

TEST(Autotune, AScopeIsOfItsThreadAndNests) {
    EXPECT_FALSE(AutotuneScope::active());
    {
        const AutotuneScope outer;
        { const AutotuneScope inner; }
        EXPECT_TRUE(AutotuneScope::active());
        bool elsewhere = true;
        std::thread([&] { elsewhere = AutotuneScope::active(); }).join();
        EXPECT_FALSE(elsewhere);
    }
    EXPECT_FALSE(AutotuneScope::active());
}

}  // namespace
}  // namespace sluice
