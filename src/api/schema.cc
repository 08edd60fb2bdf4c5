#include "api/schema.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/hpa.h"
#include "api/hpa_schema.h"
#include "api/pod_autoscaler.h"
#include "api/types.h"

namespace ebb::api {
namespace {

using T = SchemaField::Type;

// Fields of Kubernetes that Ebb knows by name only.
constexpr std::string_view kIgnored = "Has no effect in Ebb.";
constexpr std::string_view kRefused = "Not supported by Ebb.";

const Schema& owner_reference() {
  static const Schema kSchema{
      "OwnerReference",
      "An object that this one belongs to; it is deleted with it.",
      {{"apiVersion", T::kString, "Of the owner."},
       {"kind", T::kString, "Of the owner."},
       {"name", T::kString, "Of the owner."},
       {"uid", T::kString, "Of the owner."},
       {"controller", T::kBoolean, "True for the owner that manages this object."},
       {"blockOwnerDeletion", T::kBoolean, kIgnored}}};
  return kSchema;
}

const Schema& object_meta() {
  static const Schema kSchema{
      "ObjectMeta",
      "What all objects have.",
      {{"name", T::kString, "A DNS-1035 label of at most 63 characters, unique in its namespace."},
       {"generateName", T::kString, "If there is no name: what it begins with."},
       {"namespace", T::kString, "Where the object lives; \"default\" if not said."},
       {"labels", T::kTexts, "For selecting objects."},
       {"annotations", T::kTexts, "Further information, some of it for Ebb itself."},
       {"uid", T::kString, "Set by the server; another one for each object ever made."},
       {"resourceVersion", T::kString,
        "Set by the server at every change. In an update: the version that it is based on."},
       {"generation", T::kInteger, "Set by the server; grows when the spec changes."},
       {"creationTimestamp", T::kString, "Set by the server."},
       {"deletionTimestamp", T::kString, "Set by the server."},
       {"deletionGracePeriodSeconds", T::kInteger, kIgnored},
       {"selfLink", T::kString, kIgnored},
       {"finalizers", T::kStrings, kIgnored},
       {"ownerReferences", T::kObjects, "What this object belongs to.", &owner_reference()},
       {"managedFields", T::kAny, "Which fields were set by server-side apply, and by whom."}}};
  return kSchema;
}

const Schema& env_var() {
  static const Schema kSchema{"EnvVar",
                              "One environment variable.",
                              {{"name", T::kString, "Letters, digits, '_', '-' and '.'."},
                               {"value", T::kString, "Taken as it is."},
                               {"valueFrom", T::kAny, kRefused}}};
  return kSchema;
}

const Schema& container_port() {
  static const Schema kSchema{"ContainerPort",
                              "Where the function listens: it is told by $PORT.",
                              {{"name", T::kString, "\"http1\" or \"h2c\"."},
                               {"containerPort", T::kInteger, "0 to 65535."},
                               {"protocol", T::kString, kIgnored},
                               {"hostPort", T::kInteger, kRefused},
                               {"hostIP", T::kString, kRefused}}};
  return kSchema;
}

const Schema& resources() {
  static const Schema kSchema{
      "ResourceRequirements",
      "What a pod may use.",
      {{"limits", T::kTexts, "\"cpu\" (\"500m\") and \"memory\" (\"128Mi\"): the most."},
       {"requests", T::kTexts, "The same: what it needs at least, for placing pods."},
       {"claims", T::kAny, kRefused}}};
  return kSchema;
}

const Schema& container() {
  static const Schema kSchema{
      "Container",
      "The function: its runtime and how it is started.",
      {{"name", T::kString, "\"user-container\" if not said."},
       {"image", T::kString, "A runtime of Ebb: ebb.dev/runtimes/python."},
       {"command", T::kStrings, "What to run instead of the runtime's own program."},
       {"args", T::kStrings, "Arguments of the command."},
       {"env", T::kObjects, "Environment variables.", &env_var()},
       {"ports", T::kObjects, "At most one.", &container_port()},
       {"resources", T::kObject, "Limits and requests.", &resources()},
       {"readinessProbe", T::kAny, kIgnored},
       {"livenessProbe", T::kAny, kIgnored},
       {"startupProbe", T::kAny, kIgnored},
       {"imagePullPolicy", T::kString, kIgnored},
       {"terminationMessagePath", T::kString, kIgnored},
       {"terminationMessagePolicy", T::kString, kIgnored},
       {"securityContext", T::kAny, kIgnored},
       {"workingDir", T::kString, kRefused},
       {"envFrom", T::kAny, kRefused},
       {"volumeMounts", T::kAny, kRefused},
       {"volumeDevices", T::kAny, kRefused},
       {"lifecycle", T::kAny, kRefused},
       {"resizePolicy", T::kAny, kRefused},
       {"restartPolicy", T::kString, kRefused},
       {"stdin", T::kBoolean, kRefused},
       {"stdinOnce", T::kBoolean, kRefused},
       {"tty", T::kBoolean, kRefused}}};
  return kSchema;
}

// The fields of Kubernetes' PodSpec that Knative passes on.
const std::vector<SchemaField>& pod_spec_fields() {
  static const std::vector<SchemaField> kFields{
      {"enableServiceLinks", T::kBoolean, kIgnored},
      {"serviceAccountName", T::kString, kIgnored},
      {"automountServiceAccountToken", T::kBoolean, kIgnored},
      {"imagePullSecrets", T::kAny, kIgnored},
      {"securityContext", T::kAny, kIgnored},
      {"volumes", T::kAny, kRefused},
      {"initContainers", T::kAny, kRefused},
      {"nodeSelector", T::kAny, kRefused},
      {"tolerations", T::kAny, kRefused},
      {"affinity", T::kAny, kRefused},
      {"topologySpreadConstraints", T::kAny, kRefused},
      {"runtimeClassName", T::kString, kRefused},
      {"schedulerName", T::kString, kRefused},
      {"priorityClassName", T::kString, kRefused},
      {"dnsPolicy", T::kString, kRefused},
      {"dnsConfig", T::kAny, kRefused},
      {"hostAliases", T::kAny, kRefused},
      {"hostIPC", T::kBoolean, kRefused},
      {"hostNetwork", T::kBoolean, kRefused},
      {"hostPID", T::kBoolean, kRefused},
      {"shareProcessNamespace", T::kBoolean, kRefused}};
  return kFields;
}

const Schema& revision_spec() {
  static const Schema kSchema = [] {
    Schema schema{
        "RevisionSpec",
        "What one instance of a function is and how it is used.",
        {{"containers", T::kObjects, "Exactly one.", &container()},
         {"containerConcurrency", T::kInteger,
          "How many requests a pod handles at the same time: 0 (no limit) to 1000."},
         {"timeoutSeconds", T::kInteger, "For a whole request: 1 to 600; 300 if not said."},
         {"responseStartTimeoutSeconds", T::kInteger,
          "For the first byte of an answer; not more than timeoutSeconds."},
         {"idleTimeoutSeconds", T::kInteger,
          "How long the function may be silent, before its answer or inside it; 0: no limit. "
          "Not more than timeoutSeconds."}}};
    schema.fields.insert(schema.fields.end(), pod_spec_fields().begin(), pod_spec_fields().end());
    return schema;
  }();
  return kSchema;
}

const Schema& revision_template() {
  static const Schema kSchema{
      "RevisionTemplate",
      "From which a new revision is made at every change.",
      {{"metadata", T::kObject,
        "Labels, the autoscaling.knative.dev annotations, ebb.dev/code, and optionally a name "
        "that begins with the service's name and '-'.",
        &object_meta()},
       {"spec", T::kObject, "The function.", &revision_spec()}}};
  return kSchema;
}

const Schema& traffic_target() {
  static const Schema kSchema{
      "TrafficTarget",
      "A share of the requests, and where it goes.",
      {{"revisionName", T::kString, "The revision; none for the latest that is ready."},
       {"configurationName", T::kString, "In routes: whose latest revision that is ready."},
       {"latestRevision", T::kBoolean, "True exactly if there is no revisionName."},
       {"percent", T::kInteger, "0 to 100; all together make 100."},
       {"tag", T::kString, "Gives this target a host of its own: TAG-NAME.NAMESPACE.DOMAIN."},
       {"url", T::kString, "Only in a status: the tag's URL."}}};
  return kSchema;
}

const Schema& condition() {
  static const Schema kSchema{"Condition",
                              "One aspect of an object's state.",
                              {{"type", T::kString, "\"Ready\" is the summary of the others."},
                               {"status", T::kString, "\"True\", \"False\" or \"Unknown\"."},
                               {"reason", T::kString, "One word."},
                               {"message", T::kString, "For a person."},
                               {"severity", T::kString, "Empty: an error."},
                               {"lastTransitionTime", T::kAny, "When the status changed last."}}};
  return kSchema;
}

const Schema& address() {
  static const Schema kSchema{
      "Addressable", "Where something is called.", {{"url", T::kString, "The URL."}}};
  return kSchema;
}

const SchemaField kConditions{"conditions", T::kObjects, "What is the case.", &condition()};
constexpr SchemaField kObserved{"observedGeneration", T::kInteger,
                                "The generation of the spec that this status is about."};
constexpr SchemaField kCreated{"latestCreatedRevisionName", T::kString, "The newest revision."};
constexpr SchemaField kReady{"latestReadyRevisionName", T::kString,
                             "The newest revision that has become ready."};
constexpr SchemaField kUrl{"url", T::kString, "Where it is called."};
const SchemaField kAddress{"address", T::kObject, "Where it is called.", &address()};
const SchemaField kTrafficNow{"traffic", T::kObjects, "As it is now.", &traffic_target()};
const SchemaField kTraffic{"traffic", T::kObjects,
                           "Who gets which share; all to the latest revision if not said.",
                           &traffic_target()};
const SchemaField kTemplate{"template", T::kObject, "The function as it should be.",
                            &revision_template()};

// A whole object.
Schema object(std::string_view name, std::string_view description, const Schema& spec,
              const Schema& status) {
  return {name,
          description,
          {{"apiVersion", T::kString, "Group and version of the kind."},
           {"kind", T::kString, "The kind of the object."},
           {"metadata", T::kObject, "Name, labels, annotations.", &object_meta()},
           {"spec", T::kObject, "What is wished for.", &spec},
           {"status", T::kObject, "What is; written by Ebb.", &status}}};
}

const Schema& service() {
  static const Schema kSpec{
      "ServiceSpec", "A function and who gets which share of it.", {kTemplate, kTraffic}};
  static const Schema kStatus{"ServiceStatus",
                              "The state of a service.",
                              {kConditions,
                               kObserved,
                               kUrl,
                               kAddress,
                               kCreated,
                               kReady,
                               kTrafficNow,
                               {"annotations", T::kTexts, "Further information."}}};
  static const Schema kSchema =
      object("Service", "A function with a URL: owns a Configuration and a Route of its name.",
             kSpec, kStatus);
  return kSchema;
}

const Schema& configuration() {
  static const Schema kSpec{"ConfigurationSpec", "A function.", {kTemplate}};
  static const Schema kStatus{"ConfigurationStatus",
                              "The state of a configuration.",
                              {kConditions,
                               kObserved,
                               kCreated,
                               kReady,
                               {"annotations", T::kTexts, "Further information."}}};
  static const Schema kSchema =
      object("Configuration", "The latest state of a function: makes a Revision of every change.",
             kSpec, kStatus);
  return kSchema;
}

const Schema& revision() {
  static const Schema kStatus{"RevisionStatus",
                              "The state of a revision.",
                              {kConditions,
                               kObserved,
                               {"actualReplicas", T::kInteger, "Pods that are ready."},
                               {"desiredReplicas", T::kInteger, "Pods that the autoscaler wants."},
                               {"logUrl", T::kString, "Where its log is."},
                               {"containerStatuses", T::kAny, "Its images."},
                               {"initContainerStatuses", T::kAny, "Its images."},
                               {"annotations", T::kTexts, "Further information."}}};
  static const Schema kSchema =
      object("Revision", "An immutable snapshot of a function's code and configuration.",
             revision_spec(), kStatus);
  return kSchema;
}

const Schema& route() {
  static const Schema kSpec{"RouteSpec", "Who gets which share.", {kTraffic}};
  static const Schema kStatus{"RouteStatus",
                              "The state of a route.",
                              {kConditions,
                               kObserved,
                               kUrl,
                               kAddress,
                               kTrafficNow,
                               {"annotations", T::kTexts, "Further information."}}};
  static const Schema kSchema =
      object("Route", "Splits the requests to a URL over revisions.", kSpec, kStatus);
  return kSchema;
}

const Schema& horizontal_pod_autoscaler() {
  static const Schema kSchema =
      object("HorizontalPodAutoscaler", "Scales a function by what its pods use.",
             hpa_spec_schema(), hpa_status_schema());
  return kSchema;
}

const Schema& pod_autoscaler() {
  static const Schema kSpec = [] {
    Schema spec{"PodAutoscalerSpec",
                "How a revision is scaled: its annotations by other names.",
                {{"scaleTargetRef", T::kAny, "The revision."},
                 {"containerConcurrency", T::kInteger, "Requests in a pod at a time; 0: no limit."},
                 {"reachability", T::kString, "Whether a route leads there."}}};
    for (const auto& field : scaling_fields()) {
      spec.fields.push_back(
          {field, T::kAny, "As the annotation of that name; see docs/scaling.md."});
    }
    return spec;
  }();
  static const Schema kStatus{
      "PodAutoscalerStatus",
      "What was seen and decided last.",
      {kConditions,
       {"desiredScale", T::kInteger, "Pods wanted."},
       {"actualScale", T::kInteger, "Pods that are ready."},
       {"starting", T::kInteger, "Pods on the way."},
       {"inFlight", T::kInteger, "Requests in pods."},
       {"waiting", T::kInteger, "Requests without a slot."},
       {"concurrency", T::kAny, "Requests in the system, on average over the window."},
       {"requestsPerSecond", T::kAny, "Arrivals, likewise."},
       {"panic", T::kBoolean, "Whether the short window counts."},
       {"class", T::kString, "Of the policy that decides, whether it was declared or not."},
       {"reason", T::kString, "Why so many pods."},
       {"error", T::kString, "What must be mended in the policy."},
       {"startSeconds", T::kAny, "That a pod takes to be ready, as measured."},
       {"decidedAt", T::kString, "When that was decided."}}};
  static const Schema kSchema = object(
      "PodAutoscaler", "How a revision is scaled; it comes with the revision.", kSpec, kStatus);
  return kSchema;
}

void remove_unknown(const Schema& schema, Json& object, const std::string& path,
                    std::vector<std::string>& removed) {
  for (auto at = object.begin(); at != object.end();) {
    const std::string here = path.empty() ? at.key() : path + "." + at.key();
    const SchemaField* field = schema.find(at.key());
    if (field == nullptr) {
      removed.push_back(here);
      at = object.erase(at);
      continue;
    }
    if (field->type == T::kObject && at->is_object()) {
      remove_unknown(*field->object, *at, here, removed);
    } else if (field->type == T::kObjects && at->is_array()) {
      for (size_t i = 0; i < at->size(); ++i) {
        const std::string item = here + "[" + std::to_string(i) + "]";
        if ((*at)[i].is_object()) remove_unknown(*field->object, (*at)[i], item, removed);
      }
    }
    ++at;
  }
}

}  // namespace

const SchemaField* Schema::find(std::string_view field) const {
  auto found = std::find_if(fields.begin(), fields.end(),
                            [&](const SchemaField& one) { return one.name == field; });
  return found == fields.end() ? nullptr : &*found;
}

const Schema* schema_of(const Kind& kind) {
  if (&kind == &Service::kind()) return &service();
  if (&kind == &Configuration::kind()) return &configuration();
  if (&kind == &Revision::kind()) return &revision();
  if (&kind == &Route::kind()) return &route();
  if (&kind == &HorizontalPodAutoscaler::kind()) return &horizontal_pod_autoscaler();
  if (&kind == &PodAutoscaler::kind()) return &pod_autoscaler();
  return nullptr;
}

std::vector<std::string> remove_unknown_fields(const Kind& kind, Json& object) {
  std::vector<std::string> removed;
  const Schema* schema = schema_of(kind);
  if (schema != nullptr && object.is_object()) remove_unknown(*schema, object, "", removed);
  return removed;
}

}  // namespace ebb::api
