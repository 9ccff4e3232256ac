#include "report/csv.h"

#include <fmt/format.h>

#include "report/statistics.h"

namespace sluice {
namespace {

// RFC 4180: what has a comma, a quote or a line's end stands in quotes.
std::string field(const std::string& text) {
    if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
    std::string quoted = "\"";
    for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
    return quoted + "\"";
}

class Row {
 public:
    void text(const std::string& text) {
        line_ += (empty_ ? "" : ",") + field(text);
        empty_ = false;
    }
    template <class T>
    void number(const std::optional<T>& number) {
        text(number ? fmt::format("{}", *number) : "");
    }
    std::string line() const { return line_ + "\n"; }

 private:
    std::string line_;
    bool empty_ = true;
};

}  // namespace

std::string report_csv(const Study& study) {
    Row head;
    head.text("variant");
    for (const std::string& axis : study.axes) head.text(axis);
    for (const char* column : {"seed", "state", "parameters", "gates", "tokens", "loss"}) head.text(column);
    for (const std::vector<std::string>* keys : {&study.evals, &study.probes})
        for (const std::string& key : *keys) head.text(key);
    head.text("tokens_per_second");
    head.text("spikes");
    std::string csv = head.line();
    for (const Group& group : study.groups())
        for (const StudyPoint* point : group.points) {
            Row row;
            row.text(group.variant);
            for (const std::string& value : group.axes) row.text(value);
            row.text(std::to_string(point->point.seed));
            row.text(enum_name(point->status.state));
            row.number(point->parameters);
            row.number(point->gates);
            row.number(point->tokens);
            row.number(point->run.last("loss"));
            for (const std::vector<std::string>* keys : {&study.evals, &study.probes})
                for (const std::string& key : *keys) row.number(point->run.last(key));
            row.number(point->run.median("tokens_per_second"));
            row.number(point->spikes);
            csv += row.line();
        }
    return csv;
}

std::string summary_csv(const Study& study) {
    Row head;
    head.text("variant");
    for (const std::string& axis : study.axes) head.text(axis);
    head.text("n");
    for (const std::string& key : study.evals)
        for (const char* of : {"", "/difference", "/low", "/high"}) head.text(key + of);
    std::string csv = head.line();
    const std::vector<Group> groups = study.groups();
    for (const Group& group : groups) {
        Row row;
        row.text(group.variant);
        for (const std::string& value : group.axes) row.text(value);
        int n = 0;
        for (const StudyPoint* point : group.points) n += point->counts;
        row.text(std::to_string(n));
        const Group* baseline = baseline_of(study, groups, group);
        for (const std::string& key : study.evals) {
            const std::optional<Interval> mean = mean_of(group, last_of(key));
            std::optional<Interval> difference;
            if (baseline && group.variant != study.baseline) difference = difference_of(group, *baseline, last_of(key));
            row.number(mean ? std::optional(mean->mean) : std::nullopt);
            row.number(difference ? std::optional(difference->mean) : std::nullopt);
            row.number(difference ? difference->low : std::nullopt);
            row.number(difference ? difference->high : std::nullopt);
        }
        csv += row.line();
    }
    return csv;
}

}  // namespace sluice
