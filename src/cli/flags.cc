#include "cli/flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <sstream>

#include "api/duration.h"
#include "api/kinds.h"
#include "api/validate.h"
#include "base/quote.h"

namespace ebb::cli {

namespace {

template <class T>
CLI::Option* one_value(CLI::App* app, const std::string& names, T& value, const std::string& help) {
  return app->add_option(names, value, help)->envname(variable_of(names));
}

}  // namespace

std::string variable_of(const std::string& names) {
  std::string name = names.substr(names.rfind("--") + 2);
  std::replace(name.begin(), name.end(), '-', '_');
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return "EBB_" + name;
}

CLI::Option* flag(CLI::App* app, const std::string& names, std::string& value,
                  const std::string& help) {
  return one_value(app, names, value, help);
}

CLI::Option* flag(CLI::App* app, const std::string& names, int& value, const std::string& help) {
  return one_value(app, names, value, help);
}

CLI::Option* flag(CLI::App* app, const std::string& names, std::optional<int>& value,
                  const std::string& help) {
  return one_value(app, names, value, help);
}

CLI::Option* flag(CLI::App* app, const std::string& names, std::vector<std::string>& values,
                  const std::string& help) {
  // One value per flag, so that what follows may be a positional argument.
  auto* option = app->add_option(names, values, help)->envname(variable_of(names));
  return option->allow_extra_args(false)->type_name("KEY=VALUE");
}

CLI::Option* toggle(CLI::App* app, const std::string& names, bool& value, const std::string& help) {
  return app->add_flag(names, value, help)->envname(variable_of(names));
}

void example(CLI::App* app, const std::string& lines) {
  app->footer("Example:\n" + lines + "\n" + kSeeAlso);
}

Result<std::vector<KeyValue>> key_values(const std::vector<std::string>& texts,
                                         const char* option) {
  std::vector<KeyValue> out;
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return fail(Errc::kInvalid, "{}: {} must have the form KEY=VALUE", option, in_quotes(text));
    }
    out.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

std::vector<std::string> by_line(const CLI::Option& flag, const std::vector<std::string>& values) {
  // CLI11 does not tell where a value comes from: from the variable there is always one.
  const char* variable = std::getenv(flag.get_envname().c_str());
  if (variable == nullptr || values.size() != 1 || values.front() != variable) return values;
  std::vector<std::string> out;
  std::istringstream lines(values.front());
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty()) out.push_back(line);
  }
  return out;
}

Result<net::Address> address(const std::string& text, const char* option) {
  auto parsed = net::Address::parse(text);
  if (!parsed) return fail(Errc::kInvalid, "{}: {}", option, parsed.error().message);
  return parsed;
}

Result<Duration> positive_duration(const std::string& text, const char* option, Duration most) {
  const auto parsed = api::parse_duration(text);
  if (!parsed || *parsed <= Duration(0) || *parsed > most) {
    return fail(Errc::kInvalid, "{}: {} must be a duration such as 30s, up to {}h", option,
                in_quotes(text), most / std::chrono::hours(1));
  }
  return *parsed;
}

Result<void> check_name(const std::string& name) {
  constexpr size_t kMaxName = 253;
  const bool valid = std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
  if (valid && name.size() <= kMaxName && !name.starts_with('.')) return {};
  return fail(Errc::kInvalid, "{} is not a name: use a-z, 0-9 and -", in_quotes(name));
}

Result<void> check_service_name(const std::string& name) {
  if (api::is_dns1035_label(name)) return {};
  return fail(Errc::kInvalid, "{} is not a service name: use a-z, 0-9 and -, start with a letter",
              in_quotes(name));
}

Result<void> split_kind(std::string& kind, std::vector<std::string>& names) {
  if (kind.find('/') == std::string::npos) return {};
  std::vector<std::string> words{kind};
  words.insert(words.end(), names.begin(), names.end());
  names.clear();
  for (const std::string& word : words) {
    const size_t slash = word.find('/');
    if (slash == std::string::npos) {
      return fail(Errc::kInvalid, "{} is not of the form KIND/NAME, as {} is", in_quotes(word),
                  words[0]);
    }
    const std::string first = word.substr(0, slash);
    if (auto ok = check_kind(first); !ok) return ok;
    if (slash + 1 == word.size()) return fail(Errc::kInvalid, "{} names nothing", in_quotes(word));
    if (names.empty()) kind = first;
    if (api::find_kind(first) != api::find_kind(kind)) {
      return fail(Errc::kInvalid, "{} and {} are of two kinds: name one kind at a time", words[0],
                  word);
    }
    names.push_back(word.substr(slash + 1));
  }
  return {};
}

Result<void> split_kind(std::string& kind, std::string& name) {
  std::vector<std::string> names;
  if (!name.empty()) names.push_back(name);
  if (auto ok = split_kind(kind, names); !ok) return ok;
  if (names.size() > 1) {
    return fail(Errc::kInvalid, "only one can be named: {} or {}", names[0], names[1]);
  }
  if (!names.empty()) name = names[0];
  return {};
}

Result<void> check_kind(const std::string& kind) {
  if (api::find_kind(kind) != nullptr) return {};
  return fail(Errc::kInvalid,
              "{} is not a kind of resource: services, revisions, routes, configurations, "
              "pods, nodes, events, podautoscalers or horizontalpodautoscalers",
              in_quotes(kind));
}

}  // namespace ebb::cli
