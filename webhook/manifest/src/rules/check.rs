//! Checks of single fields, with their messages.

use std::collections::HashSet;

use crate::fault::Edit;
use crate::formats::quantity::Quantity;
use crate::formats::{Form, names};
use crate::{At, Faults, Rule};

/// Longest value that a message repeats.
const SHOWN: usize = 60;

/// A field of an object, or an item of a list, with the name that messages give it.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) at: At<'a>,
    name: &'static str,
}

/// The field of an object.
pub(super) fn field<'a>(at: &At<'a>, name: &'static str) -> Field<'a> {
    Field { at: at.at(name), name }
}

/// An item of a list, or a value of a map, with what it is.
pub(super) fn item<'a>(at: &At<'a>, name: &'static str) -> Field<'a> {
    Field { at: *at, name }
}

impl<'a> Field<'a> {
    /// The text of a required field, or `None` after a fault was recorded. `hint` says what the field is.
    pub(super) fn need(self, hint: &str, faults: &mut Faults) -> Option<&'a str> {
        let text = self.at.text();
        if text.is_empty() {
            self.missing(hint, faults);
            return None;
        }
        Some(text)
    }

    /// Records that a required field is missing or empty.
    pub(super) fn missing(self, hint: &str, faults: &mut Faults) {
        let name = self.name;
        let state = if self.at.is_present() { "empty" } else { "missing" };
        faults.error(
            Rule::MissingField,
            &self.at,
            format!("`{name}` is {state}, but required: {hint}"),
            format!("write `{name}`: {hint}"),
        );
    }

    /// The object or list in a required field.
    pub(super) fn need_value(self, hint: &str, faults: &mut Faults) -> Option<At<'a>> {
        if self.at.is_absent() {
            self.missing(hint, faults);
            return None;
        }
        Some(self.at)
    }

    /// A text that is required and has a form.
    pub(super) fn need_form(self, form: &Form, rule: Rule, faults: &mut Faults) -> Option<&'a str> {
        let text = self.at.text();
        if text.is_empty() {
            let hint = format!("a {} such as `{}`", form.what, form.example);
            self.missing(&hint, faults);
            return None;
        }
        self.form(form, rule, faults);
        Some(text)
    }

    /// A required name of another object.
    pub(super) fn need_name(self, faults: &mut Faults) -> Option<&'a str> {
        self.need_form(&names::DNS_SUBDOMAIN, Rule::InvalidName, faults)
    }

    /// A text that has a form if it is there, also if it is empty.
    pub(super) fn form(self, form: &Form, rule: Rule, faults: &mut Faults) {
        if let Some(text) = self.at.str().filter(|text| !(form.holds)(text)) {
            faults.error(
                rule,
                &self.at,
                format!("`{}` is not a valid {} for `{}`: use {}", shown(text), form.what, self.name, form.allowed),
                format!("write a {} such as `{}`", form.what, form.example),
            );
        }
    }

    /// A text that has a form unless it is empty.
    pub(super) fn form_or_empty(self, form: &Form, rule: Rule, faults: &mut Faults) {
        if !self.at.text().is_empty() {
            self.form(form, rule, faults);
        }
    }

    /// One of these values, if the field is there; an empty text is not one of them.
    pub(super) fn one_of(self, allowed: &[&str], faults: &mut Faults) {
        if let Some(text) = self.at.str().filter(|text| !allowed.contains(text)) {
            self.not_one_of(text, allowed, faults);
        }
    }

    /// One of these values; an empty text counts as absent.
    pub(super) fn one_of_or_empty(self, allowed: &[&str], faults: &mut Faults) {
        if !self.at.text().is_empty() {
            self.one_of(allowed, faults);
        }
    }

    /// One of these values, which is required.
    pub(super) fn need_one_of(self, allowed: &[&str], faults: &mut Faults) -> &'a str {
        let text = self.at.text();
        if text.is_empty() {
            self.missing(&format!("one of {}", list(allowed)), faults);
        } else {
            self.one_of(allowed, faults);
        }
        text
    }

    fn not_one_of(self, text: &str, allowed: &[&str], faults: &mut Faults) {
        let name = self.name;
        let same = allowed.iter().find(|value| value.eq_ignore_ascii_case(text));
        let near = same.or_else(|| allowed.iter().find(|value| strsim::jaro_winkler(value, text) > 0.88));
        let help = match near {
            Some(value) => format!("write `{name}: {value}`"),
            None => format!("write one of {}", list(allowed)),
        };
        let message = format!("`{name}` is `{}`, but must be one of {}", shown(text), list(allowed));
        faults.error(Rule::NotOneOf, &self.at, message, help);
        if let Some(value) = same {
            let edit = Edit::Replace { pointer: self.at.pointer(), value: format!("\"{value}\"") };
            faults.fix(format!("write `{value}`"), vec![edit]);
        }
    }

    /// A whole number from `least` to `most`, if the field is there.
    pub(super) fn range(self, least: i64, most: i64, faults: &mut Faults) {
        if let Some(value) = self.at.int().filter(|value| !(least..=most).contains(value)) {
            let allowed = match most {
                i64::MAX => format!("at least {least}"),
                _ => format!("from {least} to {most}"),
            };
            let message = format!("`{}` is {value}, but must be {allowed}", self.name);
            faults.error(Rule::OutOfRange, &self.at, message, format!("write a number {allowed}"));
        }
    }

    /// A number of at least `least`, if the field is there.
    pub(super) fn least(self, least: i64, faults: &mut Faults) {
        self.range(least, i64::MAX, faults);
    }

    /// A number of at most `most`, if the field is there.
    pub(super) fn most(self, most: i64, why: &str, faults: &mut Faults) {
        if let Some(value) = self.at.int().filter(|value| *value > most) {
            let message = format!("`{}` is {value}, but must be at most {most} {why}", self.name);
            faults.error(Rule::OutOfRange, &self.at, message, format!("write at most {most}"));
        }
    }

    /// A number of a port, if the field is there.
    pub(super) fn port(self, faults: &mut Faults) {
        self.range(1, 65535, faults);
    }

    /// The number of a port, which is required: 0 counts as absent.
    pub(super) fn need_port(self, faults: &mut Faults) {
        if self.at.int().unwrap_or(0) == 0 {
            self.missing("a port number from 1 to 65535", faults);
        } else {
            self.port(faults);
        }
    }

    /// A mode of a file, if the field is there.
    pub(super) fn file_mode(self, faults: &mut Faults) {
        if let Some(value) = self.at.int().filter(|value| !(0..=0o777).contains(value)) {
            let message = format!("`{}` is {value}, but file modes go from 0 to 511 (octal 0777)", self.name);
            faults.error(
                Rule::OutOfRange,
                &self.at,
                message,
                "write an octal number such as `0644`, or its decimal form",
            );
        }
    }

    /// The number or name of a port, which is required.
    pub(super) fn need_port_or_name(self, faults: &mut Faults) {
        match self.at.str() {
            Some(_) => self.form(&names::PORT_NAME, Rule::InvalidName, faults),
            None if self.at.is_absent() => self.missing("the number or name of a port", faults),
            None => self.port(faults),
        }
    }

    /// A number of at least 0, or a percentage.
    pub(super) fn count_or_percent(self, faults: &mut Faults) {
        match self.at.str() {
            Some(_) => self.form(&names::PERCENT, Rule::InvalidFormat, faults),
            None => self.least(0, faults),
        }
    }

    /// A percentage of at most 100 %, if the field has one.
    pub(super) fn at_most_all(self, faults: &mut Faults) {
        if let Some(text) = self.at.str().filter(|text| percent(text).is_some_and(|value| value > 100)) {
            let message = format!("`{}` is {}, but must be at most 100%", self.name, shown(text));
            faults.error(Rule::OutOfRange, &self.at, message, "write a percentage from `0%` to `100%`");
        }
    }

    /// A quantity that is not below zero, if the field is there.
    pub(super) fn not_negative(self, faults: &mut Faults) {
        if Quantity::at(&self.at).is_some_and(Quantity::is_negative) {
            let message = format!("`{}` is {}, but must not be negative", self.name, value(&self.at));
            faults.error(Rule::OutOfRange, &self.at, message, "write a quantity of 0 or more");
        }
    }

    /// A quantity above zero, if the field is there.
    pub(super) fn positive(self, faults: &mut Faults) {
        if Quantity::at(&self.at).is_some_and(|value| !value.is_positive()) {
            let message = format!("`{}` is {}, but must be more than 0", self.name, value(&self.at));
            faults.error(Rule::OutOfRange, &self.at, message, "write a quantity above 0");
        }
    }

    /// A field that must not be set here; `why` completes "`field` must not be set …".
    pub(super) fn forbid(self, rule: Rule, why: &str, faults: &mut Faults) {
        if self.at.is_present() {
            let message = format!("`{}` must not be set {why}", self.name);
            faults.error(rule, &self.at, message, format!("remove `{}`", self.name));
        }
    }

    /// A text in which a check finds no fault, if it is there.
    pub(super) fn without_fault(
        self,
        rule: Rule,
        fault: impl FnOnce(&str) -> Option<&'static str>,
        faults: &mut Faults,
    ) {
        if let Some((text, why)) = self.at.str().and_then(|text| Some((text, fault(text)?))) {
            let message = format!("`{}` is `{}`, but {why}", self.name, shown(text));
            faults.error(rule, &self.at, message, format!("change `{}`", self.name));
        }
    }

    /// At most so many items or bytes.
    pub(super) fn at_most(self, count: usize, most: usize, unit: &str, faults: &mut Faults) {
        if count > most {
            let message = format!("`{}` has {count} {unit}, but at most {most} are allowed", self.name);
            faults.error(Rule::OutOfRange, &self.at, message, format!("leave at most {most} {unit}"));
        }
    }
}

/// Records that an entry repeats what an earlier one of the list has.
pub(super) fn duplicate(at: &At<'_>, what: &str, text: &str, faults: &mut Faults) {
    let message = format!("{what} `{}` is there twice", shown(text));
    faults.error(Rule::DuplicateEntry, at, message, "remove one of the two entries, or give it another name");
}

/// Records that one of several fields has to be set, and none is.
pub(super) fn need_one(at: &At<'_>, names: &[&str], what: &str, faults: &mut Faults) {
    let message = format!("{what} needs one of {}", list(names));
    faults.error(Rule::MissingField, at, message, format!("write one of {}", list(names)));
}

/// Records the fields that are set although another one excludes them. Returns how many of all are set.
pub(super) fn exclusive(at: &At<'_>, names: &[&'static str], what: &str, faults: &mut Faults) -> usize {
    let mut first: Option<&str> = None;
    let mut count = 0;
    for name in names {
        let place = at.at(name);
        if place.is_absent() {
            continue;
        }
        count += 1;
        match first {
            None => first = Some(name),
            Some(first) => faults.error(
                Rule::ExclusiveFields,
                &place,
                format!("`{name}` and `{first}` are both set, but {what} has only one of {}", list(names)),
                format!("remove `{name}` or `{first}`"),
            ),
        }
    }
    count
}

/// A percentage's number.
pub(super) fn percent(text: &str) -> Option<u64> {
    (names::PERCENT.holds)(text)
        .then(|| text.strip_suffix('%').and_then(|digits| digits.parse().ok()).unwrap_or(u64::MAX))
}

/// Whether a count or percentage is 0.
pub(super) fn is_none_of_it(at: &At<'_>) -> bool {
    match at.str() {
        Some(text) => percent(text).unwrap_or(0) == 0,
        None => at.int().unwrap_or(0) == 0,
    }
}

/// Values in the words of a message: `A`, `B`, `C`.
pub(super) fn list(values: &[&str]) -> String {
    values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ")
}

/// A text as a message repeats it.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        None => text.into(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

/// A value as a message repeats it.
pub(super) fn value(at: &At<'_>) -> String {
    match at.node() {
        None => "null".into(),
        Some(node) => node.as_str().map_or_else(|| shown(&node.to_json()), shown),
    }
}

/// Names that were seen so far; without a table as long as there are few.
#[derive(Default)]
pub(super) struct Seen<'a> {
    few: Vec<&'a str>,
    many: HashSet<&'a str>,
}

impl<'a> Seen<'a> {
    /// Remembers a name; `false` if it is known already.
    pub(super) fn insert(&mut self, name: &'a str) -> bool {
        if self.has(name) {
            return false;
        }
        if self.few.len() < 16 {
            self.few.push(name);
        } else {
            self.many.insert(name);
        }
        true
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.few.contains(&name) || self.many.contains(name)
    }
}
