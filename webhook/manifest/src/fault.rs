//! Faults: what is wrong, where, and what to write instead.

use crate::Version;
use crate::place::At;

/// Maximum number of errors of one object, and of warnings.
const MOST: usize = 200;

/// One thing that the API server refuses or warns about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The rule that the object breaks.
    pub rule: Rule,
    /// Whether the API server refuses the object or only warns.
    pub severity: Severity,
    /// Where the fault is.
    pub at: Place,
    /// What is wrong, with the value that is allowed.
    pub message: String,
    /// What to write.
    pub help: String,
    /// The edits that mend it, where there is only one right value.
    pub fix: Option<Fix>,
}

impl Fault {
    /// Whether another fault says the same about the same place: the schema may have said it before.
    fn repeats(&self, other: &Self) -> bool {
        let alike = matches!(self.rule, Rule::OutOfRange | Rule::InvalidFormat | Rule::InvalidQuantity);
        self.rule == other.rule && self.at == other.at && (alike || self.message == other.message)
    }
}

/// Whether the API server refuses the object or only warns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The API server warns and stores the object.
    Warning,
    /// The API server refuses the object.
    Error,
}

/// A place of an object, also of a value that does not exist.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The pointer (RFC 6901) of the nearest value that exists.
    pub pointer: String,
    /// The path below it that does not exist, such as `spec/containers`; empty if the value itself exists.
    pub missing: String,
}

/// Edits that mend a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What the edits do, as an order: "rename `replica` to `replicas`".
    pub title: String,
    /// The edits, in the order in which they are to be applied.
    pub edits: Vec<Edit>,
}

/// One edit. Every pointer is one of the object before all edits; every value is JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the fields are those of the module's other types")]
pub enum Edit {
    /// Adds a member that does not exist.
    Add { pointer: String, value: String },
    /// Replaces a value.
    Replace { pointer: String, value: String },
    /// Removes a member or an item.
    Remove { pointer: String },
    /// Gives a member another key.
    Rename { pointer: String, name: String },
    /// Moves a member to a place that does not exist yet.
    Move { from: String, to: String },
}

macro_rules! rules {
    ($($name:ident $id:literal $title:literal;)*) => {
        /// The rules that an object can break.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $(#[doc = $title] $name,)*
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The name of the rule, such as `unknown-field`.
            #[must_use]
            pub fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)* }
            }

            /// What the rule asks, in one line.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

rules! {
    MissingKind "missing-api-version-or-kind" "An object states its apiVersion and kind";
    UnservedKind "unserved-kind" "The API server serves the kind in this apiVersion";
    DeprecatedApi "deprecated-api" "The apiVersion is not deprecated";
    UnknownField "unknown-field" "Every field is one that the kind has";
    MisplacedField "misplaced-field" "Every field is at the place where the kind has it";
    WrongType "wrong-type" "Every value has the type of its field";
    MissingField "missing-field" "Required fields are set";
    NotOneOf "not-one-of" "Enumerated fields have one of their values";
    DuplicateEntry "duplicate-entry" "Entries of a list differ in their key";
    InvalidName "invalid-name" "Names have the form that Kubernetes asks for";
    InvalidLabel "invalid-label" "Labels, annotations and selectors are well-formed";
    InvalidQuantity "invalid-quantity" "Quantities are well-formed and allowed";
    OutOfRange "out-of-range" "Numbers and lengths are within their limits";
    InvalidFormat "invalid-format" "Addresses, paths, schedules and times are well-formed";
    ExclusiveFields "exclusive-fields" "Fields that exclude each other are not set together";
    DependentFields "dependent-fields" "Fields that depend on each other agree";
    UnknownReference "unknown-reference" "Names within the object refer to something in it";
    Placeholder "placeholder" "Placeholders of templates are substituted";
    InvalidValue "invalid-value" "Values are ones that the API server accepts";
    ServerWarning "server-warning" "The API server has no warning about the object";
}

/// The faults that were found so far, and the version of Kubernetes that they hold for.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    /// The version of Kubernetes, from 1.32 to 1.37.
    pub(crate) version: Version,
    list: Vec<Fault>,
    errors: usize,
    /// Whether the fault that was found last is the last of the list.
    added: bool,
}

impl Faults {
    pub(crate) fn new(version: Version) -> Self {
        Self { version, list: Vec::new(), errors: 0, added: false }
    }

    /// Whether the version is 1.`minor` or newer.
    pub(crate) fn since(&self, minor: u16) -> bool {
        self.version.minor >= minor
    }

    /// Whether no more errors are recorded.
    pub(crate) fn is_full(&self) -> bool {
        self.errors >= MOST
    }

    /// Records that the API server refuses the object because of the value at this place.
    ///
    /// Write `faults.error(rule, at, message, help)`; a fix is added with [`Faults::fix`].
    pub(crate) fn error(&mut self, rule: Rule, at: &At<'_>, message: impl Into<String>, help: impl Into<String>) {
        self.add(rule, Severity::Error, at, message.into(), help.into());
    }

    /// Records that the API server warns about the value at this place.
    pub(crate) fn warning(&mut self, rule: Rule, at: &At<'_>, message: impl Into<String>, help: impl Into<String>) {
        self.add(rule, Severity::Warning, at, message.into(), help.into());
    }

    /// Adds a fix to the fault that was found last, unless that is about a placeholder.
    pub(crate) fn fix(&mut self, title: impl Into<String>, edits: Vec<Edit>) {
        if let Some(last) = self.list.last_mut().filter(|last| self.added && last.rule != Rule::Placeholder) {
            last.fix = Some(Fix { title: title.into(), edits });
        }
    }

    #[cold]
    fn add(&mut self, rule: Rule, severity: Severity, at: &At<'_>, message: String, help: String) {
        self.added = false;
        let found = if severity == Severity::Error { self.errors } else { self.list.len() - self.errors };
        if found >= MOST {
            return;
        }
        let place = at.place();
        let fault = match at.str().and_then(placeholder).filter(|_| severity == Severity::Error) {
            None => Fault { rule, severity, at: place, message, help, fix: None },
            Some(text) => Fault {
                rule: Rule::Placeholder,
                severity,
                at: place,
                message: format!("`{text}` is a placeholder that was not substituted"),
                help: "substitute the placeholder before the object is checked or applied".into(),
                fix: None,
            },
        };
        if !self.list.iter().any(|other| other.repeats(&fault)) {
            self.errors += usize::from(severity == Severity::Error);
            self.added = true;
            self.list.push(fault);
        }
    }

    /// The faults, without those that only follow from a value of a wrong type at the same place.
    pub(crate) fn finish(self) -> Vec<Fault> {
        let mut list = self.list;
        let wrong: Vec<String> =
            list.iter().filter(|fault| fault.rule == Rule::WrongType).map(|fault| fault.at.pointer.clone()).collect();
        if !wrong.is_empty() {
            list.retain(|fault| fault.rule == Rule::WrongType || !wrong.contains(&fault.at.pointer));
        }
        list
    }
}

/// The placeholder in a text, if it has one: `${VAR}`, `{{ .Value }}` or `<% … %>`.
fn placeholder(text: &str) -> Option<&str> {
    [("${", "}"), ("{{", "}}"), ("<%", "%>")].into_iter().find_map(|(open, close)| {
        let start = text.find(open)?;
        let rest = text.get(start..)?;
        let end = rest.find(close)?;
        rest.get(..end + close.len())
    })
}
