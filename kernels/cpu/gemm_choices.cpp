// Which way multiplies which shape: this process's table, and the machine's file behind it.
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

#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/machine.h"
#include "kernels/cpu/gemm.h"

namespace sluice {
namespace {

thread_local int tuning = 0;

using Key = std::pair<GemmShape, int>;
Key key_of(const GemmChoice& c) { return {c.shape, c.threads}; }

struct Table {
    std::mutex mutex;
    std::map<Key, GemmWay> ways;  // known here
    std::map<Key, GemmWay> used;  // by products of this process
    bool alone = false;           // the file cannot be locked or written: nothing is timed
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

// The machine's file; nowhere: the path is empty.
std::filesystem::path choices_file() {
    const auto folder = cache_folder();
    return folder.empty() ? folder : folder / ("gemm-" + gemm_machine() + ".txt");
}

// What is there; lines that are no choices are passed over.
std::map<Key, GemmWay> read_choices() {
    std::map<Key, GemmWay> ways;
    std::ifstream file(choices_file());
    GemmChoice choice;
    for (std::string line; std::getline(file, line);)
        if (from_line(line, choice)) ways[key_of(choice)] = choice.way;
    return ways;
}

bool write_choices(const std::map<Key, GemmWay>& ways) {
    std::string text;
    for (const auto& [key, way] : ways) text += to_line({key.first, key.second, way}) + "\n";
    try {
        write_file(choices_file(), text);
    } catch (const Failure&) { return false; }
    return true;
}

// Held while a product is timed, so that nothing of ours disturbs it and two do not choose apart.
class Lock {
 public:
    Lock() {
        const auto path = choices_file();
        if (path.empty()) return;
        std::error_code ignored;
        std::filesystem::create_directories(path.parent_path(), ignored);
        fd_ = ::open((path.string() + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        if (fd_ < 0) return;
        // Who holds it for longer than two minutes is stopped, not busy.
        for (int i = 0; i < 12000; i++) {
            locked_ = ::flock(fd_, LOCK_EX | LOCK_NB) == 0;
            if (locked_ || errno != EWOULDBLOCK) return;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
    }
    ~Lock() {
        if (fd_ >= 0) ::close(fd_);
    }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;
    bool locked() const { return locked_; }

 private:
    int fd_ = -1;
    bool locked_ = false;
};

}  // namespace

std::string to_line(const GemmChoice& c) {
    std::ostringstream line;
    line << to_word(c.way) << ' ' << c.shape.m << 'x' << c.shape.n << 'x' << c.shape.k << ' '
         << (c.shape.transpose_a ? 't' : 'n') << (c.shape.transpose_b ? 't' : 'n') << (c.shape.add ? " add" : " set")
         << (c.shape.ragged ? " ragged" : "") << " threads " << c.threads;
    return line.str();
}

bool from_line(const std::string& line, GemmChoice& c) {
    std::istringstream in(line);
    std::string way, order, into, word;
    char x = 0, y = 0;
    in >> way >> c.shape.m >> x >> c.shape.n >> y >> c.shape.k >> order >> into >> word;
    c.shape.ragged = word == "ragged";
    if (c.shape.ragged) in >> word;
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
    for (const auto& [key, way] : table().used) choices.push_back({key.first, key.second, way});
    return choices;
}

void use_gemm_choices(const std::vector<GemmChoice>& choices) {
    const std::lock_guard lock(table().mutex);
    for (const GemmChoice& c : choices) table().used[key_of(c)] = table().ways[key_of(c)] = c.way;
}

GemmWay choose_gemm_way(const GemmChoice& wanted, const std::function<GemmWay()>& time_all) {
    const Key key = key_of(wanted);
    const std::lock_guard lock(table().mutex);
    auto& ways = table().ways;
    const auto known = [&](const std::map<Key, GemmWay>& from) { return from.find(key) != from.end(); };
    const auto use = [&](GemmWay way) { return table().used[key] = ways[key] = way; };
    if (known(ways)) return table().used[key] = ways[key];
    if (!GemmTuning::wanted() || (!time_all && wanted.shape.ragged)) return wanted.way;
    if (!time_all) return use(wanted.way);
    if (const auto kept = read_choices(); known(kept)) return use(kept.at(key));
    if (table().alone) return use(wanted.way);
    const Lock machine;
    auto kept = read_choices();  // another process may have timed it meanwhile
    if (known(kept)) return use(kept[key]);
    if (machine.locked()) {
        kept[key] = time_all();
        if (write_choices(kept)) return use(kept[key]);
    }
    table().alone = true;
    return use(wanted.way);
}

}  // namespace sluice
