// Where a command writes: results to `out`, progress and errors to `err`.
#pragma once

#include <condition_variable>
#include <mutex>
#include <ostream>
#include <string>
#include <string_view>
#include <thread>

#include "base/clock.h"
#include "base/result.h"

namespace ebb::cli {

struct Console {
  std::ostream& out;
  std::ostream& err;
  bool err_is_terminal = false;
  bool out_is_terminal = false;
  bool colors = false;  // on `out`: a terminal, and the user has not set NO_COLOR
  int out_errno = 0;    // why `out` took no more, if that is known
};

// To `out`; an error where it takes no more, such as on a full disk. Who goes on may leave
// it: `ebb` tells at its end.
Result<void> write_output(Console& console, std::string_view bytes);
// The same for what has been written and not handed on yet.
Result<void> flush_output(Console& console);

// The steps of something that takes a while, on `err`. A terminal shows the step under
// way in place, with a clock; elsewhere each step is one plain line. A step that took
// long says how long when it ends. One thread uses it.
//
//   Progress progress(console);
//   progress.step("Packing ./hello");
//   progress.step("Uploading 3 files");
//   progress.detail("half of it");
class Progress final {
 public:
  // Shorter steps end without a word.
  static constexpr Duration kLong = std::chrono::milliseconds(500);

  explicit Progress(Console& console);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // What happens now. The same text again changes nothing.
  void step(const std::string& text);
  // How the step goes on: shown behind it, on a terminal only.
  void detail(const std::string& text);
  // Ends the step under way, so that other output can follow.
  void clear();

 private:
  void turn();         // the thread that redraws
  void draw();         // with mutex_ held
  void end_of_step();  // with mutex_ held

  Console& console_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ended_ = false;
  std::string step_;
  std::string detail_;
  TimePoint began_;
  size_t frame_ = 0;
  std::thread thread_;  // on a terminal only
};

// "850 ms", "2.31 s", "4m12s".
[[nodiscard]] std::string format_took(Duration took);

// One line without control characters: what others send must neither break a table nor
// steer the terminal.
[[nodiscard]] std::string one_line(std::string text);

// The first line, as one_line(), and "..." if there are more: for tables, where a message
// with a pod's output behind it would not fit.
[[nodiscard]] std::string first_line(const std::string& text);

}  // namespace ebb::cli
