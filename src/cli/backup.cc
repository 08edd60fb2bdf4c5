// `ebb backup`.
#include "cli/commands.h"
#include "cli/new_file.h"

namespace ebb::cli {

namespace {

constexpr Duration kLongest = std::chrono::hours(6);
constexpr uint64_t kMiB = 1 << 20;

// Hands the archive on piece by piece; returns how many bytes it has.
template <class Write>
Result<uint64_t> download(ApiClient& client, Progress& progress, TimePoint deadline,
                          const Write& write) {
  Result<void> written;
  uint64_t bytes = 0;
  const auto done = client.download(
      "/apis/ebb.dev/v1/backup",
      [&](std::string_view piece) {
        written = write(piece);
        bytes += piece.size();
        progress.detail(fmt::format("{} MiB", bytes / kMiB));
        return written.has_value();
      },
      deadline);
  if (!written) return fail(written.error());
  if (!done) return fail(done.error());
  return bytes;
}

Result<uint64_t> to_output(ApiClient& client, Progress& progress, TimePoint deadline,
                           Console& console) {
  if (console.out_is_terminal) {
    return fail(Errc::kInvalid, "a backup is nothing for a terminal: redirect the output");
  }
  auto bytes = download(client, progress, deadline, [&console](std::string_view piece) {
    return write_output(console, piece);
  });
  if (!bytes) return bytes;
  if (auto ok = flush_output(console); !ok) return fail(ok.error());
  return bytes;
}

Result<uint64_t> to_file(const std::string& path, ApiClient& client, Progress& progress,
                         TimePoint deadline) {
  auto file = NewFile::make(path);
  if (!file) return fail(file.error());
  auto bytes = download(client, progress, deadline,
                        [&file](std::string_view piece) { return file->write(piece); });
  if (!bytes) return bytes;
  if (auto ok = file->publish(); !ok) return fail(ok.error());
  return bytes;
}

}  // namespace

Result<void> backup(const BackupOptions& options, ApiClient& client, Console& console) {
  const TimePoint began = client.now();
  const bool to_stdout = options.file == "-";
  const std::string where = to_stdout ? "the standard output" : options.file;
  Progress progress(console);
  progress.step("Saving to " + where);
  const auto bytes = to_stdout ? to_output(client, progress, began + kLongest, console)
                               : to_file(options.file, client, progress, began + kLongest);
  if (!bytes) return fail(bytes.error());
  progress.clear();
  (to_stdout ? console.err : console.out) << fmt::format(
      "saved {:.1f} MiB to {} in {}\n", static_cast<double>(*bytes) / static_cast<double>(kMiB),
      where, format_took(client.now() - began));
  return {};
}

}  // namespace ebb::cli
