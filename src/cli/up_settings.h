// The settings of `ebb up` as one document: the file of --config, under it the
// defaults, over it the flags. docs/configuration.md describes every key.
//
// The supervisor reads the file again on SIGHUP and hands the merged document to the
// front; what can change while it runs does, and the rest is named in the log.
//
//   auto document = read_settings(path, flags);       // YAML, checked
//   auto options = up_options(*document);
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "base/result.h"
#include "cli/options.h"

namespace ebb::cli {

inline constexpr Duration kMinMetricsInterval = std::chrono::seconds(1);
inline constexpr Duration kMaxMetricsInterval = std::chrono::minutes(10);
inline constexpr size_t kMaxSettings = 64 * 1024;  // bytes of a file

// The file at `path` (none if empty) with `flags` laid over it. kInvalid with the
// file's name and the line, kNotFound.
[[nodiscard]] Result<api::Json> read_settings(const std::string& path, const api::Json& flags);

// What a document means, with the defaults for what it does not say. kInvalid names
// every key that is unknown or has a wrong value.
[[nodiscard]] Result<UpOptions> up_options(const api::Json& document);

// Keys that differ and that a running Ebb cannot take over: "gateway, data".
[[nodiscard]] std::string needs_restart(const UpOptions& running, const UpOptions& wanted);
// The others as they are in `wanted`.
void take_over(UpOptions& running, const UpOptions& wanted);

}  // namespace ebb::cli
