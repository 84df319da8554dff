//! Cron schedules of five fields, descriptors such as `@daily`, and durations of Go.

/// What is wrong with the schedule, if something is.
pub(crate) fn fault(schedule: &str) -> Option<String> {
    if let Some(descriptor) = schedule.strip_prefix('@') {
        return descriptor_fault(descriptor);
    }
    let count = schedule.split_whitespace().count();
    if count != 5 {
        return Some(format!("it has {count} fields instead of five: minute, hour, day of month, month, day of week"));
    }
    FIELDS.iter().zip(schedule.split_whitespace()).find_map(|(field, text)| {
        let parts = text.split(',').filter(|part| !part.is_empty());
        parts.map(|part| part_fault(part, field)).find(Option::is_some).flatten()
    })
}

/// Whether this is a duration such as `1h30m`.
pub(crate) fn is_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    if rest.is_empty() {
        return false;
    }
    let mut total: f64 = 0.0;
    while !rest.is_empty() {
        let number = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
        let (amount, tail) = rest.split_at(number);
        let digits = amount.bytes().filter(u8::is_ascii_digit).count();
        if digits == 0 || amount.len() > digits + 1 {
            return false;
        }
        let unit = tail.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return false,
        };
        total += amount.parse().unwrap_or(f64::INFINITY) * seconds;
        rest = tail;
    }
    total < 9_223_372_036.0
}

struct Field {
    name: &'static str,
    least: u64,
    most: u64,
    names: &'static [&'static str],
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const FIELDS: [Field; 5] = [
    Field { name: "minute", least: 0, most: 59, names: &[] },
    Field { name: "hour", least: 0, most: 23, names: &[] },
    Field { name: "day of month", least: 1, most: 31, names: &[] },
    Field { name: "month", least: 1, most: 12, names: MONTHS },
    Field { name: "day of week", least: 0, most: 6, names: DAYS },
];

fn descriptor_fault(descriptor: &str) -> Option<String> {
    let known = matches!(descriptor, "yearly" | "annually" | "monthly" | "weekly" | "daily" | "midnight" | "hourly");
    if known || descriptor.strip_prefix("every ").is_some_and(is_duration) {
        return None;
    }
    Some("it must be one of `@yearly`, `@monthly`, `@weekly`, `@daily`, `@hourly`, or `@every` and a duration".into())
}

fn part_fault(part: &str, field: &Field) -> Option<String> {
    let Field { name, least, most, .. } = field;
    let (range, step) = match part.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (part, None),
    };
    let (low, high) = match range.split_once('-') {
        Some((low, high)) => (low, Some(high)),
        None => (range, None),
    };
    let bounds = match (low, high) {
        ("*" | "?", _) => Some((*least, *most)),
        (low, None) => number(low, field).map(|start| (start, if step.is_some() { *most } else { start })),
        (low, Some(high)) => number(low, field).zip(number(high, field)),
    };
    let Some((start, end)) = bounds else {
        return Some(format!("`{part}` is not a number or range of the field \"{name}\""));
    };
    if start < *least || end > *most {
        return Some(format!("`{part}` is outside of {least} to {most}, the range of the field \"{name}\""));
    }
    if start > end {
        return Some(format!("`{part}` begins after its end"));
    }
    match step.map(unsigned) {
        Some(None | Some(0)) => Some(format!("the step of `{part}` is not a positive number")),
        _ => None,
    }
}

fn number(text: &str, field: &Field) -> Option<u64> {
    let named = field.names.iter().position(|name| name.eq_ignore_ascii_case(text));
    match named {
        Some(index) => u64::try_from(index).ok().map(|index| index + field.least),
        None => unsigned(text),
    }
}

fn unsigned(text: &str) -> Option<u64> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|&value| whole && value <= i64::MAX as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules() {
        for text in [
            "* * * * *",
            "0 0 1 1 0",
            "*/5 0-23/2 1,15 JAN-mar Mon-Fri",
            "? ? ? ? ?",
            "5/15 * * * *",
            "@daily",
            "@every 1h30m",
            ", * * * *",
            "0  0\t* * *",
        ] {
            assert_eq!(fault(text), None, "{text}");
        }
        for text in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 7",
            "5-1 * * * *",
            "*/0 * * * *",
            "*/x * * * *",
            "1-2-3 * * * *",
            "1/2/3 * * * *",
            "a * * * *",
            "-1 * * * *",
            "@reboot",
            "@every x",
        ] {
            assert!(fault(text).is_some(), "{text}");
        }
    }

    #[test]
    fn durations() {
        for text in ["0", "1s", "-1.5h", "1h2m3s", ".5s", "1.s", "100ms", "2µs"] {
            assert!(is_duration(text), "{text}");
        }
        for text in ["", "1", "s", ".s", "1d", "1 h", "1..5s", "-", "999999999h"] {
            assert!(!is_duration(text), "{text}");
        }
    }
}
