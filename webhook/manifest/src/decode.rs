//! What the decoders of the API server accept: the syntax of single values, not their meaning.

/// Whether Go reads this as a time of RFC 3339. `micro` demands exactly six digits of a fraction.
pub(crate) fn is_time(text: &str, micro: bool) -> bool {
    time(text.as_bytes(), micro).is_some()
}

fn time(text: &[u8], micro: bool) -> Option<()> {
    let (year, rest) = digits(text, 4)?;
    let (month, rest) = digits(rest.strip_prefix(b"-")?, 2)?;
    let (day, rest) = digits(rest.strip_prefix(b"-")?, 2)?;
    let rest = rest.strip_prefix(b"T")?;
    // Go takes one digit of an hour too.
    let (hour, rest) = digits(rest, 2).or_else(|| digits(rest, 1))?;
    let (minute, rest) = digits(rest.strip_prefix(b":")?, 2)?;
    let (second, mut rest) = digits(rest.strip_prefix(b":")?, 2)?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let in_range = (1..=12).contains(&month) && (1..=longest).contains(&day) && hour < 24 && minute < 60 && second < 60;
    if !in_range {
        return None;
    }
    if micro {
        let (_, after) = digits(rest.strip_prefix(b".").or_else(|| rest.strip_prefix(b","))?, 6)?;
        rest = after;
    } else if let Some(fraction) = rest.strip_prefix(b".").or_else(|| rest.strip_prefix(b",")) {
        let length = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        rest = fraction.get(length..).filter(|_| length > 0)?;
    }
    let zone = match rest {
        b"Z" => return Some(()),
        [b'+' | b'-', zone @ ..] => zone,
        _ => return None,
    };
    let (hours, rest) = digits(zone, 2)?;
    let (minutes, rest) = digits(rest.strip_prefix(b":")?, 2)?;
    (rest.is_empty() && hours <= 24 && minutes <= 60).then_some(())
}

fn digits(text: &[u8], count: usize) -> Option<(u32, &[u8])> {
    let (head, rest) = text.split_at_checked(count)?;
    let value =
        head.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0')))?;
    Some((value, rest))
}

/// Whether the text is base64 with padding, as Go reads it: line breaks anywhere are skipped.
pub(crate) fn is_base64(text: &str) -> bool {
    let mut length = 0_usize;
    let mut padding = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'\r' | b'\n' => continue,
            b'=' => padding += 1,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' if padding == 0 => {}
            _ => return false,
        }
        length += 1;
    }
    length.is_multiple_of(4) && padding <= 2
}

/// Whether the text has the syntax of a quantity: `100m`, `1.5Gi`, `2e3`.
pub(crate) fn is_quantity(text: &str) -> bool {
    let text = text.trim();
    if text.is_empty() {
        return false;
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let number = unsigned.trim_start_matches(|c: char| c.is_ascii_digit());
    let suffix = match number.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => number,
    };
    match suffix {
        "" | "n" | "u" | "m" | "k" | "M" | "G" | "T" | "P" | "E" | "Ki" | "Mi" | "Gi" | "Ti" | "Pi" | "Ei" => true,
        _ => suffix.strip_prefix(['e', 'E']).is_some_and(|exponent| exponent.parse::<i64>().is_ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for text in ["2026-01-31T00:00:00Z", "2024-02-29T1:02:03.5+02:00", "2026-01-01T00:00:00,123-00:30"] {
            assert!(is_time(text, false), "{text}");
        }
        for text in [
            "",
            "2026-01-31",
            "2026-02-29T00:00:00Z",
            "2026-01-01t00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00.Z",
        ] {
            assert!(!is_time(text, false), "{text}");
        }
        assert!(is_time("2026-01-31T00:00:00.123456Z", true));
        assert!(!is_time("2026-01-31T00:00:00Z", true));
    }

    #[test]
    fn base64() {
        assert!(is_base64("") && is_base64("aGk=") && is_base64("aG\nk="));
        assert!(!is_base64("aGk") && !is_base64("a=Gk") && !is_base64("plain text") && !is_base64("a==="));
    }

    #[test]
    fn quantities() {
        for text in ["0", "1", "100m", "1.5Gi", "2e3", "2E-3", "1E", " 1 ", "+1", ".5", "1.G"] {
            assert!(is_quantity(text), "{text}");
        }
        for text in ["", "256MB", "1 Gi", "1gi", "m1", "1e", "1.5.2", "true", "1KiB", "1+5"] {
            assert!(!is_quantity(text), "{text}");
        }
    }
}
