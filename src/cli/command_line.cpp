#include "cli/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <string>
#include <type_traits>
#include <vector>

#include "base/check.h"
#include "base/nearest.h"
#include "base/number.h"

namespace sluice {
namespace {

using Words = std::vector<std::string>;
const char* const kHelp = "help";

const CLI::App* find_command(const CLI::App& app, const std::string& word) {
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
        if (command->get_name() == word) return command;
    return nullptr;
}

Words commands_of(const CLI::App& app) {
    Words names;
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
        names.push_back(command->get_name());
    return names;
}

// "sluice bench step"
std::string full_name(const CLI::App& app) {
    const CLI::App* parent = app.get_parent();
    return (parent ? full_name(*parent) + " " : "") + app.get_name();
}

[[noreturn]] void refuse(const CLI::App& app, const std::string& what) {
    fail(Exit::config, what + " (see " + full_name(app) + " --help)");
}

[[noreturn]] void refuse_command(const CLI::App& app, const std::string& word) {
    Words known = commands_of(app);
    known.push_back(kHelp);
    refuse(app, "unknown command '" + word + "'" + did_you_mean(nearest(word, known)));
}

// For `--micro-batch` of a command that takes keys of a config: train.micro_batch, if that is one of the keys.
std::string key_meant(const CLI::App& app, std::string name, const Words& keys) {
    if (!app.get_option_no_throw("overrides")) return "";
    std::replace(name.begin(), name.end(), '-', '_');
    return name.find('.') == std::string::npos ? nearest_path(name, keys) : name;
}

[[noreturn]] void refuse_option(const CLI::App& app, const std::string& word, const Words& keys) {
    const size_t equals = std::min(word.find('='), word.size());
    const std::string option = word.substr(0, equals), unknown = "unknown option '" + option + "'";
    const std::string name = option.substr(std::min(option.find_first_not_of('-'), option.size()));
    Words known;
    for (const CLI::Option* one : app.get_options())
        for (const std::string& long_name : one->get_lnames()) known.push_back(long_name);
    const std::string near = nearest(name, known), key = key_meant(app, name, keys);
    if (near.empty() && !key.empty())
        refuse(app, unknown + ": keys of a config have no dashes, as in " + key +
                        (equals == word.size() ? "=VALUE" : word.substr(equals)));
    refuse(app, unknown + did_you_mean(near.empty() ? "" : "--" + near));
}

// -5 and -.5 are values, not options.
bool is_option(const std::string& word) {
    return word.size() > 1 && word[0] == '-' && !std::isdigit(static_cast<unsigned char>(word[1])) && word[1] != '.';
}

// The command that the arguments name. Unknown commands and options before it are refused.
const CLI::App& refuse_unknown(const CLI::App& app, const Words& words, const Words& keys) {
    const CLI::App* at = &app;
    for (size_t i = 0; i < words.size() && words[i] != "--"; i++) {
        const std::string& word = words[i];
        if (is_option(word)) {
            const size_t equals = word.find('=');
            const CLI::Option* option = at->get_option_no_throw(word.substr(0, equals));
            if (!option) refuse_option(*at, word, keys);
            if (equals == std::string::npos) i += size_t(option->get_items_expected_min());
        } else if (const CLI::App* command = find_command(*at, word)) {
            at = command;
        } else if (!commands_of(*at).empty()) {
            refuse_command(*at, word);
        }
    }
    return *at;
}

bool is_help(const std::string& word) { return word == kHelp || word == "--help" || word == "-h"; }

// The help page of the command that these names lead to from here.
void print_help(const CLI::App& app, const Words& names) {
    const CLI::App* at = &app;
    for (const std::string& name : names) {
        const bool ends = commands_of(*at).empty();
        if (is_help(name) && (!ends || is_option(name))) continue;
        const CLI::App* command = find_command(*at, name);
        if (!command && is_option(name)) refuse_option(*at, name, {});
        if (!command && ends) refuse(*at, "'" + full_name(*at) + "' has no command '" + name + "'");
        if (!command) refuse_command(*at, name);
        at = command;
    }
    // As --help prints it: the usage line begins with the commands before.
    std::fputs(at->help(at->get_parent() ? full_name(*at->get_parent()) : "").c_str(), stdout);
}

// `help COMMAND`, `bench help step`: "help" where a command could be.
bool asks_for_help(const CLI::App& app, const Words& words) {
    const CLI::App* at = &app;
    for (const std::string& word : words) {
        if (commands_of(*at).empty()) return false;
        if (word == kHelp) return true;
        at = find_command(*at, word);
        if (!at) return false;
    }
    return words.empty();
}

}  // namespace

bool read_command_line(CLI::App& app, int argc, char** argv, const Words& keys) {
    const Words words(argv + 1, argv + argc);
    if (asks_for_help(app, words)) {
        print_help(app, words);
        return false;
    }
    try {
        app.parse(argc, argv);
        return true;
    } catch (const CLI::Success& page) {
        app.exit(page);
        return false;
    } catch (const CLI::ParseError& e) {
        const CLI::App& at = refuse_unknown(app, words, keys);
        std::string commands;
        for (const std::string& name : commands_of(at)) commands += (commands.empty() ? "" : ", ") + name;
        refuse(at, commands.empty() ? e.what() : "name a command: " + commands);
    }
}

template <class T>
CLI::Option* add_number(CLI::App& app, const std::string& name, T& value, T low, T high, const std::string& what) {
    constexpr bool whole = std::is_integral_v<T>;
    const std::string range = fmt::format("{} to {}", low, high);
    const auto read = [=, &value](const std::string& text) {
        std::conditional_t<whole, int64_t, double> number = 0;
        std::string why = read_number(text, number);
        if (why.empty() && !(number >= low && number <= high)) why = text + " is out of range: use " + range;
        if (!why.empty()) throw CLI::ValidationError(name, why);
        value = T(number);
    };
    return app.add_option_function<std::string>(name, read, what)
        ->type_name((whole ? "INT, " : "NUMBER, ") + range)
        ->default_str(fmt::format("{}", value));
}
template CLI::Option* add_number(CLI::App&, const std::string&, int&, int, int, const std::string&);
template CLI::Option* add_number(CLI::App&, const std::string&, int64_t&, int64_t, int64_t, const std::string&);
template CLI::Option* add_number(CLI::App&, const std::string&, double&, double, double, const std::string&);

}  // namespace sluice
