#include "base/command_line.h"

#include <CLI/CLI.hpp>
#include <cctype>
#include <cstdio>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/nearest.h"

namespace sluice {
namespace {

using Words = std::vector<std::string>;

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
    refuse(app, "unknown command '" + word + "' (did you mean '" + nearest(word, commands_of(app)) + "'?)");
}

[[noreturn]] void refuse_option(const CLI::App& app, const std::string& word) {
    const std::string name = word.substr(0, word.find('='));
    const size_t dashes = std::min(word.find_first_not_of('-'), word.size());
    if (name.find('.') != std::string::npos && app.get_option_no_throw("overrides"))
        refuse(app, "unknown option '" + name + "': keys of a config have no dashes, as in " +
                        (word == name ? name.substr(dashes) + "=VALUE" : word.substr(dashes)));
    Words known;
    for (const CLI::Option* option : app.get_options())
        for (const std::string& long_name : option->get_lnames()) known.push_back("--" + long_name);
    refuse(app, "unknown option '" + name + "' (did you mean '" + nearest("--" + name.substr(dashes), known) + "'?)");
}

// -5 and -.5 are values.
bool is_option(const std::string& word) {
    return word.size() > 1 && word[0] == '-' && !std::isdigit(static_cast<unsigned char>(word[1])) && word[1] != '.';
}

// The command whose words come last; commands and options on the way that are not known are refused.
const CLI::App& refuse_unknown(const CLI::App& app, const Words& words) {
    const CLI::App* at = &app;
    for (size_t i = 0; i < words.size() && words[i] != "--"; i++) {
        const std::string& word = words[i];
        if (is_option(word)) {
            const size_t equals = word.find('=');
            const CLI::Option* option = at->get_option_no_throw(word.substr(0, equals));
            if (!option) refuse_option(*at, word);
            if (equals == std::string::npos) i += size_t(option->get_items_expected_min());
        } else if (const CLI::App* command = find_command(*at, word)) {
            at = command;
        } else if (!commands_of(*at).empty()) {
            refuse_command(*at, word);
        }
    }
    return *at;
}

void print_help(const CLI::App& app, const Words& names) {
    const CLI::App* at = &app;
    for (const std::string& name : names) {
        const CLI::App* command = find_command(*at, name);
        if (!command && commands_of(*at).empty()) refuse(*at, "'" + full_name(*at) + "' has no command '" + name + "'");
        if (!command) refuse_command(*at, name);
        at = command;
    }
    // As the page of --help, whose usage line names the commands before.
    std::fputs(at->help(at->get_parent() ? full_name(*at->get_parent()) : "").c_str(), stdout);
}

}  // namespace

bool read_command_line(CLI::App& app, int argc, char** argv) {
    const Words words(argv + 1, argv + argc);
    if (words.empty() || words[0] == "help") {
        print_help(app, words.empty() ? words : Words(words.begin() + 1, words.end()));
        return false;
    }
    try {
        app.parse(argc, argv);
        return true;
    } catch (const CLI::Success& page) {
        app.exit(page);
        return false;
    } catch (const CLI::ParseError& e) {
        const CLI::App& at = refuse_unknown(app, words);
        std::string commands;
        for (const std::string& name : commands_of(at)) commands += (commands.empty() ? "" : ", ") + name;
        refuse(at, commands.empty() ? e.what() : "name a command: " + commands);
    }
}

}  // namespace sluice
