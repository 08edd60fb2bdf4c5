// `ebb get` and `ebb delete`.
#include <nlohmann/json.hpp>

#include "api/kinds.h"
#include "cli/commands.h"
#include "cli/table.h"

namespace ebb::cli {

namespace {

using api::Json;

constexpr int kIndent = 4;  // of JSON, as kubectl writes it

// "service.serving.knative.dev/hello", "pod/x".
std::string qualified(const api::Kind& kind) {
  std::string out(kind.singular);
  if (!kind.group.empty()) out.append(".").append(kind.group);
  return out;
}

// Lists leave out what all their items share.
void name_type(Json& object, const api::Kind& kind) {
  if (!object.contains("apiVersion")) object["apiVersion"] = kind.api_version();
  if (!object.contains("kind")) object["kind"] = kind.kind;
}

Result<std::vector<Json>> items_of(Json answer, const api::Kind& kind) {
  const auto items = answer.find("items");
  if (items == answer.end() || !items->is_array()) {
    return fail(Errc::kInternal, "the API's list of {} has no items", kind.plural);
  }
  std::vector<Json> out;
  for (Json& item : *items) {
    if (!item.is_object()) return fail(Errc::kInternal, "the API's list holds no objects");
    name_type(item, kind);
    out.push_back(std::move(item));
  }
  return out;
}

std::string to_json_text(const std::vector<Json>& objects, bool single) {
  const Json shown =
      single ? objects.front() : Json{{"apiVersion", "v1"}, {"kind", "List"}, {"items", objects}};
  return shown.dump(kIndent, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string path_of(const api::Kind& kind, const std::string& ns, const std::string& name) {
  std::string path = kind.group.empty() ? "/api" : "/apis/" + std::string(kind.group);
  path.append("/").append(kind.version);
  if (kind.namespaced && !ns.empty()) path += "/namespaces/" + ns;
  path.append("/").append(kind.plural);
  if (!name.empty()) path += "/" + name;
  return path;
}

Result<void> get(const GetOptions& options, const std::string& ns, ApiClient& client,
                 const Clock& clock, Console& console) {
  const api::Kind& kind = *api::find_kind(options.kind);
  const bool single = !options.name.empty();
  auto answer = client.get(path_of(kind, options.all_namespaces ? "" : ns, options.name),
                           client.now() + kCallTimeout);
  if (!answer) return fail(answer.error());
  std::vector<Json> objects;
  if (single) {
    objects.push_back(std::move(*answer));
  } else {
    auto items = items_of(std::move(*answer), kind);
    if (!items) return fail(items.error());
    objects = std::move(*items);
  }

  if (options.output == Output::kJson) {
    console.out << to_json_text(objects, single);
  } else if (objects.empty()) {
    const bool one_namespace = kind.namespaced && !options.all_namespaces;
    console.err << "No resources found" << (one_namespace ? " in " + ns + " namespace" : "")
                << ".\n";
  } else if (options.output == Output::kName) {
    for (const Json& object : objects) {
      console.out << qualified(kind) << "/" << text_at(object, {"metadata", "name"}) << "\n";
    }
  } else {
    const TableOptions shown{.wide = options.output == Output::kWide,
                             .namespaces = options.all_namespaces,
                             .now = clock.wall()};
    console.out << render(table_of(kind, objects, shown));
  }
  return {};
}

Result<void> remove(const DeleteOptions& options, const std::string& ns, ApiClient& client,
                    Console& console) {
  const api::Kind& kind = *api::find_kind(options.kind);
  const auto answer = client.call_json(
      {.method = "DELETE", .path = path_of(kind, ns, options.name), .content_type = {}, .body = {}},
      client.now() + kCallTimeout);
  if (!answer) return fail(answer.error());
  console.out << qualified(kind) << " \"" << options.name << "\" deleted\n";
  return {};
}

}  // namespace ebb::cli
