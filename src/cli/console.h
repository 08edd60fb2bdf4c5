// Where a command writes: results to `out`, progress and errors to `err`.
#pragma once

#include <ostream>
#include <string>

namespace ebb::cli {

struct Console {
  std::ostream& out;
  std::ostream& err;
  bool err_is_terminal = false;
};

// The steps of something that takes a while, on `err`. A terminal shows the step under
// way in place; elsewhere each step is one plain line.
class Progress final {
 public:
  explicit Progress(Console& console) : console_(console) {}
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // What happens now. The same text again changes nothing.
  void step(const std::string& text);
  // Takes the step under way off the terminal, so that other output can follow.
  void clear();

 private:
  Console& console_;
  std::string last_;
};

}  // namespace ebb::cli
