#include "cli/console.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace ebb::cli {

namespace {

constexpr const char* kEraseLine = "\r\033[K";
constexpr Duration kFrame = std::chrono::milliseconds(100);
constexpr size_t kMaxDetail = 60;  // characters; a line must not wrap
constexpr std::array<const char*, 4> kFrames{"|", "/", "-", "\\"};

TimePoint now() { return std::chrono::steady_clock::now(); }

// Streams do not say why; where they write to a file, errno does.
Result<void> output_result(Console& console) {
  constexpr const char* kWhat = "cannot write the output";
  if (console.out) return {};
  if (console.out_errno == 0) console.out_errno = errno;
  if (console.out_errno != 0) return fail_errno(console.out_errno, kWhat);
  return fail(Errc::kInternal, kWhat);
}

}  // namespace

Result<void> write_output(Console& console, std::string_view bytes) {
  errno = 0;
  console.out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return output_result(console);
}

Result<void> flush_output(Console& console) {
  errno = 0;
  console.out.flush();
  return output_result(console);
}

Progress::Progress(Console& console) : console_(console) {
  if (console_.err_is_terminal) thread_ = std::thread([this] { turn(); });
}

Progress::~Progress() {
  clear();
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Progress::turn() {
  std::unique_lock lock(mutex_);
  while (!ended_) {
    wake_.wait_for(lock, kFrame);
    if (ended_ || step_.empty()) continue;
    ++frame_;
    draw();
  }
}

void Progress::draw() {
  const Duration took = now() - began_;
  console_.err << kEraseLine << kFrames[frame_ % kFrames.size()] << " " << step_;
  if (!detail_.empty()) console_.err << ": " << detail_;
  if (took >= std::chrono::seconds(1)) {
    console_.err << " (" << took / std::chrono::seconds(1) << " s)";
  }
  console_.err << std::flush;
}

void Progress::end_of_step() {
  if (step_.empty()) return;
  const Duration took = now() - began_;
  if (console_.err_is_terminal) console_.err << kEraseLine;
  if (took >= kLong) console_.err << step_ << ": " << format_took(took) << "\n";
  console_.err << std::flush;
  step_.clear();
  detail_.clear();
}

void Progress::step(const std::string& text) {
  const std::lock_guard lock(mutex_);
  if (text == step_) return;
  end_of_step();
  step_ = text;
  began_ = now();
  if (console_.err_is_terminal) {
    draw();
  } else {
    console_.err << text << "\n" << std::flush;
  }
}

void Progress::detail(const std::string& text) {
  const std::lock_guard lock(mutex_);
  detail_ = one_line(text).substr(0, kMaxDetail);
}

void Progress::clear() {
  const std::lock_guard lock(mutex_);
  end_of_step();
}

std::string format_took(Duration took) {
  const double seconds = std::chrono::duration<double>(took).count();
  constexpr double kMinute = 60;
  if (seconds < 0.01) return fmt::format("{:.2f} ms", seconds * 1000);
  if (seconds < 1) return fmt::format("{:.0f} ms", seconds * 1000);
  if (seconds < kMinute) return fmt::format("{:.2f} s", seconds);
  const auto whole = static_cast<int64_t>(seconds);
  return fmt::format("{}m{}s", whole / 60, whole % 60);
}

std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, ' ');
  return text;
}

std::string first_line(const std::string& text) {
  const size_t end = text.find('\n');
  return one_line(text.substr(0, end)) + (end == std::string::npos ? "" : " ...");
}

}  // namespace ebb::cli
