// Text of others in messages and logs: in double quotes, and never more than text.
#pragma once

#include <string>
#include <string_view>

namespace ebb {

// Printable ASCII and well-formed UTF-8 as they are; quotes, backslashes, line ends and tabs
// escaped as in C; every other byte, such as of a control sequence for a terminal, as \xHH.
// (fmt's own {:?} ends the program on some malformed UTF-8.)
[[nodiscard]] std::string in_quotes(std::string_view text);
// Appends it so, without the quotes; `also`: characters that get a backslash.
void append_escaped(std::string& out, std::string_view text, std::string_view also = {});

}  // namespace ebb
