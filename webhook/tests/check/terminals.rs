//! Printed text contains nothing that a terminal, a log or a CI system would interpret.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{CONFIG, ESCALATES, FIXED, Folder, LATEST, Run, plimsoll};

/// Raw characters that a terminal would interpret or hide.
const HOSTILE: &str = "\u{1b}[2J\u{9b}1m\u{7f}\u{202e}\u{200b}\u{85}\u{2028}\u{e0041}\u{7}";

#[track_caller]
fn is_harmless(run: &Run) {
    let said = format!("{}{}", run.out, run.err);
    let hidden = |character: char| {
        character.is_control() && !matches!(character, '\n' | '\t')
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
            || ('\u{e0000}'..='\u{e007f}').contains(&character)
    };
    assert!(!said.contains(hidden), "{:?}", said.chars().filter(|it| hidden(*it)).collect::<Vec<_>>());
    let command = |line: &str| line.trim_start().starts_with("::") || line.contains("##[") || line.contains("##vso[");
    assert_eq!(said.lines().find(|line| command(line)), None);
}

fn escaped(text: &str) -> String {
    text.chars().map(|character| format!("\\U{:08x}", u32::from(character))).collect()
}

#[test]
fn names_values_and_quoted_lines() {
    let name = escaped(&format!("{HOSTILE}\n::error::a##[group]"));
    let text = LATEST.replace("name: front   # named by marketing", &format!("name: \"{name}\""));
    // YAML allows these characters unescaped. They are in a line that the report quotes.
    let text = text.replace("image: nginx", "image: nginx # \u{202e}\u{200b} ##[error]x");
    let folder = Folder::new(&[
        ("\n::error::a\u{1b}[1m\u{9b}.yaml", &text),
        ("b\u{202e}##[x.yaml", &format!("kind: [{HOSTILE}")),
    ]);
    for format in ["human", "json"] {
        let run = folder.check(&[".", "--format", format]);
        assert_eq!(run.status, 4, "{}{}", run.out, run.err);
        is_harmless(&run);
    }
    let report = folder.json(&["."]);
    assert_eq!(report["findings"][0]["object"]["name"], format!("{HOSTILE}\n::error::a##[group]"), "JSON stays true");
    assert_eq!(report["findings"][0]["file"], "\n::error::a\u{1b}[1m\u{9b}.yaml");
    let run = folder.check(&[".", "--color=always"]);
    let left = run.out.replace("\u{1b}[0m", "");
    assert!(!left.contains("\u{1b}[2J") && !left.contains('\u{9b}') && !left.contains("\u{202e}"), "{left:?}");
}

#[test]
fn errors_of_configurations_and_arguments() {
    let folder = Folder::new(&[("a.yaml", LATEST)]);
    let key = escaped(&format!("{HOSTILE}\n::error::x"));
    folder.write("c.yaml", &CONFIG.replace("mode: observe", &format!("\"{key}\": 1")));
    let run = folder.check(&["a.yaml", "--config=c.yaml"]);
    assert!(run.status == 2 && run.err.contains("unknown field"), "{}", run.err);
    is_harmless(&run);
    folder.write("c.yaml", &CONFIG.replace("profile: none", &format!("bundle: \"./{key}.wasm\"")));
    let run = folder.check(&["a.yaml", "--config=c.yaml"]);
    assert_eq!(run.status, 2, "{}", run.err);
    is_harmless(&run);
    for arguments in
        [&["\n::error::\u{1b}[2J"][..], &["a.yaml", "--profile=\u{1b}[2J\n::error::"], &["a.yaml", "--\u{1b}[2J"]]
    {
        let run = folder.check(arguments);
        assert_eq!(run.status, 2);
        is_harmless(&run);
    }
    let run = plimsoll(Path::new("/"), "", &["explain", "\n::error::\u{1b}[2J"]);
    is_harmless(&run);
}

/// A name with a line break must not create a new line, or a patch for another file.
#[test]
fn diffs_name_files_as_git_does() {
    let hostile = "k/x\n+++ b/other.yaml\n::error::y\u{1b}[2J.yaml";
    let folder = Folder::new(&[(hostile, ESCALATES), ("k/plain name.yaml", ESCALATES), ("other.yaml", ESCALATES)]);
    let run = folder.check(&["k", "--diff", "--fix=hardening"]);
    is_harmless(&run);
    let quoted = r#""b/k/x\n+++ b/other.yaml\n::error::y\033[2J.yaml""#;
    assert!(run.out.contains(&format!("--- {}\n+++ {quoted}\n", quoted.replacen("b/k", "a/k", 1))), "{}", run.out);
    folder.write("all.diff", &run.out);
    if Command::new("git").arg("--version").output().is_ok() {
        fs::remove_dir_all(folder.path(".git")).unwrap();
        let applied = Command::new("git").args(["apply", "all.diff"]).current_dir(folder.path("")).output().unwrap();
        assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
        assert_eq!(folder.read(hostile), FIXED);
        assert_eq!(folder.read("k/plain name.yaml"), FIXED);
        assert_eq!(folder.read("other.yaml"), ESCALATES);
    }
}

/// A carriage return is a line break for YAML and CI runners, but not for git.
#[test]
fn a_diff_of_what_is_hidden_says_that_it_is_not_to_be_applied() {
    let hidden = "# the end \u{202e} ##[error]y\n  restartPolicy: Always\r  ::error::x: 1\n";
    let (text, fixed) =
        [ESCALATES, FIXED].map(|text| text.replace("# the end\n  restartPolicy: Always\n", hidden)).into();
    let folder = Folder::new(&[("a.yaml", &text)]);
    let run = folder.check(&["a.yaml", "--diff", "--fix=hardening"]);
    is_harmless(&run);
    assert!(run.out.starts_with("# this diff shows escapes") && run.out.contains("Always\\x0d"), "{}", run.out);
    folder.check(&["a.yaml", "--fix=hardening"]);
    assert_eq!(folder.read("a.yaml"), fixed, "the file is edited all the same");
}
