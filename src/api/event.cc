#include "api/event.h"

#include "api/json_fields.h"

namespace ebb::api {

const Kind& Event::kind() {
  static const Kind kKind{"", "v1", "Event", "events", "event", {"ev"}};
  return kKind;
}

Json Event::to_json() const {
  Json json = Json::object();
  json["apiVersion"] = kind().api_version();
  json["kind"] = kind().kind;
  json["metadata"] = write_meta(meta);
  Json& about = json["involvedObject"];
  about["apiVersion"] = involved.api_version;
  about["kind"] = involved.kind;
  about["name"] = involved.name;
  write(about, "namespace", involved.ns);
  write(about, "uid", involved.uid);
  json["type"] = type == Type::kNormal ? "Normal" : "Warning";
  json["reason"] = reason;
  json["message"] = message;
  json["count"] = count;
  json["firstTimestamp"] = first_timestamp;
  json["lastTimestamp"] = last_timestamp;
  json["source"]["component"] = "ebb";
  return json;
}

}  // namespace ebb::api
