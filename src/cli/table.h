// Resources as text for a terminal, in kubectl's manner. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "api/object.h"
#include "base/clock.h"

namespace ebb::cli {

struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;  // each as long as `columns`
};

struct TableOptions {
  bool wide = false;        // more columns
  bool namespaces = false;  // a column that tells them apart
  WallTime now;             // ages count from here
};

// The columns that users look at for this kind; what an object lacks stays empty, or
// "Unknown" for READY.
[[nodiscard]] Table table_of(const api::Kind& kind, const std::vector<api::Json>& objects,
                             const TableOptions& options);

// Columns padded to equal width, three spaces between them, no trailing spaces.
[[nodiscard]] std::string render(const Table& table);

// The same for a table that is shown in pieces: the title only in the first, and no
// column narrower than before.
struct ColumnWidths {
  std::vector<size_t> columns;
};
[[nodiscard]] std::string render(const Table& table, ColumnWidths& widths);

// As kubectl shows ages: "5s", "3m12s", "4h5m", "2d3h", "400d".
[[nodiscard]] std::string format_age(Duration age);

// Which policy a PodAutoscaler has, without prefix and domain: "kpa", "adaptive".
[[nodiscard]] std::string scaling_class(const api::Json& autoscaler);
// The string at `path` inside nested objects; empty if there is none.
[[nodiscard]] std::string text_at(const api::Json& object, const std::vector<std::string>& path);
// The same as one_line().
[[nodiscard]] std::string line_at(const api::Json& object, const std::vector<std::string>& path);
// Its metadata.name.
[[nodiscard]] std::string name_of(const api::Json& object);
// The array at that JSON pointer; an empty one if there is none. Lives as long as `object`.
[[nodiscard]] const api::Json& list_at(const api::Json& object, const char* pointer);
// The condition of that type; an empty object if there is none.
[[nodiscard]] api::Json condition_of(const api::Json& object, const std::string& type);

}  // namespace ebb::cli
