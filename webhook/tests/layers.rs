//! Compares the column "may use" of the code map in `docs/architecture.md` with the imports in `src/`.
//!
//! The test searches the source text for `use crate::x`, `crate::x::y` and chains of `super` that leave a top-level
//! module. Code under `#[cfg(test)]` does not count.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A top-level module, and the top-level modules that it uses.
type Uses = BTreeMap<String, BTreeSet<String>>;

#[test]
fn a_module_uses_only_what_the_map_says() {
    let (map, uses): (Uses, Uses) = (map().into_iter().collect(), uses());
    let (rows, modules): (BTreeSet<_>, BTreeSet<_>) = (map.keys().collect(), uses.keys().collect());
    assert_eq!(rows, modules, "the rows of the code map (left) are not the modules of webhook/src (right)");
    let mut wrong = Vec::new();
    for (module, used) in &uses {
        for other in used.difference(&map[module]) {
            wrong.push(format!("`{module}` uses `{other}`, which its row in docs/architecture.md does not name"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// This rules out cycles between modules.
#[test]
fn a_row_names_only_rows_above_it() {
    let mut above = BTreeSet::new();
    for (module, used) in map() {
        let below: Vec<_> = used.difference(&above).collect();
        assert!(
            below.is_empty(),
            "the row of `{module}` in docs/architecture.md names {below:?}, not in a row above it"
        );
        above.insert(module);
    }
}

#[test]
fn imports_are_found() {
    let text = "use crate::files;\nuse crate::{\n    check::{Limits, World}, yaml as y,\n};\n// crate::comment\n\
                use super::super::judge::validate;\nuse super::near;\npub(crate) fn f() -> crate::engine::Limits {}\n\
                #[cfg(test)]\nmod tests {\n    use crate::registry;\n}\n#[cfg(test)]\nuse crate::server;\nuse crate::certs;\n";
    let found: Vec<String> = imports(&without_tests(text), 2).into_iter().collect();
    assert_eq!(found, ["certs", "check", "engine", "files", "judge", "yaml"]);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The rows of the code map. After the semicolon, a row names crates.
fn map() -> Vec<(String, BTreeSet<String>)> {
    let page = fs::read_to_string(root().join("../../docs/architecture.md")).unwrap();
    let mut lines = page.lines().skip_while(|line| !(line.starts_with('|') && line.contains("| may use |")));
    assert!(lines.next().is_some(), "docs/architecture.md has no table with the column \"may use\"");
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [module, _, used] = cells[..] else { panic!("a row of the code map has other than three cells: {row}") };
        let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(name).collect::<BTreeSet<_>>();
        let module =
            names(module).pop_first().unwrap_or_else(|| panic!("a row of the code map names no module: {row}"));
        (module, names(used.split(';').next().unwrap_or_default()))
    })
    .collect()
}

/// The name of a module: `yaml` for `yaml/`, `files` for `files.rs`.
fn name(code: &str) -> String {
    code.trim_end_matches('/').trim_end_matches(".rs").to_owned()
}

/// The uses in the code.
fn uses() -> Uses {
    let mut files = Vec::new();
    collect(&root(), &mut files);
    let texts: BTreeMap<PathBuf, String> =
        files.into_iter().map(|file| (file.clone(), fs::read_to_string(file).unwrap())).collect();
    let tests: BTreeSet<PathBuf> = texts.iter().flat_map(|(file, text)| test_files(file, text)).collect();
    let mut uses = Uses::new();
    for (file, text) in &texts {
        let path = file.strip_prefix(root()).unwrap().with_extension("");
        let mut path: Vec<&str> = path.iter().map(|part| part.to_str().unwrap()).collect();
        // Files in the folder of a test module, such as `tests/placed.rs`, belong to the tests too.
        if tests.iter().any(|test| file == test || file.starts_with(test.with_extension(""))) {
            continue;
        }
        if path.last() == Some(&"mod") {
            path.pop();
        }
        if matches!(path[..], ["lib" | "main"]) {
            continue;
        }
        let found = imports(&without_tests(text), path.len());
        let module = path[0].to_owned();
        uses.entry(module.clone()).or_default().extend(found.into_iter().filter(|other| *other != module));
    }
    uses
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The files of modules that a file declares under `#[cfg(test)]`.
fn test_files(file: &Path, text: &str) -> Vec<PathBuf> {
    let folder = file.parent().unwrap();
    let own = match file.file_stem().unwrap().to_str().unwrap() {
        "mod" | "lib" | "main" => folder.to_owned(),
        stem => folder.join(stem),
    };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut found = Vec::new();
    for (index, _) in lines.iter().enumerate().filter(|(_, line)| **line == "#[cfg(test)]") {
        let mut rest = lines[index + 1..].iter();
        let mut path = None;
        let declared = rest.find(|line| {
            path = line.strip_prefix("#[path = \"").and_then(|line| line.strip_suffix("\"]")).or(path);
            !line.starts_with("#[")
        });
        let module = declared.and_then(|line| line.strip_suffix(';')?.split_once("mod ")).map(|(_, name)| name);
        let Some(module) = module else { continue };
        match path {
            Some(path) => found.push(folder.join(path)),
            None => found.extend([own.join(module).with_extension("rs"), own.join(module).join("mod.rs")]),
        }
    }
    found
}

/// The code of a file without comments and without items under `#[cfg(test)]`. The file must be formatted by rustfmt,
/// so an item ends at the first closing line with the same indentation.
fn without_tests(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let trimmed = line.trim_start();
        if trimmed.starts_with("#[cfg(test)]") {
            let indent = &line[..line.len() - trimmed.len()];
            for line in lines.by_ref() {
                let same = line.strip_prefix(indent).filter(|rest| !rest.starts_with([' ', '#', '/']));
                if same.is_some_and(|rest| rest.ends_with([';', '}', ','])) {
                    break;
                }
            }
        } else if !trimmed.starts_with("//") {
            code.push_str(line.split(" // ").next().unwrap());
            code.push('\n');
        }
    }
    code
}

/// The top-level modules that the code names. `depth` is the depth of the file: 1 for `files.rs` and `yaml/mod.rs`.
fn imports(code: &str, depth: usize) -> BTreeSet<String> {
    let leaves = "super::".repeat(depth);
    let mut found = BTreeSet::new();
    for start in ["crate::", &leaves] {
        for (at, _) in code.match_indices(start) {
            let before = &code[..at];
            if !before.ends_with(|last: char| last.is_alphanumeric() || matches!(last, '_' | '$' | ':')) {
                found.extend(first_names(&code[at + start.len()..]));
            }
        }
    }
    found
}

/// The first segment of a path, or of each path of a group in braces.
fn first_names(path: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|it| it.is_alphanumeric() || *it == '_').collect::<String>();
    let Some(group) = path.strip_prefix('{') else { return vec![word(path)] };
    let (mut names, mut depth, mut expected) = (Vec::new(), 0, true);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expected = true,
            _ if expected && depth == 0 && !character.is_whitespace() => {
                names.push(word(&group[at..]));
                expected = false;
            }
            _ => {}
        }
    }
    names
}
