//! What can be wrong with a PolicySet, and where it says so.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::nearest;

/// A place in a file.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Position {
    /// As it was given to [`super::read`].
    pub file: Arc<str>,
    /// 1-based.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A problem of a configuration: `file:line:column: message`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigError {
    /// None where no file is to blame.
    pub position: Option<Position>,
    /// What is wrong.
    pub problem: Problem,
}

impl ConfigError {
    /// A file that cannot be read, or that lacks something.
    pub fn of_file(file: &Path, reason: impl Into<String>) -> Self {
        Self { position: None, problem: Problem::File { file: file.display().to_string(), reason: reason.into() } }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.position {
            Some(position) => write!(formatter, "{position}: {}", self.problem),
            None => self.problem.fmt(formatter),
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        None
    }
}

/// What is wrong.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A whole file.
    #[error("{file}: {reason}")]
    File {
        /// As it was named.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No YAML, or no JSON.
    #[error("{0}")]
    Syntax(String),
    /// A key that nobody reads.
    #[error("unknown field `{field}`{hint}")]
    UnknownField {
        /// As written.
        field: String,
        /// What may have been meant.
        hint: Hint,
    },
    /// A name that stands for nothing.
    #[error("unknown {what} `{value}`{hint}")]
    UnknownValue {
        /// `policy`, `action`, …
        what: &'static str,
        /// As written.
        value: String,
        /// What may have been meant.
        hint: Hint,
    },
    /// Reserved for a later version.
    #[error("{0} is not supported yet")]
    NotSupported(String),
    /// A value of another type than the field's.
    #[error("`{field}` must be {expected}, not {found}")]
    WrongType {
        /// Dotted path.
        field: String,
        /// With its article.
        expected: &'static str,
        /// With its article.
        found: String,
    },
    /// A word that YAML takes for something other than a string.
    #[error("`{field}` must be a string, and without quotes YAML reads {written} as {found}; write \"{meant}\"")]
    Unquoted {
        /// Dotted path.
        field: String,
        /// As written.
        written: Box<str>,
        /// What it became, with its article.
        found: Box<str>,
        /// What to write.
        meant: Box<str>,
    },
    /// A field that has no default.
    #[error("`{0}` is missing")]
    Missing(String),
    /// A second entry for one thing.
    #[error("{what} `{value}` is listed twice, first at line {line}")]
    Duplicate {
        /// `policy`, `category`, …
        what: &'static str,
        /// As written.
        value: String,
        /// Of the first entry.
        line: usize,
    },
    /// A value of the right type that makes no sense.
    #[error("`{field}`: {reason}")]
    Invalid {
        /// Dotted path.
        field: String,
        /// What is wrong, and what to write.
        reason: String,
    },
    /// Two PolicySets that can't both hold.
    #[error("{0}")]
    Conflict(String),
    /// Settings that the policy's schema refuses.
    #[error("settings of `{policy}`: {reason}")]
    Setting {
        /// Its id.
        policy: String,
        /// What is wrong, and what to write.
        reason: String,
    },
    /// A bundle that can't be used.
    #[error("the bundle `{bundle}` cannot be used: {reason}")]
    Bundle {
        /// As the PolicySet names it.
        bundle: String,
        /// What the engine says.
        reason: String,
    },
}

/// What may have been meant by an unknown name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Hint {
    /// The nearest known name.
    Nearest(String),
    /// All there are, where they are few.
    OneOf(Vec<String>),
    /// Nothing is near, and there are many.
    None,
}

impl Hint {
    pub(super) fn new<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Self {
        match nearest(name, known.clone()) {
            Some(found) => Self::Nearest(found.to_owned()),
            None if (1..=12).contains(&known.clone().count()) => Self::OneOf(known.map(str::to_owned).collect()),
            None => Self::None,
        }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nearest(name) => write!(formatter, "; did you mean `{name}`?"),
            Self::OneOf(names) => {
                let (last, rest) = names.split_last().map_or(("", &[][..]), |(last, rest)| (last.as_str(), rest));
                formatter.write_str("; known: ")?;
                for name in rest {
                    write!(formatter, "`{name}`, ")?;
                }
                write!(formatter, "`{last}`")
            }
            Self::None => Ok(()),
        }
    }
}
