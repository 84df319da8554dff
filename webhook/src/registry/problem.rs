//! Problems of a PolicySet, with their positions.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::nearest;

/// A place in a file.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Position {
    /// Name of the file, as given to [`super::read`].
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
    /// None if the problem is in no file.
    pub position: Option<Position>,
    /// The problem.
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

/// A problem of a configuration.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A problem of a whole file.
    #[error("{file}: {reason}")]
    File {
        /// Name of the file, as the user gave it.
        file: String,
        /// The problem.
        reason: String,
    },
    /// The text is neither YAML nor JSON.
    #[error("{0}")]
    Syntax(String),
    /// An unknown key.
    #[error("unknown field `{field}`{hint}")]
    UnknownField {
        /// The key as written.
        field: String,
        /// Suggestion for the right key.
        hint: Hint,
    },
    /// A name that is unknown.
    #[error("unknown {what} `{value}`{hint}")]
    UnknownValue {
        /// `policy`, `action`, …
        what: &'static str,
        /// The value as written.
        value: String,
        /// Suggestion for the right value.
        hint: Hint,
    },
    /// A feature that is reserved for a later version.
    #[error("{0} is not supported yet")]
    NotSupported(String),
    /// A value of a different type than the field has.
    #[error("`{field}` must be {expected}, not {found}")]
    WrongType {
        /// Dotted path of the field.
        field: String,
        /// Expected type, with its article.
        expected: &'static str,
        /// Found type, with its article.
        found: String,
    },
    /// An unquoted word that YAML does not read as a string.
    #[error("`{field}` must be a string, and without quotes YAML reads {written} as {found}; write \"{meant}\"")]
    Unquoted {
        /// Dotted path of the field.
        field: String,
        /// The word as written.
        written: Box<str>,
        /// Type that YAML read, with its article.
        found: Box<str>,
        /// What to write instead.
        meant: Box<str>,
    },
    /// A required field is missing.
    #[error("`{0}` is missing")]
    Missing(String),
    /// A second entry for the same name.
    #[error("{what} `{value}` is listed twice, first at line {line}")]
    Duplicate {
        /// `policy`, `category`, …
        what: &'static str,
        /// The name as written.
        value: String,
        /// Line of the first entry.
        line: usize,
    },
    /// A value of the right type that is not valid.
    #[error("`{field}`: {reason}")]
    Invalid {
        /// Dotted path of the field.
        field: String,
        /// The problem, and what to write.
        reason: String,
    },
    /// Two PolicySets that contradict each other.
    #[error("{0}")]
    Conflict(String),
    /// Settings that the policy's schema rejects.
    #[error("settings of `{policy}`: {reason}")]
    Setting {
        /// Id of the policy.
        policy: String,
        /// The problem, and what to write.
        reason: String,
    },
    /// A bundle that can't be used.
    #[error("the bundle `{bundle}` cannot be used: {reason}")]
    Bundle {
        /// Name of the bundle in the PolicySet.
        bundle: String,
        /// Error of the engine.
        reason: String,
    },
}

/// A suggestion for an unknown name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Hint {
    /// The nearest known name.
    Nearest(String),
    /// All known names, if there are few.
    OneOf(Vec<String>),
    /// No name is near, and there are many.
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
