// What a benchmark in C++ found: text to be read, or with --json a line of JSON for each
// figure, with the keys that bench/lib.py prints.
//
//   Figures figures(argc, argv);
//   figures.say("{:<20} {:>9.1f} ms\n", "a tick", ms);
//   figures.add("autoscaler, a tick", ms, "ms");
#pragma once

#include <fmt/core.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

namespace ebb::bench {

class Figures final {
 public:
  // Takes --json out of the arguments.
  Figures(int& argc, char** argv) {
    std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // also into a pipe
    int kept = 1;
    for (int i = 1; i < argc; ++i) {
      if (argv[i] == std::string_view("--json")) {
        json_ = true;
      } else {
        argv[kept++] = argv[i];
      }
    }
    argc = kept;
  }

  // Without --json.
  template <typename... Values>
  void say(fmt::format_string<Values...> text, Values&&... values) const {
    if (!json_) fmt::print(text, std::forward<Values>(values)...);
  }

  // With --json. `peer`: what `value` is the `ratio`-fold of. Texts have no quotes in them.
  void add(std::string_view name, double value, std::string_view unit) const {
    if (json_) fmt::print("{}, \"peer\": null, \"ratio\": null}}\n", begin(name, value, unit));
  }
  void add(std::string_view name, double value, std::string_view unit, std::string_view peer,
           double ratio) const {
    if (!json_) return;
    fmt::print("{}, \"peer\": \"{}\", \"ratio\": {:.4f}}}\n", begin(name, value, unit), peer,
               ratio);
  }

 private:
  static std::string begin(std::string_view name, double value, std::string_view unit) {
    return fmt::format(R"({{"name": "{}", "value": {:.4f}, "unit": "{}")", name, value, unit);
  }

  bool json_ = false;
};

}  // namespace ebb::bench
