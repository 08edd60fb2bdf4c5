#include "api/types.h"

#include "api/json_fields.h"

namespace ebb::api {
namespace {

void read_container(FieldReader& f, Container& c) {
  f.read("name", c.name);
  f.read("image", c.image);
  f.read("command", c.command);
  f.read("args", c.args);
  f.read_array("env", c.env, [](FieldReader& e, EnvVar& var) {
    e.read("name", var.name);
    e.read("value", var.value);
    var.extra = e.rest();
  });
  f.read_array("ports", c.ports, [](FieldReader& p, ContainerPort& port) {
    p.read("name", port.name);
    p.read("containerPort", port.container_port);
    port.extra = p.rest();
  });
  f.read_object("resources", c.resources, [](FieldReader& r, Resources& resources) {
    r.read_quantities("limits", resources.limits);
    r.read_quantities("requests", resources.requests);
    resources.extra = r.rest();
  });
  c.extra = f.rest();
}

Json write_container(const Container& c) {
  Json json = object_with(c.extra);
  write(json, "name", c.name);
  write(json, "image", c.image);
  write(json, "command", c.command);
  write(json, "args", c.args);
  for (const auto& var : c.env) {
    Json one = object_with(var.extra);
    one["name"] = var.name;
    write(one, "value", var.value);
    json["env"].push_back(std::move(one));
  }
  for (const auto& port : c.ports) {
    Json one = object_with(port.extra);
    write(one, "name", port.name);
    one["containerPort"] = port.container_port;
    json["ports"].push_back(std::move(one));
  }
  Json resources = object_with(c.resources.extra);
  write(resources, "limits", c.resources.limits);
  write(resources, "requests", c.resources.requests);
  write(json, "resources", std::move(resources));
  return json;
}

void read_containers(FieldReader& f, std::vector<Container>& containers) {
  f.read_array("containers", containers, read_container);
}

Json write_containers(const std::vector<Container>& containers) {
  Json json = Json::array();
  for (const auto& container : containers) json.push_back(write_container(container));
  return json;
}

void read_revision_spec(FieldReader& f, RevisionSpec& spec) {
  read_containers(f, spec.containers);
  f.read("containerConcurrency", spec.container_concurrency);
  f.read("timeoutSeconds", spec.timeout_seconds);
  f.read("responseStartTimeoutSeconds", spec.response_start_timeout_seconds);
  f.read("idleTimeoutSeconds", spec.idle_timeout_seconds);
  spec.extra = f.rest();
}

Json write_revision_spec(const RevisionSpec& spec) {
  Json json = object_with(spec.extra);
  write(json, "containers", write_containers(spec.containers));
  write(json, "containerConcurrency", spec.container_concurrency);
  write(json, "timeoutSeconds", spec.timeout_seconds);
  write(json, "responseStartTimeoutSeconds", spec.response_start_timeout_seconds);
  write(json, "idleTimeoutSeconds", spec.idle_timeout_seconds);
  return json;
}

void read_template(FieldReader& f, RevisionTemplate& out) {
  f.read_object("metadata", out.meta, read_meta);
  f.read_object("spec", out.spec, read_revision_spec);
  out.extra = f.rest();
}

Json write_template(const RevisionTemplate& in) {
  Json json = object_with(in.extra);
  write(json, "metadata", write_meta(in.meta));
  write(json, "spec", write_revision_spec(in.spec));
  return json;
}

void read_traffic(FieldReader& f, std::vector<TrafficTarget>& out) {
  f.read_array("traffic", out, [](FieldReader& t, TrafficTarget& target) {
    t.read("tag", target.tag);
    t.read("revisionName", target.revision_name);
    t.read("configurationName", target.configuration_name);
    t.read("latestRevision", target.latest_revision);
    t.read("percent", target.percent);
    t.read("url", target.url);
    target.extra = t.rest();
  });
}

void write_traffic(Json& to, const std::vector<TrafficTarget>& traffic) {
  for (const auto& target : traffic) {
    Json one = object_with(target.extra);
    write(one, "tag", target.tag);
    write(one, "revisionName", target.revision_name);
    write(one, "configurationName", target.configuration_name);
    write(one, "latestRevision", target.latest_revision);
    write(one, "percent", target.percent);
    write(one, "url", target.url);
    to["traffic"].push_back(std::move(one));
  }
}

void read_address(FieldReader& f, std::string& url) {
  f.read_object("address", url, [](FieldReader& a, std::string& out) { a.read("url", out); });
}

void write_address(Json& to, const std::string& url) {
  if (!url.empty()) to["address"]["url"] = url;
}

template <class Status>
void read_common_status(FieldReader& f, Status& status) {
  f.read_array("conditions", status.conditions, read_condition);
  f.read("observedGeneration", status.observed_generation);
}

template <class Status>
Json write_common_status(const Status& status) {
  Json json = object_with(status.extra);
  write(json, "conditions", write_conditions(status.conditions));
  if (status.observed_generation != 0) json["observedGeneration"] = status.observed_generation;
  return json;
}

// --- spec and status of each kind, by overload ---

void read_spec(FieldReader& f, Service::Spec& spec) {
  f.read_object("template", spec.revision_template, read_template);
  read_traffic(f, spec.traffic);
  spec.extra = f.rest();
}

Json write_spec(const Service::Spec& spec) {
  Json json = object_with(spec.extra);
  json["template"] = write_template(spec.revision_template);
  write_traffic(json, spec.traffic);
  return json;
}

void read_status(FieldReader& f, Service::Status& status) {
  read_common_status(f, status);
  f.read("url", status.url);
  read_address(f, status.address_url);
  f.read("latestCreatedRevisionName", status.latest_created_revision);
  f.read("latestReadyRevisionName", status.latest_ready_revision);
  read_traffic(f, status.traffic);
  status.extra = f.rest();
}

Json write_status(const Service::Status& status) {
  Json json = write_common_status(status);
  write(json, "url", status.url);
  write_address(json, status.address_url);
  write(json, "latestCreatedRevisionName", status.latest_created_revision);
  write(json, "latestReadyRevisionName", status.latest_ready_revision);
  write_traffic(json, status.traffic);
  return json;
}

void read_spec(FieldReader& f, Configuration::Spec& spec) {
  f.read_object("template", spec.revision_template, read_template);
  spec.extra = f.rest();
}

Json write_spec(const Configuration::Spec& spec) {
  Json json = object_with(spec.extra);
  json["template"] = write_template(spec.revision_template);
  return json;
}

void read_status(FieldReader& f, Configuration::Status& status) {
  read_common_status(f, status);
  f.read("latestCreatedRevisionName", status.latest_created_revision);
  f.read("latestReadyRevisionName", status.latest_ready_revision);
  status.extra = f.rest();
}

Json write_status(const Configuration::Status& status) {
  Json json = write_common_status(status);
  write(json, "latestCreatedRevisionName", status.latest_created_revision);
  write(json, "latestReadyRevisionName", status.latest_ready_revision);
  return json;
}

void read_spec(FieldReader& f, RevisionSpec& spec) { read_revision_spec(f, spec); }

Json write_spec(const RevisionSpec& spec) { return write_revision_spec(spec); }

void read_status(FieldReader& f, Revision::Status& status) {
  read_common_status(f, status);
  f.read("actualReplicas", status.actual_replicas);
  f.read("desiredReplicas", status.desired_replicas);
  f.read("logUrl", status.log_url);
  status.extra = f.rest();
}

Json write_status(const Revision::Status& status) {
  Json json = write_common_status(status);
  if (status.actual_replicas != 0) json["actualReplicas"] = status.actual_replicas;
  if (status.desired_replicas != 0) json["desiredReplicas"] = status.desired_replicas;
  write(json, "logUrl", status.log_url);
  return json;
}

void read_spec(FieldReader& f, Route::Spec& spec) {
  read_traffic(f, spec.traffic);
  spec.extra = f.rest();
}

Json write_spec(const Route::Spec& spec) {
  Json json = object_with(spec.extra);
  write_traffic(json, spec.traffic);
  return json;
}

void read_status(FieldReader& f, Route::Status& status) {
  read_common_status(f, status);
  f.read("url", status.url);
  read_address(f, status.address_url);
  read_traffic(f, status.traffic);
  status.extra = f.rest();
}

Json write_status(const Route::Status& status) {
  Json json = write_common_status(status);
  write(json, "url", status.url);
  write_address(json, status.address_url);
  write_traffic(json, status.traffic);
  return json;
}

void read_spec(FieldReader& f, Pod::Spec& spec) {
  f.read("nodeName", spec.node_name);
  read_containers(f, spec.containers);
  spec.extra = f.rest();
}

Json write_spec(const Pod::Spec& spec) {
  Json json = object_with(spec.extra);
  write(json, "nodeName", spec.node_name);
  write(json, "containers", write_containers(spec.containers));
  return json;
}

struct ContainerStatus {
  bool ready = false;
  int64_t restarts = 0;
};

void read_status(FieldReader& f, Pod::Status& status) {
  f.read("phase", status.phase);
  f.read("reason", status.reason);
  f.read("message", status.message);
  f.read("startTime", status.start_time);
  f.read_array("conditions", status.conditions, read_condition);
  std::vector<ContainerStatus> containers;
  f.read_array("containerStatuses", containers, [](FieldReader& c, ContainerStatus& one) {
    c.read("ready", one.ready);
    c.read("restartCount", one.restarts);
  });
  status.ready = !containers.empty();
  for (const auto& container : containers) {
    status.ready = status.ready && container.ready;
    status.restarts = std::max(status.restarts, container.restarts);
  }
  status.extra = f.rest();
}

Json write_pod_status(const Pod& pod) {
  const auto& status = pod.status;
  Json json = object_with(status.extra);
  write(json, "phase", status.phase);
  write(json, "reason", status.reason);
  write(json, "message", status.message);
  write(json, "startTime", status.start_time);
  write(json, "conditions", write_conditions(status.conditions));
  for (const auto& container : pod.spec.containers) {
    Json one = Json::object();
    one["name"] = container.name;
    one["image"] = container.image;
    one["ready"] = status.ready;
    one["restartCount"] = status.restarts;
    if (status.phase == "Running") {
      one["state"]["running"] = Json::object();
      write(one["state"]["running"], "startedAt", status.start_time);
    } else {
      one["state"]["waiting"]["reason"] = status.reason.empty() ? status.phase : status.reason;
    }
    json["containerStatuses"].push_back(std::move(one));
  }
  return json;
}

void read_spec(FieldReader& f, Node::Spec& spec) {
  f.read("unschedulable", spec.unschedulable);
  spec.extra = f.rest();
}

Json write_spec(const Node::Spec& spec) {
  Json json = object_with(spec.extra);
  if (spec.unschedulable) json["unschedulable"] = true;
  return json;
}

struct NodeAddress {
  std::string type;
  std::string address;
};

void read_status(FieldReader& f, Node::Status& status) {
  f.read_quantities("capacity", status.capacity);
  f.read_quantities("allocatable", status.allocatable);
  f.read_array("conditions", status.conditions, read_condition);
  std::vector<NodeAddress> addresses;
  f.read_array("addresses", addresses, [](FieldReader& a, NodeAddress& one) {
    a.read("type", one.type);
    a.read("address", one.address);
  });
  for (const auto& one : addresses) {
    if (one.type == "InternalIP") status.internal_ip = one.address;
  }
  f.read_object("nodeInfo", status.version,
                [](FieldReader& i, std::string& out) { i.read("kubeletVersion", out); });
  status.extra = f.rest();
}

Json write_status(const Node::Status& status) {
  Json json = object_with(status.extra);
  write(json, "capacity", status.capacity);
  write(json, "allocatable", status.allocatable);
  write(json, "conditions", write_conditions(status.conditions));
  if (!status.internal_ip.empty()) {
    Json address = Json::object();
    address["type"] = "InternalIP";
    address["address"] = status.internal_ip;
    json["addresses"].push_back(std::move(address));
  }
  if (!status.version.empty()) json["nodeInfo"]["kubeletVersion"] = status.version;
  return json;
}

// --- whole objects ---

template <class T>
Result<T> read_object(const Json& json) {
  std::vector<FieldError> errors;
  FieldReader f(json, "", errors);
  read_type(f, T::kind(), errors);
  T out;
  f.read_object("metadata", out.meta, read_meta);
  f.read_object("spec", out.spec, [](FieldReader& s, auto& spec) { read_spec(s, spec); });
  f.read_object("status", out.status, [](FieldReader& s, auto& status) { read_status(s, status); });
  out.extra = f.rest();
  if (!errors.empty()) return fail(to_error(errors));
  return out;
}

template <class T>
Json write_object(const T& object, Json status) {
  Json json = object_with(object.extra);
  json["apiVersion"] = T::kind().api_version();
  json["kind"] = T::kind().kind;
  json["metadata"] = write_meta(object.meta);
  json["spec"] = write_spec(object.spec);
  write(json, "status", std::move(status));
  return json;
}

}  // namespace

Result<Service> Service::from_json(const Json& json) { return read_object<Service>(json); }
Json Service::to_json() const { return write_object(*this, write_status(status)); }

Result<Configuration> Configuration::from_json(const Json& json) {
  return read_object<Configuration>(json);
}
Json Configuration::to_json() const { return write_object(*this, write_status(status)); }

Result<Revision> Revision::from_json(const Json& json) { return read_object<Revision>(json); }
Json Revision::to_json() const { return write_object(*this, write_status(status)); }

Result<Route> Route::from_json(const Json& json) { return read_object<Route>(json); }
Json Route::to_json() const { return write_object(*this, write_status(status)); }

Result<Pod> Pod::from_json(const Json& json) { return read_object<Pod>(json); }
Json Pod::to_json() const { return write_object(*this, write_pod_status(*this)); }

Result<Node> Node::from_json(const Json& json) { return read_object<Node>(json); }
Json Node::to_json() const { return write_object(*this, write_status(status)); }

}  // namespace ebb::api
