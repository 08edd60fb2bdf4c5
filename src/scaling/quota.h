// How many pods the revisions of one namespace may have together, and whose turn it is
// when they want more: first who asked first, one pod at a time.
//
// It only counts and keeps the order; who holds it takes and gives pods. A value, not
// thread-safe. Who asks is named by a text that outlives its place in the line.
//
//   Quota quota;
//   const int pods = quota.allowed(uid, have, want, 10);   // of `want`, ten in all
//   if (pods < want) quota.ask(uid, want);
//   quota.changed(pods - have);
#pragma once

#include <deque>
#include <optional>
#include <string_view>

namespace ebb::scaling {

class Quota final {
 public:
  using Who = std::string_view;
  struct Turn {
    Who who;
    int want = 0;  // pods in all
  };

  // One more revision; one less. True: that was the last.
  void join() { ++members_; }
  [[nodiscard]] bool leave() { return --members_ == 0; }
  // Its revisions have so many pods more, or fewer.
  void changed(int pods) { pods_ += pods; }
  [[nodiscard]] int pods() const { return pods_; }

  // How many of `want` pods one that has `have` may have where `most` are allowed in all
  // (0: no limit). Never below what it has or wants. While others wait for their turn
  // before it, what is free is theirs.
  [[nodiscard]] int allowed(Who who, int have, int want, int most) const;
  // Waits for its turn; who waits already keeps the place. True: it did not wait yet.
  bool ask(Who who, int want);
  // It needs no more.
  void forget(Who who);
  // Whose turn it is.
  [[nodiscard]] std::optional<Turn> next() const;
  // The one whose turn it was got a pod and has `have`: done, or at the end of the line.
  void served(int have);

 private:
  int members_ = 0;
  int pods_ = 0;
  std::deque<Turn> line_;
};

}  // namespace ebb::scaling
