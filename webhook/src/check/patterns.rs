//! Patterns of paths in the notation of `.gitignore`: `*` inside a name, `**` across folders. A pattern without a slash
//! matches a name at any depth. Other patterns match the path from the folder in which they were written.

use std::path::{Path, PathBuf};

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

/// Patterns, each with the folder from which its path starts.
#[derive(Debug, Default)]
pub(super) struct Patterns(Vec<(PathBuf, GlobSet)>);

/// Why patterns can't be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadPattern {
    #[error("`{pattern}` is no pattern of paths: {}", .error.kind())]
    One { pattern: String, error: globset::Error },
    /// The patterns can't be compiled into one set.
    #[error("{0}")]
    All(globset::Error),
}

impl Patterns {
    /// Adds the patterns of a folder.
    ///
    /// # Errors
    /// The invalid pattern, with the reason.
    pub(super) fn add(&mut self, folder: &Path, patterns: &[String]) -> Result<(), BadPattern> {
        if patterns.is_empty() {
            return Ok(());
        }
        let mut globs = GlobSetBuilder::new();
        for pattern in patterns {
            globs.add(glob(pattern).map_err(|error| BadPattern::One { pattern: pattern.clone(), error })?);
        }
        let globs = globs.build().map_err(BadPattern::All)?;
        self.0.push((folder.canonicalize().unwrap_or_else(|_| folder.to_owned()), globs));
        Ok(())
    }

    /// Whether a path, without symbolic links, matches one of the patterns.
    pub(super) fn match_path(&self, path: &Path) -> bool {
        self.0.iter().any(|(folder, globs)| path.strip_prefix(folder).is_ok_and(|path| globs.is_match(path)))
    }
}

fn glob(pattern: &str) -> Result<Glob, globset::Error> {
    let path = pattern.strip_prefix("./").unwrap_or(pattern).trim_end_matches('/');
    let whole = match path.strip_prefix('/') {
        Some(path) => path.to_owned(),
        None if path.contains('/') => path.to_owned(),
        None => format!("**/{path}"),
    };
    GlobBuilder::new(&whole).literal_separator(true).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_gitignore_writes_them() {
        for (pattern, path, is_meant) in [
            ("vendor", "vendor", true),
            ("vendor/", "a/vendor", true),
            ("vendor", "a/vendored", false),
            ("*.tpl.yaml", "a/b/c.tpl.yaml", true),
            ("a/*.yaml", "a/x.yaml", true),
            ("a/*.yaml", "a/b/x.yaml", false),
            ("a/**", "a/b/x.yaml", true),
            ("/a", "a", true),
            ("/a", "b/a", false),
            ("./a/b", "a/b", true),
            ("**/test/**", "x/test/y.yaml", true),
            ("{a,b}/*.yaml", "b/x.yaml", true),
        ] {
            let mut patterns = Patterns::default();
            patterns.add(Path::new("/nowhere"), &[pattern.to_owned()]).unwrap();
            let path = Path::new("/nowhere").join(path);
            assert_eq!(patterns.match_path(&path), is_meant, "{pattern} {}", path.display());
            assert!(!patterns.match_path(Path::new("/elsewhere/vendor")));
        }
        let error = Patterns::default().add(Path::new("/"), &["a[".to_owned()]).unwrap_err();
        assert!(error.to_string().starts_with("`a[` is no pattern of paths: "), "{error}");
    }
}
