#include "sim/arrivals.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

namespace ebb::sim {
namespace {

constexpr int64_t kMinute = 60'000'000'000;
constexpr double kMs = 1e6;  // in ns

constexpr std::array<std::pair<Spread, const char*>, 5> kSpreads{{
    {Spread::kEquidistant, "equidistant"},
    {Spread::kAligned, "aligned"},
    {Spread::kUniform, "uniform"},
    {Spread::kExponential, "exponential"},
    {Spread::kStart, "start"},
}};
constexpr std::array<std::pair<Service, const char*>, 3> kServices{{
    {Service::kDrawn, "drawn"},
    {Service::kMean, "mean"},
    {Service::kZero, "zero"},
}};

template <class Names, class Value>
const char* name_of(const Names& names, Value value) {
  for (const auto& [known, name] : names) {
    if (known == value) return name;
  }
  return "unknown";
}

template <class Names>
auto value_of(const Names& names, std::string_view name)
    -> std::optional<typename Names::value_type::first_type> {
  for (const auto& [value, known] : names) {
    if (name == known) return value;
  }
  return std::nullopt;
}

}  // namespace

const char* to_string(Spread spread) { return name_of(kSpreads, spread); }
std::optional<Spread> spread(std::string_view name) { return value_of(kSpreads, name); }
std::vector<std::string> spread_names() {
  std::vector<std::string> out;
  out.reserve(kSpreads.size());
  for (const auto& [spread, name] : kSpreads) out.emplace_back(name);
  return out;
}
const char* to_string(Service service) { return name_of(kServices, service); }
std::optional<Service> service(std::string_view name) { return value_of(kServices, name); }

int64_t ArrivalDraw::draw_service(const Function& function, Random& random) const {
  if (options_.service == Service::kZero) return 0;
  if (options_.service == Service::kMean || !function.has_percentiles()) {
    return static_cast<int64_t>(function.mean_ms * kMs);
  }
  const double u = random.uniform();
  size_t i = 1;
  while (u > kPercentiles[i]) ++i;
  const double low = function.percentiles_ms[i - 1];
  const double share = (u - kPercentiles[i - 1]) / (kPercentiles[i] - kPercentiles[i - 1]);
  return static_cast<int64_t>((low + share * (function.percentiles_ms[i] - low)) * kMs);
}

int64_t ArrivalDraw::service_ns(FunctionId function, int64_t known_ns, uint64_t number) const {
  if (options_.service == Service::kZero) return 0;
  if (known_ns >= 0 && options_.service == Service::kDrawn) return known_ns;
  Random random(Random::mix(options_.seed, function, number));
  return draw_service(trace_.functions[function], random);
}

void ArrivalDraw::draw(FunctionId function, uint32_t minute, uint32_t count,
                       std::vector<Arrival>& out) {
  Random random(Random::mix(options_.seed, function, minute));
  const Function& what = trace_.functions[function];
  const int64_t start = minute * kMinute;
  const size_t first = out.size();
  switch (options_.spread) {
    case Spread::kStart:
      for (uint32_t i = 0; i < count; ++i) out.push_back({start, 0, function});
      break;
    case Spread::kEquidistant:
    case Spread::kAligned: {
      const double phase = options_.spread == Spread::kAligned
                               ? 0
                               : Random(Random::mix(options_.seed, function)).uniform();
      const double gap = static_cast<double>(kMinute) / count;
      for (uint32_t i = 0; i < count; ++i) {
        out.push_back({start + static_cast<int64_t>((i + phase) * gap), 0, function});
      }
      break;
    }
    case Spread::kUniform:
      for (uint32_t i = 0; i < count; ++i) {
        const auto at = static_cast<int64_t>(random.uniform() * kMinute);
        out.push_back({start + at, 0, function});
      }
      std::sort(out.begin() + static_cast<std::ptrdiff_t>(first), out.end(),
                [](const Arrival& a, const Arrival& b) { return a.at_ns < b.at_ns; });
      break;
    case Spread::kExponential: {
      // n + 1 gaps scaled to the minute: the last one reaches its end.
      Random again = random;
      double total = 0;
      for (uint32_t i = 0; i <= count; ++i) total += again.exponential(1);
      if (!(total > 0)) total = 1;
      double sum = 0;
      for (uint32_t i = 0; i < count; ++i) {
        sum += random.exponential(1);
        const auto at = static_cast<int64_t>(sum / total * kMinute);
        out.push_back({start + std::min(at, kMinute - 1), 0, function});
      }
      random = again;
      break;
    }
  }
  if (options_.service == Service::kZero) return;
  for (size_t i = first; i < out.size(); ++i) out[i].service_ns = draw_service(what, random);
}

ArrivalStream::ArrivalStream(const Trace& trace, const ArrivalOptions& options)
    : trace_(trace), options_(options), draw_(trace, options) {
  if (options_.until <= Duration(0)) options_.until = Duration::max();
  if (trace.minutes.empty()) return;
  const auto minutes =
      static_cast<size_t>(std::chrono::ceil<std::chrono::minutes>(trace.length).count());
  head_.assign(minutes, kNone);
  link_.assign(trace.size(), kNone);
  cursor_.assign(trace.size(), 0);
  for (size_t i = 0; i < trace.size(); ++i) {
    if (trace.first[i] == trace.first[i + 1]) continue;
    const uint32_t minute = trace.minutes[trace.first[i]].minute;
    if (minute >= minutes) continue;
    link_[i] = std::exchange(head_[minute], static_cast<uint32_t>(i));
  }
}

size_t ArrivalStream::bytes() const {
  return (head_.capacity() + link_.capacity() + cursor_.capacity()) * sizeof(uint32_t) +
         keys_.capacity() * sizeof(uint64_t) + sorted_.capacity() * sizeof(Arrival);
}

void ArrivalStream::collect_minute(uint32_t minute, std::vector<Arrival>& out) {
  called_.clear();
  for (uint32_t f = head_[minute]; f != kNone; f = link_[f]) called_.push_back(f);
  head_[minute] = kNone;
  std::sort(called_.begin(), called_.end());
  for (const uint32_t f : called_) {
    const uint64_t at = trace_.first[f] + cursor_[f]++;
    draw_.draw(f, minute, trace_.minutes[at].count, out);
    if (at + 1 < trace_.first[f + 1]) {
      const uint32_t next = trace_.minutes[at + 1].minute;
      if (next < head_.size()) link_[f] = std::exchange(head_[next], f);
    }
  }
}

// Sorts keys of 8 bytes (time in the minute, index) instead of whole arrivals.
void ArrivalStream::sort(std::vector<Arrival>& out, int64_t start_ns) {
  constexpr int kIndexBits = 28;  // a minute is less than 2^36 ns
  if (out.size() < (size_t{1} << kIndexBits)) {
    keys_.clear();
    keys_.reserve(out.size());
    for (size_t i = 0; i < out.size(); ++i) {
      keys_.push_back((static_cast<uint64_t>(out[i].at_ns - start_ns) << kIndexBits) | i);
    }
    std::sort(keys_.begin(), keys_.end());
    sorted_.clear();
    sorted_.reserve(out.size());
    for (const uint64_t key : keys_) {
      sorted_.push_back(out[key & ((uint64_t{1} << kIndexBits) - 1)]);
    }
    out.swap(sorted_);
  } else {
    std::stable_sort(out.begin(), out.end(),
                     [](const Arrival& a, const Arrival& b) { return a.at_ns < b.at_ns; });
  }
}

bool ArrivalStream::next_calls(std::vector<Arrival>& out) {
  if (call_ == trace_.calls.size()) return false;
  const int64_t end = (trace_.calls[call_].at_ns / kMinute + 1) * kMinute;
  for (; call_ < trace_.calls.size() && trace_.calls[call_].at_ns < end; ++call_) {
    const Call& call = trace_.calls[call_];
    if (call.at_ns >= options_.until.count()) {
      call_ = trace_.calls.size();
      break;
    }
    out.push_back(
        {call.at_ns, draw_.service_ns(call.function, call.service_ns, call_), call.function});
  }
  return !out.empty();
}

bool ArrivalStream::next(std::vector<Arrival>& out) {
  out.clear();
  if (trace_.minutes.empty()) return next_calls(out);
  while (minute_ < head_.size() && head_[minute_] == kNone) ++minute_;
  const int64_t start = minute_ * kMinute;
  if (minute_ == head_.size() || start >= options_.until.count()) return false;
  collect_minute(minute_++, out);
  sort(out, start);
  if (out.back().at_ns >= options_.until.count()) {
    std::erase_if(out, [this](const Arrival& a) { return a.at_ns >= options_.until.count(); });
  }
  return !out.empty() || next(out);
}

}  // namespace ebb::sim
