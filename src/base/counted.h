// Counts those who are inside: adds one to `count` for as long as it lives.
#pragma once

namespace ebb {

class [[nodiscard]] Counted final {
 public:
  explicit Counted(int& count) : count_(count) { ++count_; }
  ~Counted() { --count_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 private:
  int& count_;
};

}  // namespace ebb
