// Rows of a CSV text (RFC 4180: fields in double quotes may hold commas, quotes and
// line breaks; lines end in LF or CRLF; empty lines are skipped).
//
// Not thread-safe. Fields are views into the text, or into the reader where a quoted
// field had to be unescaped; both last until the next row.
//
//   CsvReader csv(text, "run.csv");
//   while (csv.next()) use(csv.fields());
//   if (csv.failed()) return csv.error();    // "run.csv:17:1: ..."
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ebb::sim {

// What of a field an error may show: its beginning, without what a terminal obeys.
[[nodiscard]] std::string shown(std::string_view field);

class CsvReader final {
 public:
  static constexpr size_t kMaxFields = 100000;  // in a row

  // `name` is the file's, for errors. The text must outlive the reader.
  CsvReader(std::string_view text, std::string name) : rest_(text), name_(std::move(name)) {}

  // The next row that is not empty; false at the end or when the text is malformed.
  [[nodiscard]] bool next();
  [[nodiscard]] const std::vector<std::string_view>& fields() const { return fields_; }
  [[nodiscard]] size_t line() const { return line_; }  // of the row's start, from 1

  // After next() said false: whether that was an error.
  [[nodiscard]] bool failed() const { return problem_ != nullptr; }
  // "name:line:column: what", both from 1; of the row's start, or of one of its fields. A
  // field beyond the last one is at the row's end. For failed(), what and where are known.
  [[nodiscard]] Error error(std::string_view what) const;
  [[nodiscard]] Error error_at(size_t field, std::string_view what) const;
  [[nodiscard]] Error error() const { return error_at(problem_field_, problem_); }

  // Whether something stands behind the row's first `fields` fields.
  [[nodiscard]] bool has_more_than(size_t fields) const;
  // The row's field without blanks around it; empty if there is none.
  [[nodiscard]] std::string_view text(size_t field) const;
  // The row's field as a finite number within [least, most]; "what" names it.
  [[nodiscard]] Result<double> number(size_t field, double least, double most,
                                      std::string_view what) const;

 private:
  bool quoted_field();
  bool malformed(size_t field, const char* problem);

  std::string_view rest_;
  std::string_view row_;  // from its start to the end of the text
  std::string name_;
  std::vector<std::string_view> fields_;
  std::deque<std::string> unescaped_;  // a deque: its strings stay where they are
  size_t line_ = 0;
  size_t next_line_ = 1;
  const char* problem_ = nullptr;
  size_t problem_field_ = 0;
};

// The index of a column by name, from a header row; nullopt if there is none. kInvalid if there
// are two.
[[nodiscard]] Result<std::optional<size_t>> find_column(const CsvReader& csv,
                                                        std::string_view name);
// Of one that there must be.
[[nodiscard]] Result<size_t> column(const CsvReader& csv, std::string_view name);

}  // namespace ebb::sim
