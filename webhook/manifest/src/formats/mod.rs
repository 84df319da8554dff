//! Forms of texts: names, labels, quantities, addresses, schedules.
//!
//! Pure functions that neither allocate for well-formed texts nor panic.

pub(crate) mod address;
pub(crate) mod content;
pub(crate) mod cron;
pub(crate) mod names;
pub(crate) mod paths;
pub(crate) mod quantity;
pub(crate) mod windows;
pub(crate) mod zone;

/// A form that texts have, with the words for a message about a text that does not have it.
pub(crate) struct Form {
    /// What such a text is, such as "DNS label".
    pub(crate) what: &'static str,
    /// What is allowed, in one phrase.
    pub(crate) allowed: &'static str,
    /// A well-formed text.
    pub(crate) example: &'static str,
    /// Whether a text has the form.
    pub(crate) holds: fn(&str) -> bool,
}

/// Checks that the forms accept and refuse these texts.
#[cfg(test)]
#[track_caller]
fn table(form: &Form, good: &[&str], bad: &[&str]) {
    for text in good.iter().chain([&form.example]) {
        assert!((form.holds)(text), "`{text}` is a {}", form.what);
    }
    for text in bad {
        assert!(!(form.holds)(text), "`{text}` is not a {}", form.what);
    }
}
