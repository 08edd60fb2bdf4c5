// Replays golden vectors of Knative's autoscaler through our own code and compares.
//
// A vector is a pair NAME.in.jsonl (what was configured, seen and asked) and
// NAME.out.jsonl (what Knative answered), one JSON object a line. Every field of
// every answer must be there and match: whole numbers exactly, others to 1e-6.
//
//   for (const auto& pair : find_vectors(folder)) {
//     if (auto failed = check_vector(pair); !failed.empty()) print(failed);
//   }
#pragma once

#include <filesystem>
#include <istream>
#include <string>
#include <vector>

#include "base/result.h"

namespace ebb::scaling {

struct VectorPair {
  std::filesystem::path input;   // NAME.in.jsonl
  std::filesystem::path output;  // NAME.out.jsonl
};

// All pairs of a folder by name, also where one half is missing. kNotFound if there
// is no such folder.
[[nodiscard]] Result<std::vector<VectorPair>> find_vectors(const std::filesystem::path& folder);

struct VectorReport {
  int answers = 0;         // that matched
  std::string difference;  // the first one, with file and line; "": none
};

[[nodiscard]] VectorReport check_vector(const VectorPair& pair);

struct NamedStream {
  std::string name;  // for the difference
  std::istream& stream;
};
[[nodiscard]] VectorReport check_vector(const NamedStream& input, const NamedStream& output);

}  // namespace ebb::scaling
