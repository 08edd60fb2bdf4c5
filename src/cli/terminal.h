// The terminal as a screen that is drawn again and again, and keys that are read one by
// one. Restores it at the end. One at a time, on one thread.
#pragma once

#include <termios.h>

#include <cstddef>
#include <optional>
#include <string>

#include "base/clock.h"

namespace ebb::cli {

class Terminal final {
 public:
  Terminal();
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  struct Size {
    size_t height = 24;
    size_t width = 80;
  };
  [[nodiscard]] Size size() const;
  void draw(const std::string& text);
  // Waits for a key; nullopt if none came. Ctrl-C and SIGTERM are the key 'q', and so
  // is the end of the input.
  [[nodiscard]] std::optional<char> key(Duration wait);

 private:
  termios before_{};
  bool changed_ = false;
};

}  // namespace ebb::cli
