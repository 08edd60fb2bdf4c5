#include "sim/trace_files.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "base/file.h"
#include "sim/trace_calls.h"

namespace ebb::sim {
namespace {

namespace fs = std::filesystem;

struct Siblings {
  std::string_view invocations;
  std::string_view durations;
  std::string_view memory;
};
// The part of the file's name that differs.
constexpr std::array<Siblings, 3> kSiblings{{
    {"_inv", "_run", "_mem"},
    {"invocations_per_function_md", "function_durations_percentiles", "app_memory_percentiles"},
    {"invocations", "durations", "memory"},
}};

// The file beside `path`, or "" if it is not there.
std::string sibling(const std::string& path, std::string_view Siblings::* which) {
  const fs::path file(path);
  const std::string name = file.filename();
  for (const Siblings& kind : kSiblings) {
    const size_t at = name.find(kind.invocations);
    if (at == std::string::npos) continue;
    std::string other = name;
    other.replace(at, kind.invocations.size(), kind.*which);
    const fs::path beside = file.parent_path() / other;
    std::error_code ignored;
    return fs::is_regular_file(beside, ignored) ? beside.string() : std::string();
  }
  return {};
}

Result<std::string> text_of(const std::string& path) {
  if (path.empty()) return std::string();
  return read_file(path, kMaxTraceBytes);
}

// A file that is there says something.
Result<void> check_text(const std::string& path, const std::string& text) {
  if (path.empty() || !text.empty()) return {};
  return fail(Errc::kInvalid, "{}: the file is empty", path);
}

}  // namespace

const char* to_string(TraceFormat format) {
  switch (format) {
    case TraceFormat::kAzure2019:
      return "Azure Functions 2019";
    case TraceFormat::kAzure2021:
      return "Azure Functions 2021";
    case TraceFormat::kAccessLog:
      return "access log";
    case TraceFormat::kPlain:
      return "plain";
  }
  return "unknown";
}

TraceFormat format_of(std::string_view text) {
  const std::string_view line = text.substr(0, std::min(text.find('\n'), text.size()));
  if (line.find("HashFunction") != std::string_view::npos) return TraceFormat::kAzure2019;
  if (line.find("end_timestamp") != std::string_view::npos) return TraceFormat::kAzure2021;
  if (line.starts_with("{")) return TraceFormat::kAccessLog;
  return TraceFormat::kPlain;
}

Result<Trace> open_trace(const TraceFiles& files, const ReadOptions& options) {
  const auto text = text_of(files.path);
  if (!text) return fail(text.error());
  const NamedText main{files.path, *text};
  switch (format_of(*text)) {
    case TraceFormat::kAzure2019:
      break;
    case TraceFormat::kAzure2021:
      return parse_azure2021(main, options);
    case TraceFormat::kAccessLog:
      return parse_access_log(main, options);
    case TraceFormat::kPlain:
      return parse_plain(main, options);
  }
  const std::string durations_path =
      files.durations.empty() ? sibling(files.path, &Siblings::durations) : files.durations;
  const std::string memory_path =
      files.memory.empty() ? sibling(files.path, &Siblings::memory) : files.memory;
  const auto durations = text_of(durations_path);
  if (!durations) return fail(durations.error());
  if (auto ok = check_text(durations_path, *durations); !ok) return fail(ok.error());
  const auto memory = text_of(memory_path);
  if (!memory) return fail(memory.error());
  if (auto ok = check_text(memory_path, *memory); !ok) return fail(ok.error());
  return parse_azure2019({main, {durations_path, *durations}, {memory_path, *memory}}, options);
}

Result<Trace> open_trace(const std::string& path) {
  return open_trace(TraceFiles{.path = path, .durations = {}, .memory = {}});
}

}  // namespace ebb::sim
