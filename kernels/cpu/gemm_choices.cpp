// Which way multiplies which shape: this process's table, and the machine's file behind it. The file is locked while a
// product is timed, so that ranks and runs beside each other neither disturb the timing nor choose apart.
#include <fcntl.h>
#include <oneapi/dnnl/dnnl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <thread>
#include <tuple>

#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/machine.h"
#include "kernels/cpu/gemm.h"

namespace sluice {
namespace {

thread_local int tuning = 0;

using Key = std::tuple<GemmShape, bool, int>;
Key key_of(const GemmChoice& c) { return {c.shape, c.ragged, c.threads}; }

struct Table {
    std::mutex mutex;
    std::map<Key, GemmWay> ways;  // known here
    std::map<Key, GemmWay> used;  // by products of this process
    bool alone = false;           // no file can be locked: nothing is timed
};
Table& table() {
    static Table table;
    return table;
}

std::string hash_machine() {
    Hash hash;
    hash.add(processor());
    hash.add(std::string(dnnl_version()->hash));
    hash.add(std::to_string(dnnl_get_effective_cpu_isa()));
    hash.add(blis_version());
    return hash.hex().substr(0, 16);
}

// The machine's file, locked for this process, until destroyed.
class LockedFile {
 public:
    LockedFile() : path_(cache_folder()) {
        if (path_.empty()) return;
        std::error_code ignored;
        std::filesystem::create_directories(path_, ignored);
        path_ /= "gemm-" + gemm_machine() + ".txt";
        fd_ = ::open((path_.string() + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        if (fd_ < 0) return;
        // Who holds it for longer than a product takes to time is stopped, not busy.
        for (int i = 0; i < 3000; i++) {
            locked_ = ::flock(fd_, LOCK_EX | LOCK_NB) == 0;
            if (locked_ || errno != EWOULDBLOCK) return;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
    }
    ~LockedFile() {
        if (fd_ >= 0) ::close(fd_);
    }
    LockedFile(const LockedFile&) = delete;
    LockedFile& operator=(const LockedFile&) = delete;

    bool locked() const { return locked_; }
    // What is there; lines that are no choices are passed over.
    std::map<Key, GemmWay> read() const {
        std::map<Key, GemmWay> ways;
        std::ifstream file(path_);
        GemmChoice choice;
        for (std::string line; std::getline(file, line);)
            if (from_line(line, choice)) ways[key_of(choice)] = choice.way;
        return ways;
    }
    bool write(const std::map<Key, GemmWay>& ways) const {
        std::string text;
        for (const auto& [key, way] : ways)
            text += to_line({std::get<0>(key), std::get<1>(key), std::get<2>(key), way}) + "\n";
        try {
            write_file(path_, text);
        } catch (const Failure&) { return false; }
        return true;
    }

 private:
    std::filesystem::path path_;
    int fd_ = -1;
    bool locked_ = false;
};

}  // namespace

std::string to_line(const GemmChoice& c) {
    std::ostringstream line;
    line << to_word(c.way) << ' ' << c.shape.m << 'x' << c.shape.n << 'x' << c.shape.k << ' '
         << (c.shape.transpose_a ? 't' : 'n') << (c.shape.transpose_b ? 't' : 'n') << (c.shape.add ? " add" : " set")
         << (c.ragged ? " ragged" : "") << " threads " << c.threads;
    return line.str();
}

bool from_line(const std::string& line, GemmChoice& c) {
    std::istringstream in(line);
    std::string way, order, into, word;
    char x = 0, y = 0;
    in >> way >> c.shape.m >> x >> c.shape.n >> y >> c.shape.k >> order >> into >> word;
    c.ragged = word == "ragged";
    if (c.ragged) in >> word;
    in >> c.threads;
    c.shape.transpose_a = order[0] == 't';
    c.shape.transpose_b = order.size() == 2 && order[1] == 't';
    c.shape.add = into == "add";
    return !in.fail() && c.shape.m > 0 && c.shape.n > 0 && c.shape.k > 0 && c.threads > 0 && from_word(way, c.way) &&
           to_line(c) == line;
}

GemmTuning::GemmTuning() { tuning++; }
GemmTuning::~GemmTuning() { tuning--; }
bool GemmTuning::wanted() { return tuning > 0; }

const std::string& gemm_machine() {
    static const std::string machine = hash_machine();
    return machine;
}

std::vector<GemmChoice> gemm_choices() {
    const std::lock_guard lock(table().mutex);
    std::vector<GemmChoice> choices;
    for (const auto& [key, way] : table().used)
        choices.push_back({std::get<0>(key), std::get<1>(key), std::get<2>(key), way});
    return choices;
}

void use_gemm_choices(const std::vector<GemmChoice>& choices) {
    const std::lock_guard lock(table().mutex);
    for (const GemmChoice& c : choices) table().ways[key_of(c)] = c.way;
}

GemmWay choose_gemm_way(GemmChoice wanted, const std::function<GemmWay()>& time_all) {
    const Key key = key_of(wanted);
    const std::lock_guard lock(table().mutex);
    auto& ways = table().ways;
    const auto use = [&](GemmWay way) { return table().used[key] = way; };
    if (const auto known = ways.find(key); known != ways.end()) return use(known->second);
    if (!GemmTuning::wanted()) return wanted.way;
    if (table().alone) return use(ways[key] = wanted.way);
    const LockedFile file;
    table().alone = !file.locked();
    if (table().alone) return use(ways[key] = wanted.way);
    auto kept = file.read();
    for (const auto& [other, way] : kept) ways.emplace(other, way);  // but what is used already stays
    if (const auto known = ways.find(key); known != ways.end()) return use(known->second);
    kept[key] = time_all();
    return use(ways[key] = file.write(kept) ? kept[key] : wanted.way);
}

}  // namespace sluice
