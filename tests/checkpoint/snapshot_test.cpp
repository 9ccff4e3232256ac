// Checkpoints of a state that lies in a device's memory, which is copied out beside what follows.
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <vector>

#include "support/folder.h"
#include "support/state.h"

namespace sluice {
namespace {

// The host's memory as if it were a device's, whose copies to the host wait until they are let go.
class FarMemory final : public Memory {
 public:
    void let_go() {
        {
            const std::lock_guard lock(mutex_);
            free_ = true;
        }
        changed_.notify_all();
    }
    int copied() {
        const std::lock_guard lock(mutex_);
        return copied_;
    }
    std::vector<std::string> calls() {
        const std::lock_guard lock(mutex_);
        return calls_;
    }
    bool fails = false;

 private:
    const char* name() const override { return "far memory"; }
    Room room(int) const override { return {}; }
    size_t beside() const override { return 0; }
    void* allocate(size_t) override { return nullptr; }
    void free(void*) override {}
    void zero(Stream, void*, size_t) override {}
    void copy(Stream, void*, const void*, size_t) override {}
    void to_device(Stream, void*, const void*, size_t) override {}
    void to_host(Stream stream, void* host, const void* from, size_t bytes) override {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return free_; });
        if (fails) fail(Exit::other, "the device: it burns");
        EXPECT_EQ(stream.handle, &copies_) << "on another stream than that of copies";
        std::memcpy(host, from, bytes);
        copied_++;
    }
    Stream open_stream() override { return {}; }
    void close_stream(Stream) override {}
    Stream open_copies() override {
        Stream stream;
        stream.handle = &copies_;
        return stream;
    }
    void use_from_this_thread(Stream) override { call("use"); }
    void* open_event() override { return &event_; }
    void record(void*, Stream stream) override { call(stream.handle == &copies_ ? "record copies" : "record ops"); }
    void hold_back(Stream stream, void*) override {
        call(stream.handle == &copies_ ? "hold back copies" : "hold back");
    }
    void drain(Stream) override {}
    void call(const char* name) {
        const std::lock_guard lock(mutex_);
        calls_.emplace_back(name);
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    bool free_ = false;
    int copied_ = 0;
    char copies_ = 0, event_ = 0;
    std::vector<std::string> calls_;
};

class Snapshots : public testing::Test {
 protected:
    void begin(Comm& comm, CheckpointWriter& writer) {
        CheckpointInfo info;
        info.step = 1;
        info.config_yaml = "run: {}\n";
        std::vector<StateTensor> list = state_.list();
        for (StateTensor& t : list) t.memory = &far_;
        writer.begin(comm, info, list);
    }
    Folder folder_;
    FarMemory far_;
    State state_{3};
};

TEST_F(Snapshots, AreTakenWhileTheNextStepComputes) {
    const auto comm = solo_comm();
    CheckpointWriter writer(folder_.path(), true, 0);
    begin(*comm, writer);  // returns, though nothing can be copied yet
    EXPECT_TRUE(writer.pending());
    EXPECT_FALSE(writer.done());
    EXPECT_EQ(far_.copied(), 0);
    far_.let_go();
    writer.wait_copied();
    EXPECT_EQ(far_.copied(), 3);
    const State before = state_;
    state_ = State(8);  // an update
    writer.finish(*comm);
    State loaded(0);
    load_checkpoint(open_checkpoint(folder_.path() / "step-00000001"), loaded.list(), false);
    EXPECT_EQ(loaded, before);
    // Copies wait for what was queued before; the thread takes the device before it copies.
    EXPECT_EQ(far_.calls(), (std::vector<std::string>{"record ops", "hold back copies", "use"}));
}

TEST_F(Snapshots, FailAsTheyAreFinished) {
    const auto comm = solo_comm();
    CheckpointWriter writer(folder_.path(), true, 0);
    far_.fails = true;
    begin(*comm, writer);
    far_.let_go();
    writer.wait_copied();  // training goes on, and meets the device's error itself
    try {
        writer.finish(*comm);
        FAIL();
    } catch (const Failure& failure) { EXPECT_NE(std::string(failure.what()).find("it burns"), std::string::npos); }
    EXPECT_FALSE(fs::exists(folder_.path() / "step-00000001"));
}

TEST_F(Snapshots, OfTheHostsMemoryAreTakenAtOnce) {
    const auto comm = solo_comm();
    CheckpointWriter writer(folder_.path(), true, 0);
    CheckpointInfo info;
    info.step = 1;
    info.config_yaml = "run: {}\n";
    writer.begin(*comm, info, state_.list());
    const State before = state_;
    state_ = State(8);
    writer.wait_copied();
    writer.finish(*comm);
    State loaded(0);
    load_checkpoint(open_checkpoint(folder_.path() / "step-00000001"), loaded.list(), false);
    EXPECT_EQ(loaded, before);
}

}  // namespace
}  // namespace sluice
