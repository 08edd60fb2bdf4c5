#include "cli/manifests.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "api/json.h"
#include "api/kinds.h"
#include "api/yaml.h"
#include "base/file.h"
#include "cli/table.h"

namespace ebb::cli {

namespace {

namespace fs = std::filesystem;
using api::Json;

struct Document {
  std::string_view text;
  size_t lines_before = 0;
};

bool is_marker(std::string_view line) {
  return line.starts_with("---") &&
         (line.size() == 3 || line[3] == ' ' || line[3] == '\t' || line[3] == '\r');
}

// Splits at lines of "---", so that a wrong document does not take the others with it.
// (At the begin of a line the three dashes can stand for nothing else: YAML 1.2, 9.1.2.)
std::vector<Document> split(std::string_view text) {
  std::vector<Document> out;
  size_t begin = 0;
  size_t line = 0;
  Document current;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    std::string_view this_line = text.substr(at, end - at);
    if (this_line.ends_with('\n')) this_line.remove_suffix(1);
    if (is_marker(this_line) && at > begin) {
      out.push_back({text.substr(begin, at - begin), current.lines_before});
      begin = at;
      current.lines_before = line;
    }
    at = end;
    ++line;
  }
  out.push_back({text.substr(begin), current.lines_before});
  return out;
}

// "line 3, column 5: what" -> "FILE:3:5: what".
std::string placed(const std::string& file, const std::string& message) {
  constexpr std::string_view kLine = "line ";
  constexpr std::string_view kColumn = ", column ";
  const size_t column = message.find(kColumn);
  const size_t colon = message.find(": ", column);
  if (!message.starts_with(kLine) || column == std::string::npos || colon == std::string::npos) {
    return file + ": " + message;
  }
  return file + ":" + message.substr(kLine.size(), column - kLine.size()) + ":" +
         message.substr(column + kColumn.size(), colon - column - kColumn.size()) +
         message.substr(colon);
}

// The number in "line 3, column 5: what"; 0 if there is none.
size_t line_of(const std::string& message) {
  constexpr std::string_view kLine = "line ";
  size_t line = 0;
  if (!message.starts_with(kLine)) return 0;
  std::from_chars(message.data() + kLine.size(), message.data() + message.size(), line);
  return line;
}

// Whether that line (from 1) is indented with a tab, which only JSON allows. The parser
// often complains of what follows it.
bool tab_indents(std::string_view text, size_t line) {
  const size_t start = text.find_first_not_of(" \t\r\n");
  if (start == std::string_view::npos || text[start] == '{' || text[start] == '[') return false;
  for (; line > 1; --line) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return false;
    text.remove_prefix(end + 1);
  }
  const size_t indent = std::min(text.find_first_not_of(" \t"), text.size());
  return text.substr(0, indent).find('\t') != std::string_view::npos;
}

// The line of the first thing that is said in a document.
size_t first_line(const Document& document) {
  size_t line = document.lines_before + 1;
  for (size_t at = 0; at < document.text.size(); ++line) {
    const size_t end = std::min(document.text.find('\n', at), document.text.size());
    const size_t first = document.text.find_first_not_of(" \t\r", at);
    const bool empty = first >= end || document.text[first] == '#';
    if (!empty && !is_marker(document.text.substr(at, end - at))) return line;
    at = end + 1;
  }
  return document.lines_before + 1;
}

void take(const std::string& place, const Json& object, Manifests& into) {
  const auto refuse = [&](const std::string& why) { into.errors.push_back(place + ": " + why); };
  if (!object.is_object()) return refuse("it is not an object");
  const std::string api_version = text_at(object, {"apiVersion"});
  const std::string kind_name = text_at(object, {"kind"});
  if (api_version.empty()) return refuse("apiVersion is missing");
  if (kind_name.empty()) return refuse("kind is missing");
  const auto items = object.find("items");
  if (kind_name.ends_with("List") && items != object.end() && items->is_array()) {
    for (size_t i = 0; i < items->size(); ++i) {
      take(fmt::format("{}: items[{}]", place, i), (*items)[i], into);
    }
    return;
  }
  const api::Kind* kind = api::find_kind_of(api_version, kind_name);
  if (kind == nullptr) {
    return refuse(
        fmt::format("Ebb has no {} of {}: it takes Service, Configuration and Route of "
                    "serving.knative.dev/v1",
                    kind_name, api_version));
  }
  const std::string name = text_at(object, {"metadata", "name"});
  if (name.empty()) return refuse("metadata.name is missing");
  if (into.objects.size() >= kMaxDocuments) return refuse("there are too many objects");
  into.objects.push_back({.place = place,
                          .kind = kind,
                          .ns = text_at(object, {"metadata", "namespace"}),
                          .name = name,
                          .text = api::to_text(object)});
}

void read_json(const std::string& name, std::string_view text, Manifests& into) {
  const auto parsed = api::parse_json(text);
  if (!parsed) {
    into.errors.push_back(placed(name, parsed.error().message));
    return;
  }
  take(fmt::format("{}:{}", name, first_line({text, 0})), *parsed, into);
}

void read_file_into(const std::string& path, Manifests& into) {
  const auto text = read_file(path, kMaxManifestBytes);
  if (!text) {
    into.errors.push_back(text.error().message);
    return;
  }
  if (fs::path(path).extension() == ".json") {
    read_json(path, *text, into);
  } else {
    read_manifests(path, *text, into);
  }
}

void read_folder(const std::string& path, Manifests& into) {
  std::vector<std::string> files;
  std::error_code error;
  fs::directory_iterator entries(path, error);
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    const std::string ending = entries->path().extension();
    if (ending != ".yaml" && ending != ".yml" && ending != ".json") continue;
    if (files.size() >= kMaxManifestFiles) {
      into.errors.push_back(fmt::format("{}: more than {} files", path, kMaxManifestFiles));
      return;
    }
    files.push_back(entries->path());
  }
  if (error) {
    into.errors.push_back(fmt::format("cannot read {}: {}", path, error.message()));
    return;
  }
  if (files.empty()) {
    into.errors.push_back(path + ": no file in it ends with .yaml, .yml or .json");
  }
  std::sort(files.begin(), files.end());
  for (const std::string& file : files) read_file_into(file, into);
}

}  // namespace

void read_manifests(const std::string& name, std::string_view text, Manifests& into) {
  for (const Document& document : split(text)) {
    auto parsed = api::parse_yaml(document.text);
    if (!parsed) {
      // Again as it stands in the file, for the line.
      const std::string whole = std::string(document.lines_before, '\n').append(document.text);
      parsed = api::parse_yaml(whole);
      if (!parsed && tab_indents(whole, line_of(parsed.error().message))) {
        parsed.error().message += "; tabs cannot indent: use blanks";
      }
    }
    if (!parsed) {
      into.errors.push_back(placed(name, parsed.error().message));
      continue;
    }
    const std::string place = fmt::format("{}:{}", name, first_line(document));
    for (const Json& object : *parsed) take(place, object, into);
  }
}

Manifests read_manifest_files(const std::vector<std::string>& files, std::istream& input) {
  Manifests out;
  for (const std::string& file : files) {
    std::error_code ignored;
    if (file == "-") {
      std::string text(kMaxManifestBytes + 1, '\0');
      input.read(text.data(), static_cast<std::streamsize>(text.size()));
      text.resize(static_cast<size_t>(input.gcount()));
      if (text.size() > kMaxManifestBytes) {
        out.errors.push_back(
            fmt::format("stdin: more than {} MiB: split it", kMaxManifestBytes >> 20));
      } else {
        read_manifests("stdin", text, out);
      }
    } else if (fs::is_directory(file, ignored)) {
      read_folder(file, out);
    } else {
      read_file_into(file, out);
    }
  }
  return out;
}

}  // namespace ebb::cli
