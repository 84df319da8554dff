//! Regular expressions of schemas, as the API server (RE2) reads them.

use std::iter::Peekable;
use std::str::Chars;

/// Largest count of a repetition.
const MOST: u32 = 1000;

const UNSUPPORTED: &str = "it has a group that RE2 does not know, such as a look-ahead: RE2 has neither look-ahead nor \
                           look-behind";

/// What stands before an operator of repetition.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Part,
    Repetition,
}

/// What is wrong with a pattern, if something is. Names of classes such as `\p{Greek}` are not checked.
pub(super) fn fault(pattern: &str) -> Option<&'static str> {
    let mut rest = pattern.chars().peekable();
    let mut depth = 0_usize;
    let mut before = Before::Nothing;
    while let Some(letter) = rest.next() {
        before = match letter {
            '\\' => {
                if let Err(why) = escape(&mut rest) {
                    return Some(why);
                }
                Before::Part
            }
            '[' => {
                if let Some(why) = class(&mut rest) {
                    return Some(why);
                }
                Before::Part
            }
            '(' => match group(&mut rest) {
                Err(why) => return Some(why),
                Ok(true) => {
                    depth += 1;
                    Before::Nothing
                }
                // Behind flags, RE2 lets what was repeated be repeated again.
                Ok(false) if before == Before::Repetition => Before::Part,
                Ok(false) => before,
            },
            ')' if depth == 0 => return Some("it has a `)` without `(`"),
            ')' => {
                depth -= 1;
                Before::Part
            }
            '|' => Before::Nothing,
            '*' | '+' | '?' => match repetition(before, &mut rest) {
                Some(why) => return Some(why),
                None => Before::Repetition,
            },
            '{' => match counts(&mut rest) {
                None => Before::Part,
                Some(false) => return Some("a count of repetitions is too large, or the first exceeds the second"),
                Some(true) => match repetition(before, &mut rest) {
                    Some(why) => return Some(why),
                    None => Before::Repetition,
                },
            },
            _ => Before::Part,
        };
    }
    (depth > 0).then_some("it has a `(` without `)`")
}

fn repetition(before: Before, rest: &mut Peekable<Chars<'_>>) -> Option<&'static str> {
    rest.next_if_eq(&'?');
    match before {
        Before::Nothing => Some("a repetition has nothing to repeat"),
        Before::Repetition => Some("a repetition is repeated"),
        Before::Part => None,
    }
}

/// The letter that an escape stands for, if it stands for one.
fn escape(rest: &mut Peekable<Chars<'_>>) -> Result<Option<char>, &'static str> {
    match rest.next() {
        None => Err("it ends with `\\`"),
        Some('Q') => {
            let mut last = ' ';
            for letter in rest.by_ref() {
                if last == '\\' && letter == 'E' {
                    break;
                }
                last = letter;
            }
            Ok(None)
        }
        Some(letter) if letter.is_ascii() && !letter.is_ascii_alphanumeric() => Ok(Some(letter)),
        Some('1'..='7') if !matches!(rest.peek(), Some('0'..='7')) => {
            Err("it refers to a group by `\\` and a digit, which RE2 does not know")
        }
        Some(letter) if "01234567ABDPSWabdfnprstvwxz".contains(letter) => Ok(None),
        Some(_) => Err("it has an escape that RE2 does not know"),
    }
}

/// Whether a group opens, and not only flags are set.
fn group(rest: &mut Peekable<Chars<'_>>) -> Result<bool, &'static str> {
    if rest.next_if_eq(&'?').is_none() {
        return Ok(true);
    }
    let named = rest.next_if_eq(&'P').is_some();
    if rest.next_if_eq(&'<').is_some() {
        let mut letters = 0;
        for letter in rest.by_ref() {
            match letter {
                '>' if letters > 0 => return Ok(true),
                _ if letter == '_' || letter.is_alphanumeric() => letters += 1,
                _ => break,
            }
        }
        return Err(UNSUPPORTED);
    }
    if named {
        return Err(UNSUPPORTED);
    }
    for letter in rest.by_ref() {
        match letter {
            ':' => return Ok(true),
            ')' => return Ok(false),
            'i' | 'm' | 's' | 'U' | '-' => {}
            _ => break,
        }
    }
    Err(UNSUPPORTED)
}

/// The rest of a class of letters.
fn class(rest: &mut Peekable<Chars<'_>>) -> Option<&'static str> {
    rest.next_if_eq(&'^');
    let (mut is_first, mut low, mut is_range) = (true, None, false);
    while let Some(letter) = rest.next() {
        let value = match letter {
            ']' if !is_first => return None,
            '-' if low.is_some() && !is_range && rest.peek() != Some(&']') => {
                is_range = true;
                continue;
            }
            '[' if rest.peek() == Some(&':') => {
                let ahead: String = rest.clone().take_while(|letter| *letter != ']').collect();
                if ahead.len() > 1 && ahead.ends_with(':') {
                    let name = ahead.trim_matches(':').trim_start_matches('^');
                    if !NAMES.contains(&name) {
                        return Some("it has a class such as `[:name:]` that RE2 does not know");
                    }
                    rest.nth(ahead.chars().count());
                    None
                } else {
                    Some('[')
                }
            }
            '\\' => match escape(rest) {
                Ok(value) => value,
                Err(why) => return Some(why),
            },
            _ => Some(letter),
        };
        if is_range && low.zip(value).is_some_and(|(low, high)| low > high) {
            return Some("it has a range such as `[z-a]` that is the wrong way round");
        }
        low = value.filter(|_| !is_range);
        (is_first, is_range) = (false, false);
    }
    Some("it has a `[` without `]`")
}

const NAMES: &[&str] = &[
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// The counts behind `{`, if it has some: whether they are valid.
fn counts(rest: &mut Peekable<Chars<'_>>) -> Option<bool> {
    let ahead: String = rest.clone().take(16).take_while(|letter| *letter != '}').collect();
    let is_closed = rest.clone().nth(ahead.len()) == Some('}');
    let (low, high) = ahead.split_once(',').map_or((ahead.as_str(), None), |(low, high)| (low, Some(high)));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_closed || !is_number(low) || high.is_some_and(|high| !high.is_empty() && !is_number(high)) {
        return None;
    }
    rest.nth(ahead.len());
    let read = |text: &str| text.parse().unwrap_or(u32::MAX);
    let low = read(low);
    let high = high.filter(|high| !high.is_empty()).map_or(low, read);
    Some(low <= high && high <= MOST)
}
