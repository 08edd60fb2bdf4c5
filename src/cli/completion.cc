#include "cli/completion.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <vector>

#include "api/kinds.h"

namespace ebb::cli {

namespace {

constexpr const char* kHead =
    "# Completes `ebb`. Made by `ebb completion {0}`: use that again after an update.\n";

// Print the names of the resources of one kind, of a service's revisions, of runtimes and
// of namespaces. `given` has the global flags of the line that is being typed, such as -n.
constexpr const char* kNames = R"(
_ebb_names() {
  ebb get "$1" -o name "${given[@]}" 2>/dev/null | sed 's|.*/||'
}

_ebb_revisions() {
  local -a which=()
  if [ -n "$1" ]; then which=(-l "serving.knative.dev/service=$1"); fi
  ebb get revisions "${which[@]}" -o name "${given[@]}" 2>/dev/null | sed 's|.*/||'
}

_ebb_runtimes() {
  ebb runtimes "${given[@]}" 2>/dev/null | sed '1d; s| .*||'
}

_ebb_namespaces() {
  ebb get services -A "${given[@]}" 2>/dev/null | sed '1d; s| .*||' | sort -u
}
)";

// Prints what may follow the words after the first argument, which is the word that is
// being typed; ":files" stands for file names.
constexpr const char* kWords = R"(
_ebb_words() {
  local current=$1 command= place=0 first= pending= word
  local -a given=()
  shift
  for word in "$@"; do
    if [ -n "$pending" ]; then
      [ "$word" = "=" ] && continue
      if _ebb_is_global "$pending"; then given+=("$pending" "$word"); fi
      pending=
      continue
    fi
    case "$word" in
      -*=*) if _ebb_is_global "${word%%=*}"; then given+=("$word"); fi ;;
      -*) if _ebb_takes_value "$command $word"; then pending=$word; fi ;;
      *)
        if [ -z "$command" ]; then
          command=$word
        else
          place=$((place + 1))
          if [ "$place" = 1 ]; then first=$word; fi
        fi ;;
    esac
  done
  if [ -n "$pending" ]; then
    _ebb_values "$command $pending" "$first"
    return
  fi
  case "$current" in
    -*) _ebb_flags "$command" ;;
    *) if [ -z "$command" ]; then _ebb_commands; else _ebb_places "$command $place" "$first"; fi ;;
  esac
}
)";

constexpr const char* kBash = R"(
_ebb() {
  local current=${COMP_WORDS[COMP_CWORD]} words
  if [ "$current" = "=" ]; then current=; fi
  words=$(_ebb_words "$current" "${COMP_WORDS[@]:1:COMP_CWORD-1}")
  if [ "$words" = ":files" ]; then
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  else
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  fi
}
complete -F _ebb ebb
)";

constexpr const char* kZsh = R"(
_ebb() {
  local answer
  answer=$(_ebb_words "${words[CURRENT]}" "${(@)words[2,CURRENT-1]}")
  if [ "$answer" = ":files" ]; then
    _files
  elif [ -n "$answer" ]; then
    compadd -- "${(@f)answer}"
  fi
}
compdef _ebb ebb
)";

// "{none,egress}" in the text that describes a value.
std::string choices_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const size_t open = type.find('{');
  const size_t close = type.find('}', open);
  if (open == std::string::npos || close == std::string::npos) return {};
  std::string words = type.substr(open + 1, close - open - 1);
  std::replace(words.begin(), words.end(), ',', ' ');
  return words;
}

std::string words_line(const std::string& words) { return "printf '%s\\n' " + words; }

std::string kinds() {
  std::string out;
  for (const api::Kind* kind : api::all_kinds()) {
    const bool hidden = api::find_kind(kind->plural) != kind;  // another one has that name
    if (!hidden) out.append(out.empty() ? "" : " ").append(kind->plural);
  }
  return out;
}

// The shell command that prints what a flag's value may be; empty: nothing is known.
std::string values_of(const CLI::Option& option) {
  if (const std::string choices = choices_of(option); !choices.empty()) return words_line(choices);
  const std::string name = option.get_lnames().empty() ? "" : option.get_lnames().front();
  constexpr std::array<std::string_view, 7> kFiles{
      "code", "filename", "kubeconfig", "certificate-authority", "config", "runtimes", "data"};
  if (std::find(kFiles.begin(), kFiles.end(), name) != kFiles.end()) return "echo :files";
  if (name == "revision") return "_ebb_revisions \"$2\"; printf '%s\\n' @latest";
  if (name == "to") return "_ebb_revisions \"$2\"";
  if (name == "pod") return "_ebb_names pods";
  if (name == "runtime") return "_ebb_runtimes";
  if (name == "namespace") return "_ebb_namespaces";
  return {};
}

std::string values_of_place(const CLI::Option& option, bool after_kind) {
  if (const std::string choices = choices_of(option); !choices.empty()) return words_line(choices);
  const std::string name = option.get_name(true);
  if (name == "KIND") return words_line(kinds());
  if (name == "COMMAND") return "_ebb_commands";
  if (name == "FILE") return "echo :files";
  if (name == "NAME") return after_kind ? "_ebb_names \"$2\"" : "_ebb_names services";
  return {};
}

std::vector<std::string> names_of(const CLI::Option& option) {
  std::vector<std::string> out;
  for (const auto& name : option.get_lnames()) out.push_back("--" + name);
  for (const auto& name : option.get_snames()) out.push_back("-" + name);
  return out;
}

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

// The bodies of the shell's `case` statements, filled from the tree of commands.
struct Cases {
  std::string flags;
  std::string valued;
  std::string values;
  std::string places;

  // Flags of `app` under the pattern `command`, which is "*" for those of all commands.
  void add_flags(const CLI::App& app, const std::string& command) {
    for (const CLI::Option* option : app.get_options()) {
      if (option->get_positional()) continue;
      for (const std::string& name : names_of(*option)) {
        if (!takes_value(*option)) continue;
        valued += fmt::format("    {}\" {}\") return 0 ;;\n", command, name);
        const std::string known = values_of(*option);
        if (known.empty()) continue;
        values += fmt::format("    {}\" {}\") {} ;;\n", command, name, known);
      }
    }
  }
  void add_places(const CLI::App& app) {
    int place = 0;
    bool after_kind = false;
    for (const CLI::Option* option : app.get_options()) {
      if (!option->get_positional()) continue;
      const std::string known = values_of_place(*option, after_kind);
      after_kind = after_kind || option->get_name(true) == "KIND";
      // The last one may take several values.
      const bool many = option->get_items_expected_max() > 1;
      const std::string pattern = many ? "*" : std::to_string(place);
      if (!known.empty()) {
        places += fmt::format("    \"{} \"{}) {} ;;\n", app.get_name(), pattern, known);
      }
      ++place;
    }
  }
};

std::string all_flags(const CLI::App& app) {
  std::string out;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional()) continue;
    for (const std::string& name : names_of(*option)) out += (out.empty() ? "" : " ") + name;
  }
  return out;
}

// Flags with a value that any command takes.
std::string globals(const CLI::App& app) {
  std::string out;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional() || !takes_value(*option)) continue;
    for (const std::string& name : names_of(*option)) out += (out.empty() ? "" : "|") + name;
  }
  return fmt::format("    {}) return 0 ;;\n", out);
}

std::string function(const std::string& name, const std::string& cases, const std::string& last) {
  return fmt::format("\n{}() {{\n  case \"$1\" in\n{}  esac\n{}}}\n", name, cases, last);
}

}  // namespace

std::string completion_script(const CLI::App& app, Shell shell) {
  Cases cases;
  std::string commands;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    const std::string& name = command->get_name();
    commands += (commands.empty() ? "" : " ") + name;
    cases.add_flags(*command, "\"" + name + "\"");
    cases.add_places(*command);
    cases.flags += fmt::format("    {}) {} ;;\n", name, words_line(all_flags(*command)));
  }
  cases.add_flags(app, "*");
  std::string script = fmt::format(kHead, shell == Shell::kZsh ? "zsh" : "bash");
  script += kNames;
  script += "\n_ebb_commands() {\n  " + words_line(commands) + "\n}\n";
  script += function("_ebb_flags", cases.flags, "  " + words_line(all_flags(app)) + "\n");
  script += function("_ebb_takes_value", cases.valued, "  return 1\n");
  script += function("_ebb_is_global", globals(app), "  return 1\n");
  script += function("_ebb_values", cases.values, "");
  script += function("_ebb_places", cases.places, "");
  script += kWords;
  script += shell == Shell::kZsh ? kZsh : kBash;
  return script;
}

}  // namespace ebb::cli
