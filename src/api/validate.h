// Checks what a user declared, with messages in the words of Kubernetes and Knative
// and the path of the field. Call after apply_defaults. Empty: valid.
//
// Fields that Ebb does not know are refused inside a spec, where they would have
// asked for something that does not happen, apart from a list of harmless ones
// (probes, pull policy, service account, ...) that Knative manifests often carry.
#pragma once

#include <string_view>
#include <vector>

#include "api/types.h"

namespace ebb::api {

inline constexpr int64_t kMaxContainerConcurrency = 1000;
inline constexpr int64_t kMaxTimeoutSeconds = 600;
inline constexpr size_t kMaxNameLength = 63;
inline constexpr size_t kMaxTrafficTargets = 100;
inline constexpr size_t kMaxEnvVars = 500;
inline constexpr size_t kMaxAnnotationBytes = 256 << 10;  // keys and values of an object

[[nodiscard]] std::vector<FieldError> validate(const Service& service);
[[nodiscard]] std::vector<FieldError> validate(const Configuration& configuration);
[[nodiscard]] std::vector<FieldError> validate(const Revision& revision);
[[nodiscard]] std::vector<FieldError> validate(const Route& route);

// What may not change: a named template needs a new name when it changes, and a
// revision's spec is immutable.
[[nodiscard]] std::vector<FieldError> validate_update(const Service& before, const Service& after);
[[nodiscard]] std::vector<FieldError> validate_update(const Configuration& before,
                                                      const Configuration& after);
[[nodiscard]] std::vector<FieldError> validate_update(const Revision& before,
                                                      const Revision& after);
[[nodiscard]] std::vector<FieldError> validate_update(const Route& before, const Route& after);

// For kinds that are checked elsewhere: name, namespace, labels and annotations; and that
// there is no field in `extra` (see types.h) of what is at `path`.
void check_object_meta(std::vector<FieldError>& errors, const ObjectMeta& meta);
void refuse_unknown_fields(std::vector<FieldError>& errors, const std::string& path,
                           const std::string& extra);

// A DNS-1035 label: [a-z]([-a-z0-9]*[a-z0-9])?, at most 63 characters.
[[nodiscard]] bool is_dns1035_label(std::string_view name);
// "sha256:" and 64 lower-case hex digits.
[[nodiscard]] bool is_code_digest(std::string_view text);

}  // namespace ebb::api
