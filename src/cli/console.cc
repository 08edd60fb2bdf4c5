#include "cli/console.h"

namespace ebb::cli {

namespace {
constexpr const char* kEraseLine = "\r\033[K";
}

void Progress::step(const std::string& text) {
  if (text == last_) return;
  if (console_.err_is_terminal) {
    console_.err << kEraseLine << text << std::flush;
  } else {
    console_.err << text << "\n" << std::flush;
  }
  last_ = text;
}

void Progress::clear() {
  if (console_.err_is_terminal && !last_.empty()) console_.err << kEraseLine << std::flush;
  last_.clear();
}

}  // namespace ebb::cli
