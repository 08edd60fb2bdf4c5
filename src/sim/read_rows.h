// Reading the rows of a trace's file, where some may be wrong. Texts in, values or errors
// with file, line and column out. Internal to sim/trace_*.cc but for ReadOptions. Not
// thread-safe.
//
//   RowErrors errors(options);
//   auto ok = read_rows(csv, errors, csv.fields().size(), [&]() -> Result<void> { ...
//   csv.number(...) ... }); builder.skipped(errors.skipped());
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "base/result.h"
#include "sim/csv.h"
#include "sim/trace.h"

namespace ebb::sim {

struct ReadOptions {
  // What a function has where no file says more about it.
  float mean_ms = 100;
  float memory_mb = 128;
  // Rows that are wrong are left out and counted in Trace::skipped. Otherwise the first
  // is an error. What is wrong with a file as a whole, such as a missing column, always is.
  bool lenient = false;
};

// A text and the name of its file, for errors.
struct NamedText {
  std::string name;
  std::string_view text;
};

// What becomes of rows that are wrong.
class RowErrors final {
 public:
  explicit RowErrors(const ReadOptions& options) : lenient_(options.lenient) {}

  // What is wrong with so many rows, or with the first of them. The error itself if reading
  // is to end with it.
  [[nodiscard]] Result<void> add(const Error& error, uint64_t rows = 1) {
    if (!lenient_) return fail(error);
    if (skipped_.rows == 0) skipped_.first = error.message;
    skipped_.rows += rows;
    return {};
  }
  [[nodiscard]] const SkippedRows& skipped() const { return skipped_; }

  // That a file has no call, or no function.
  [[nodiscard]] Error nothing_in(const NamedText& file, std::string_view what) const {
    std::string message = fmt::format("{}: no {} in it", file.name, what);
    if (skipped_.rows > 0) {
      message += fmt::format(": {} row{} wrong, the first at {}", skipped_.rows,
                             skipped_.rows == 1 ? " was" : "s were", skipped_.first);
    }
    return {Errc::kInvalid, std::move(message)};
  }

 private:
  bool lenient_;
  SkippedRows skipped_;
};

// All rows that are left; `row` reads the one that the reader is at. One with more than `most`
// fields is wrong.
template <class Row>
[[nodiscard]] Result<void> read_rows(CsvReader& csv, RowErrors& errors, size_t most,
                                     const Row& row) {
  while (csv.next()) {
    const auto too_many = [&] {
      return csv.error_at(most, fmt::format("the row has {} fields, {} at most are read",
                                            csv.fields().size(), most));
    };
    const Result<void> read = csv.has_more_than(most) ? fail(too_many()) : row();
    if (read) continue;
    if (auto ok = errors.add(read.error()); !ok) return ok;
  }
  if (csv.failed()) return fail(csv.error());
  return {};
}

}  // namespace ebb::sim
