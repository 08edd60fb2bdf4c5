#include "node/output_tail.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace ebb::node {

bool OutputTail::drain(int fd, TimePoint now) {
  char buffer[8192];
  // Bounded per call, so that a process that prints without end does not hold the loop.
  for (int round = 0; round < 8; ++round) {
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n == 0) return false;
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    add({buffer, static_cast<size_t>(n)}, now);
  }
  return true;
}

void OutputTail::add(std::string_view text, TimePoint now) {
  if (marks_.empty() || now - marks_.back().at >= kGrain) marks_.push_back({now, text_.size()});
  text_ += text;
  if (text_.size() > 2 * kKeptOutput) cut();
}

void OutputTail::cut() {
  const size_t gone = text_.size() - kKeptOutput;
  text_.erase(0, gone);
  for (Mark& mark : marks_) mark.begin -= std::min(mark.begin, gone);
  while (marks_.size() > 1 && marks_[1].begin == 0) marks_.pop_front();
}

std::string OutputTail::last(size_t bytes, TimePoint since) const {
  const auto first = std::find_if(marks_.begin(), marks_.end(),
                                  [since](const Mark& mark) { return mark.at >= since; });
  if (first == marks_.end()) return {};
  const size_t begin = std::max(first->begin, text_.size() - std::min(text_.size(), bytes));
  std::string tail = text_.substr(begin);
  if (begin == 0 || text_[begin - 1] == '\n') return tail;
  const auto line = tail.find('\n');
  return line == std::string::npos ? tail : tail.substr(line + 1);
}

}  // namespace ebb::node
