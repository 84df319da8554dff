//! The examples of README.md and docs/check.md must equal the output of the binary.

use std::process::Command;

use super::Folder;

/// A fenced block: its language and its lines.
type Block<'a> = (&'a str, Vec<&'a str>);

fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let mut is_open = false;
    for line in page.lines() {
        match (line.strip_prefix("```"), is_open) {
            (Some(_), true) => is_open = false,
            (Some(language), false) => {
                is_open = true;
                blocks.push((language, Vec::new()));
            }
            (None, true) => blocks.last_mut().unwrap().1.push(line),
            (None, false) => {}
        }
    }
    blocks
}

/// The commands of a console block, each with its output.
fn commands(lines: &[&str]) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in lines {
        match line.strip_prefix("$ ") {
            Some(command) => commands.push((command.to_owned(), String::new())),
            None => commands.last_mut().unwrap().1.push_str(&format!("{line}\n")),
        }
    }
    commands
}

/// Writes the files that a page shows (YAML that begins with `# PATH`), and runs its commands. Returns how many.
fn run(page: &str) -> usize {
    let folder = Folder::new(&[]);
    std::fs::remove_file(folder.path(".plimsoll.yaml")).ok();
    folder.write("tests/demo/drain.yaml", include_str!("../../../tests/demo/drain.yaml"));
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_plimsoll"));
    let path = std::env::join_paths(
        std::iter::once(binary.parent().unwrap().to_owned())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    )
    .unwrap();
    let has_jq = Command::new("jq").arg("--version").output().is_ok();
    let (mut count, mut status) = (0, 0);
    for (language, lines) in blocks(page) {
        let file = lines.first().and_then(|line| line.strip_prefix("# ")).filter(|name| name.ends_with(".yaml"));
        if let (true, Some(name)) = (language == "yaml", file) {
            folder.write(name, &format!("{}\n", lines.join("\n")));
        }
        if language != "console" || !lines[0].starts_with("$ plimsoll check") {
            continue;
        }
        for (command, printed) in commands(&lines) {
            if command == "echo $?" {
                assert_eq!(printed, format!("{status}\n"));
                continue;
            }
            if command.contains("| jq ") && !has_jq {
                continue;
            }
            let mut shell = Command::new("sh");
            shell.args(["-c", &command]).current_dir(folder.path("")).env_clear().env("PATH", &path);
            let output = shell.output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), printed, "{command}");
            status = output.status.code().unwrap();
            count += 1;
        }
    }
    count
}

#[test]
fn examples_are_what_is_printed() {
    assert_eq!(run(include_str!("../../../README.md")), 3);
    assert!(run(include_str!("../../../docs/check.md")) >= 1);
}
