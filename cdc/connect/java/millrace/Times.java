package millrace;

import java.time.LocalDate;
import java.time.LocalDateTime;

import org.postgresql.util.PGInterval;

/** Dates, timestamps and intervals as PostgreSQL writes them (DateStyle ISO, IntervalStyle postgres). */
final class Times {
    private Times() {
    }

    static String date(LocalDate day) {
        StringBuilder text = new StringBuilder(16);
        day(text, day);
        return era(text, day);
    }

    /** @param zone what stands between the time and the era */
    static String timestamp(LocalDateTime moment, String zone) {
        StringBuilder text = new StringBuilder(36);
        day(text, moment.toLocalDate());
        pad(text.append(' '), moment.getHour(), 2);
        pad(text.append(':'), moment.getMinute(), 2);
        pad(text.append(':'), moment.getSecond(), 2);
        fraction(text, moment.getNano() / 1000);
        return era(text.append(zone), moment.toLocalDate());
    }

    /** In the style `postgres`: "1 year 2 mons -3 days +04:05:06.789"; the sign of a part follows the part before. */
    static String interval(PGInterval interval) {
        StringBuilder text = new StringBuilder();
        boolean negative = part(text, interval.getYears(), "year", false);
        negative = part(text, interval.getMonths(), "mon", negative);
        negative = part(text, interval.getDays(), "day", negative);
        int hours = interval.getHours();
        int minutes = interval.getMinutes();
        int seconds = interval.getWholeSeconds();
        int micros = interval.getMicroSeconds();
        if (text.length() == 0 || hours != 0 || minutes != 0 || seconds != 0 || micros != 0) {
            boolean minus = hours < 0 || minutes < 0 || seconds < 0 || micros < 0;
            text.append(text.length() == 0 ? "" : " ").append(minus ? "-" : negative ? "+" : "");
            pad(text, Math.abs(hours), 2);
            pad(text.append(':'), Math.abs(minutes), 2);
            pad(text.append(':'), Math.abs(seconds), 2);
            fraction(text, Math.abs(micros));
        }
        return text.toString();
    }

    /** Returns whether the last part so far is negative. */
    private static boolean part(StringBuilder text, int number, String unit, boolean negative) {
        if (number == 0) {
            return negative;
        }
        text.append(text.length() == 0 ? "" : " ").append(negative && number > 0 ? "+" : "").append(number);
        text.append(' ').append(unit).append(number == 1 ? "" : "s");
        return number < 0;
    }

    private static void day(StringBuilder text, LocalDate day) {
        pad(text, day.getYear() > 0 ? day.getYear() : 1 - day.getYear(), 4);
        pad(text.append('-'), day.getMonthValue(), 2);
        pad(text.append('-'), day.getDayOfMonth(), 2);
    }

    private static String era(StringBuilder text, LocalDate day) {
        return day.getYear() > 0 ? text.toString() : text.append(" BC").toString();
    }

    private static void fraction(StringBuilder text, int micros) {
        if (micros == 0) {
            return;
        }
        pad(text.append('.'), micros, 6);
        while (text.charAt(text.length() - 1) == '0') {
            text.setLength(text.length() - 1);
        }
    }

    private static void pad(StringBuilder text, int number, int width) {
        String digits = Integer.toString(number);
        text.append("0".repeat(Math.max(0, width - digits.length()))).append(digits);
    }
}
