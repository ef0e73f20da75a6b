/// Instants as git and run files write them.

#include <charconv>
#include <chrono>
#include <regex>

#include <fmt/format.h>

#include "model/error.hpp"
#include "reports/history/history.hpp"

namespace deformer {
namespace {

int number(const std::ssub_match& digits) {
  int value = 0;
  const std::string text = digits.str();
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

std::int64_t parse_instant(const std::string& option, const std::string& text) {
  static const std::regex seconds("[0-9]{9,11}");  // from 1973 to the year 5138
  static const std::regex form(
      "([0-9]{4})-([0-9]{2})-([0-9]{2})"
      "(?:[T ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\\.[0-9]+)?(Z|([+-])([0-9]{2}):?([0-9]{2})))?");
  if (std::regex_match(text, seconds)) return std::stoll(text);
  std::smatch part;
  if (std::regex_match(text, part, form)) {
    using namespace std::chrono;
    const year_month_day day{year{number(part[1])}, month{static_cast<unsigned>(number(part[2]))},
                             std::chrono::day{static_cast<unsigned>(number(part[3]))}};
    const bool timed = part[4].matched;
    const int hour = timed ? number(part[4]) : 0;
    const int minute = timed ? number(part[5]) : 0;
    const int second = timed ? number(part[6]) : 0;
    const int offset_minutes = part[8].matched ? number(part[9]) * 60 + number(part[10]) : 0;
    if (day.ok() && hour < 24 && minute < 60 && second <= 60 && offset_minutes <= 24 * 60) {
      const auto local = sys_days(day).time_since_epoch() + hours(hour) + minutes(minute) +
                         std::chrono::seconds(second);
      const auto offset = minutes(part[8].str() == "-" ? -offset_minutes : offset_minutes);
      return duration_cast<std::chrono::seconds>(local - offset).count();
    }
  }
  throw BadInput(
      fmt::format("{}: expected a date as 2026-11-26, 2026-11-26T01:12:59Z, "
                  "2026-11-26T03:12:59+02:00 (git's %cI) or seconds since 1970, found '{}'",
                  option, text.substr(0, 60)));
}

std::string instant_text(std::int64_t seconds) {
  const std::chrono::sys_seconds at{std::chrono::seconds(seconds)};
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(at - day);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     time.hours().count(), time.minutes().count(), time.seconds().count());
}

}  // namespace deformer
