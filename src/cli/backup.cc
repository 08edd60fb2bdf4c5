// `ebb backup`.
#include "cli/commands.h"
#include "cli/new_file.h"

namespace ebb::cli {

namespace {

constexpr Duration kLongest = std::chrono::hours(6);
constexpr uint64_t kMiB = 1 << 20;

}  // namespace

Result<void> backup(const BackupOptions& options, ApiClient& client, Console& console) {
  const TimePoint began = client.now();
  Progress progress(console);
  progress.step("Saving to " + options.file);
  auto file = NewFile::make(options.file);
  if (!file) return fail(file.error());
  Result<void> written;
  uint64_t bytes = 0;
  const auto done = client.download(
      "/apis/ebb.dev/v1/backup",
      [&](std::string_view piece) {
        written = file->write(piece);
        bytes += piece.size();
        progress.detail(fmt::format("{} MiB", bytes / kMiB));
        return written.has_value();
      },
      began + kLongest);
  if (!written) return written;
  if (!done) return fail(done.error());
  if (auto ok = file->publish(); !ok) return ok;
  progress.clear();
  console.out << fmt::format("saved {:.1f} MiB to {} in {}\n",
                             static_cast<double>(bytes) / static_cast<double>(kMiB), options.file,
                             format_took(client.now() - began));
  return {};
}

}  // namespace ebb::cli
