#include "sim/policy_reader.h"

#include "sim/start_time.h"

namespace ebb::sim {
namespace {

std::string shown(Duration duration) {
  const double seconds = std::chrono::duration<double>(duration).count();
  if (seconds != 0 && seconds < 1) return fmt::format("{:g}ms", seconds * 1000);
  if (seconds >= 3600) return fmt::format("{:g}h", seconds / 3600);
  return fmt::format("{:g}s", seconds);
}

}  // namespace

void PolicyReader::time(const char* name, Duration& out, Duration least, Duration most) {
  const std::string* text = find(name);
  if (text == nullptr) return;
  const auto value = parse_duration(*text);
  if (!value) {
    note(fmt::format("{}: {}", name, value.error().message));
  } else if (*value < least || *value > most) {
    note(fmt::format("{} must be {} to {}, not {}", name, shown(least), shown(most), *text));
  } else {
    out = *value;
  }
}

std::optional<std::string> PolicyReader::word(const char* name) {
  const std::string* text = find(name);
  return text == nullptr ? std::nullopt : std::optional(*text);
}

PolicySettings PolicyReader::rest() {
  PolicySettings out;
  for (const auto& [name, value] : settings_) {
    if (asked_.insert(name).second) out.emplace(name, value);
  }
  return out;
}

void PolicyReader::note(std::string problem) {
  if (problem_.empty()) problem_ = std::move(problem);
}

Result<void> PolicyReader::end() const {
  if (!problem_.empty()) return fail(Errc::kInvalid, "{}", problem_);
  for (const auto& [name, value] : settings_) {
    if (asked_.contains(name)) continue;
    std::string known;
    for (const auto& other : asked_) known += (known.empty() ? "" : ", ") + other;
    return fail(Errc::kInvalid, "no setting \"{}\" here; there are: {}", name, known);
  }
  return {};
}

const std::string* PolicyReader::find(const char* name) {
  asked_.insert(name);
  const auto found = settings_.find(std::string_view(name));
  return found == settings_.end() ? nullptr : &found->second;
}

}  // namespace ebb::sim
