// SPDX-License-Identifier: MIT
// Proleptic Gregorian dates and seconds since 1970, as the RTC needs them. No time zones, no leap seconds.
#pragma once

#include "core/integers.h"

namespace shadowbox {

struct CalendarTime {
    i32 year = 1970;  // full year
    unsigned month = 1, day = 1, hour = 0, minute = 0, second = 0;
    unsigned weekday = 4;  // 0 is Sunday; 1970-01-01 was a Thursday
};

constexpr i64 kSecondsPerDay = 86400;

/// Days since 1970-01-01 of a date; months and days out of range count on.
constexpr i64 days_from_date(i64 year, unsigned month, unsigned day) {
    if (month <= 2) --year;
    i64 era = (year >= 0 ? year : year - 399) / 400;
    i64 year_of_era = year - era * 400;
    i64 shifted_month = (i64{month} + 9) % 12;  // March is 0: leap days come last
    i64 day_of_year = (153 * shifted_month + 2) / 5 + i64{day} - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

constexpr i64 seconds_from_calendar(const CalendarTime& t) {
    return days_from_date(t.year, t.month, t.day) * kSecondsPerDay + i64{t.hour} * 3600 + i64{t.minute} * 60 +
           i64{t.second};
}

constexpr CalendarTime calendar_from_seconds(i64 seconds) {
    i64 days = seconds / kSecondsPerDay, rest = seconds % kSecondsPerDay;
    if (rest < 0) rest += kSecondsPerDay, --days;
    i64 z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, day_of_era = z - era * 146097;
    i64 year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    i64 day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    i64 shifted_month = (5 * day_of_year + 2) / 153;
    CalendarTime t;
    t.day = static_cast<unsigned>(day_of_year - (153 * shifted_month + 2) / 5 + 1);
    t.month = static_cast<unsigned>(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
    t.year = static_cast<i32>(year_of_era + era * 400 + (t.month <= 2 ? 1 : 0));
    t.hour = static_cast<unsigned>(rest / 3600);
    t.minute = static_cast<unsigned>(rest / 60 % 60);
    t.second = static_cast<unsigned>(rest % 60);
    t.weekday = static_cast<unsigned>(((days + 4) % 7 + 7) % 7);
    return t;
}

}  // namespace shadowbox
