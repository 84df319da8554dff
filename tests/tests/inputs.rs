//! Every case of every policy, and the popular charts, as whole inputs of `check`. The spelling of a file does not
//! change the findings. The API server accepts the result of `--fix` if it accepted the input.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use plimsoll::yaml;
use plimsoll_tests::{ControlPlane, corpus, files, plimsoll_binary, strict_report};
use serde_json::{Value, json};

/// One input: its source, and its text.
struct Input {
    from: String,
    text: String,
    objects: Vec<Value>,
    /// Whether the API server accepts the input.
    is_taken: bool,
}

/// Findings of a folder with their number. Lines and columns are left out, because they depend on the spelling.
type Findings = BTreeMap<String, BTreeMap<String, usize>>;

/// Another spelling of an input.
type Spelling = fn(&Input) -> String;

#[test]
fn the_spelling_of_a_file_changes_no_finding() -> Result<()> {
    let inputs = inputs()?;
    let spellings: [(&str, Spelling); 5] = [
        ("the lines of Windows", |input| input.text.replace('\n', "\r\n")),
        ("a byte order mark", |input| format!("\u{feff}{}", input.text)),
        ("a stream of JSON", |input| input.objects.iter().map(|object| format!("{object}\n")).collect()),
        ("indented JSON", |input| input.objects.iter().map(|object| format!("{object:#}\n")).collect()),
        ("a List", |input| json!({"apiVersion": "v1", "kind": "List", "items": input.objects}).to_string()),
    ];
    let expected = findings(&inputs, |input| input.text.clone())?;
    let count: usize = expected.values().flat_map(BTreeMap::values).sum();
    ensure!(count > 5000, "only {count} findings");
    for (name, spelling) in spellings {
        let found = findings(&inputs, spelling)?;
        for (number, input) in inputs.iter().enumerate() {
            let of = |findings: &Findings| findings.get(&number.to_string()).cloned().unwrap_or_default();
            let (expected, found) = (of(&expected), of(&found));
            ensure!(
                expected == found,
                "{name} changes the findings of {}:\n{}\nas it is:\n{expected:#?}\nso:\n{found:#?}",
                input.from,
                input.text
            );
        }
    }
    Ok(())
}

#[test]
fn the_api_server_takes_what_the_fixes_make() -> Result<()> {
    let inputs: Vec<_> = inputs()?.into_iter().filter(|input| input.is_taken).collect();
    let folder = tree(&inputs, |input| input.text.clone())?;
    let before = objects(folder.path())?;
    let output = Command::new(plimsoll_binary()?)
        .args(["check", "--profile=strict", "--world=closed", "--exit-zero", "--quiet", "--fix=unsafe", "k"])
        .current_dir(folder.path())
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let after = objects(folder.path())?;
    let changed: Vec<_> = after.iter().filter(|object| !before.contains(object)).collect();
    ensure!(changed.len() > 300, "only {} objects were fixed", changed.len());
    let texts: Vec<String> = changed.iter().map(|(_, object)| object.to_string()).collect();
    let control_plane = ControlPlane::shared()?;
    let mut refused = Vec::new();
    for (changed, answer) in changed.iter().zip(control_plane.defaulted_all(&texts)?) {
        let (folder, _) = changed;
        // Some objects of the cases only have the fields that policies read. The API server refused them before the fix
        // too.
        if let Err(refusal) = answer
            && !refusal.contains("no matches for kind")
            && was_taken(control_plane, &before, changed)?
        {
            let from = folder.parse().ok().and_then(|number: usize| inputs.get(number)).map(|input| &input.from);
            refused.push(format!("{from:?}: {refusal}"));
        }
    }
    ensure!(refused.is_empty(), "{} of {} are refused:\n{}", refused.len(), changed.len(), refused.join("\n"));
    Ok(())
}

/// Whether the API server accepted the object before its fixes. A new object counts as accepted.
fn was_taken(
    control_plane: &ControlPlane,
    before: &[(String, Value)],
    (folder, object): &(String, Value),
) -> Result<bool> {
    let name = |object: &Value| (object["kind"].clone(), object["metadata"]["name"].clone());
    let old = before.iter().find(|(own, old)| own == folder && name(old) == name(object));
    let answers = control_plane.defaulted_all(&old.map(|(_, old)| old.to_string()).into_iter().collect::<Vec<_>>())?;
    Ok(answers.iter().all(Result::is_ok))
}

/// The findings of each input in its own folder, by the name of the folder.
fn findings(inputs: &[Input], spelling: Spelling) -> Result<Findings> {
    let folder = tree(inputs, spelling)?;
    let report = strict_report(folder.path())?;
    let mut found = Findings::new();
    for finding in report["findings"].as_array().context("no findings")? {
        let text = |name: &str| finding[name].as_str().unwrap_or_default();
        let path = text("path");
        // The path of an item of a List starts at the item.
        let path = match path.strip_prefix("/items/") {
            Some(rest) => rest.find('/').map_or("", |end| &rest[end..]),
            None => path,
        };
        let key = format!(
            "{} {} {} {path} {} {} {}",
            text("policy"),
            text("severity"),
            text("action"),
            at_any_place(&finding["object"].to_string()),
            at_any_place(&in_any_document(text("message"))),
            finding["fix"]
        );
        *found.entry(number(text("file"))?.to_owned()).or_default().entry(key).or_default() += 1;
    }
    Ok(found)
}

/// Removes the places in the names of objects with `generateName`: `web-* (k8s/web.yaml:12)`.
fn at_any_place(text: &str) -> String {
    let mut parts = text.split("-* (");
    let mut without = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        without.push_str("-*");
        without.push_str(part.split_once(')').map_or(part, |(_, rest)| rest));
    }
    without
}

/// Removes the number of a document from a message. In a List, all objects are in one document.
fn in_any_document(message: &str) -> String {
    let Some((before, rest)) = message.split_once(" document ") else { return message.to_owned() };
    format!("{before} document #{}", rest.trim_start_matches(|character: char| character.is_ascii_digit()))
}

fn number(file: &str) -> Result<&str> {
    file.split('/').nth(1).with_context(|| format!("{file} is in no folder"))
}

fn tree(inputs: &[Input], spelling: Spelling) -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    for (number, input) in inputs.iter().enumerate() {
        let own = folder.path().join("k").join(number.to_string());
        std::fs::create_dir_all(&own)?;
        std::fs::write(own.join("input.yaml"), spelling(input))?;
    }
    Ok(folder)
}

/// Every object of a tree, with the name of its folder.
fn objects(root: &Path) -> Result<Vec<(String, Value)>> {
    let mut objects = Vec::new();
    for file in files(&root.join("k"), "yaml")? {
        let name = file.strip_prefix(root)?.to_string_lossy().into_owned();
        for document in yaml::read(&std::fs::read_to_string(&file)?) {
            let document = document.map_err(|error| anyhow::anyhow!("{name}: {}", error.message))?;
            objects.push((number(&name)?.to_owned(), document.value().clone()));
        }
    }
    Ok(objects)
}

fn inputs() -> Result<Vec<Input>> {
    let mut inputs = Vec::new();
    let mut add = |from: String, text: String, is_taken: bool| {
        let documents: Result<Vec<_>, _> = yaml::read(&text).into_iter().collect();
        let objects: Vec<Value> = documents
            .iter()
            .flatten()
            .map(|document| document.value().clone())
            .filter(|value| !value.is_null())
            .collect();
        if documents.is_ok() && objects.iter().all(|object| object["kind"].is_string()) && !objects.is_empty() {
            inputs.push(Input { from, text, objects, is_taken });
        }
    };
    for file in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/cases"), "md")? {
        let text = std::fs::read_to_string(&file)?;
        for case in text.split("\n## ").skip(1) {
            let from = format!("{}: {}", name(&file), case.lines().next().unwrap_or_default());
            let mut together = String::new();
            let mut is_taken = true;
            for fence in case.split("```yaml").skip(1) {
                let (info, rest) = fence.split_once('\n').context("a fence")?;
                let is_input =
                    !info.contains('=') && !["mutated", "old", "settings"].iter().any(|word| info.contains(word));
                if is_input || info.contains("version=") {
                    together.push_str("---\n");
                    together.push_str(rest.split("\n```").next().unwrap_or_default());
                    together.push('\n');
                    is_taken &= !info.contains("rejected") && !info.contains("deleted") && is_input;
                }
            }
            add(from, together, is_taken);
        }
    }
    if let Some(corpus) = corpus() {
        for file in files(&corpus.join("charts"), "yaml")? {
            add(name(&file), std::fs::read_to_string(&file)?, true);
        }
    }
    Ok(inputs)
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
