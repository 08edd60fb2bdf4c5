// How many file descriptors this process may have, and which of them are not for new
// connections: who is served needs some to be served by.
#pragma once

namespace ebb::net {

// Raises the limit as far as it may be. The usual one, 1024, is made for select().
void allow_many_descriptors();

class DescriptorReserve final {
 public:
  // An eighth of the limit as it is now, 8 to 1024.
  DescriptorReserve();
  // A descriptor just opened is one of it: the kernel gives the lowest number that is free.
  [[nodiscard]] bool has(int fd) const { return fd >= begin_; }
  // The next one would be, or there is none left. Two system calls.
  [[nodiscard]] bool reached() const;

 private:
  int begin_;
};

}  // namespace ebb::net
