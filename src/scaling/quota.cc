#include "scaling/quota.h"

#include <algorithm>

namespace ebb::scaling {

int Quota::allowed(Who who, int have, int want, int most) const {
  if (most == 0 || want <= have) return want;
  const bool others_first = !line_.empty() && line_.front().who != who;
  const int room = others_first ? 0 : std::max(0, most - pods_);
  return have + std::min(want - have, room);
}

bool Quota::ask(Who who, int want) {
  for (Turn& turn : line_) {
    if (turn.who != who) continue;
    turn.want = want;
    return false;
  }
  line_.push_back({who, want});
  return true;
}

void Quota::forget(Who who) {
  std::erase_if(line_, [who](const Turn& turn) { return turn.who == who; });
}

std::optional<Quota::Turn> Quota::next() const {
  return line_.empty() ? std::nullopt : std::optional(line_.front());
}

void Quota::served(int have) {
  const Turn turn = line_.front();
  line_.pop_front();
  if (have < turn.want) line_.push_back(turn);
}

}  // namespace ebb::scaling
