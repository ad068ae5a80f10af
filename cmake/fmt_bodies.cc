// fmt's functions, compiled once, where there are only its headers (cross builds). With
// FMT_HEADER_ONLY each file that formats compiles them again, which doubles the time of a build.
#include <fmt/format-inl.h>

// What <fmt/format.h> declares as instantiated elsewhere.
template char fmt::detail::decimal_point_impl(fmt::detail::locale_ref);
template fmt::detail::thousands_sep_result<char> fmt::detail::thousands_sep_impl(
    fmt::detail::locale_ref);
