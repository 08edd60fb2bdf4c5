// The calls of a file that names each one, on their way to a trace. Rows whose time cannot
// be right beside the others' are errors like any other wrong row. Internal to
// sim/trace_calls.cc. Not thread-safe.
//
//   CallRows rows(options);
//   rows.add(csv.line(), rows.function("hello"), at_ns, service);
//   return std::move(rows).build(file, errors, {.name = "timestamp", .error = ...});
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "sim/read_rows.h"
#include "sim/trace.h"

namespace ebb::sim {

class CallRows final {
 public:
  static constexpr Duration kUnknown{-1};

  struct Times {
    const char* name = "";   // of the field that holds them
    bool ordered = false;    // whether a row must not be before the one above
    bool from_zero = false;  // they count from the trace's start, unless they are too late for that
    // What is wrong with the time of the row on a line, with the place. May read the file
    // again: it is asked for once.
    std::function<Error(size_t line, const std::string& what)> error;
  };

  explicit CallRows(const ReadOptions& options) : options_(options) {}

  [[nodiscard]] FunctionId function(const std::string& name);
  void memory(FunctionId id, float mb) {
    functions_[id].memory_mb = mb;
    memory_known_ = true;
  }
  // Times are not negative; the execution time may be kUnknown, and is then the mean of the
  // function's others.
  void add(size_t line, FunctionId id, int64_t at_ns, Duration service);

  [[nodiscard]] Result<Trace> build(const NamedText& file, RowErrors& errors,
                                    const Times& times) &&;

 private:
  struct Row {
    int64_t at_ns = 0;
    int64_t service_ns = 0;
    FunctionId function = 0;
    uint32_t line = 0;
  };

  [[nodiscard]] std::vector<int64_t> times() const;
  [[nodiscard]] Result<void> leave_out(std::vector<size_t> rows, const std::string& what,
                                       RowErrors& errors, const Times& times);
  [[nodiscard]] Result<void> check_order(RowErrors& errors, const Times& times);
  [[nodiscard]] Result<void> check_span(RowErrors& errors, const Times& times);

  ReadOptions options_;
  std::unordered_map<std::string, FunctionId> ids_;
  std::vector<Function> functions_;
  std::vector<Row> rows_;
  bool memory_known_ = false;  // of some function
};

}  // namespace ebb::sim
