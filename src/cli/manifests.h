// The objects that the files of `ebb apply -f` declare, each with the place it stands
// at. Blocking.
#pragma once

#include <istream>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "base/result.h"

namespace ebb::cli {

inline constexpr size_t kMaxManifestBytes = 4 << 20;  // of one file
inline constexpr size_t kMaxManifestFiles = 1'000;    // in one folder
inline constexpr size_t kMaxDocuments = 10'000;       // of all files

struct Manifest {
  std::string place;  // "service.yaml:12"
  const api::Kind* kind = nullptr;
  std::string ns;    // empty: not given
  std::string name;  // not empty
  std::string text;  // of the object, as JSON
};

struct Manifests {
  std::vector<Manifest> objects;
  std::vector<std::string> errors;  // "FILE:LINE:COLUMN: what is wrong"
};

// Reads one text in YAML or JSON: documents, and what is in Lists. A wrong document
// is an error of its own.
void read_manifests(const std::string& name, std::string_view text, Manifests& into);

// Reads files, folders (what ends with .yaml, .yml or .json in them) and `input` for "-".
// What ends with .json must be one JSON value.
[[nodiscard]] Manifests read_manifest_files(const std::vector<std::string>& files,
                                            std::istream& input);

}  // namespace ebb::cli
