//! Compares our reading of YAML with kubectl's. `kubectl annotate --local -o json` prints the objects that it read.
//!
//! If both read a text, the results must be equal. Intended differences: we reject a text with an error ([`stricter`]),
//! or we read a text that only newer versions of kubectl read ([`laxer`]).

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::PathBuf;
use std::process::Command;

use plimsoll::yaml;
use serde_json::{Map, Value};

/// Scalars that YAML parsers resolve in different ways.
#[rustfmt::skip]
const SCALARS: &[&str] = &[
    "", "~", "null", "Null", "NULL", "nULL", "true", "True", "TRUE", "tRUE", "false", "False", "FALSE", "yes", "Yes", "YES", "no", "No", "NO", "nO",
    "on", "On", "ON", "off", "Off", "OFF", "y", "Y", "n", "N", "0", "-0", "+0", "00", "010", "-010", "08", "089", "0o17", "0O17", "0o8", "-0o7", "0x1F",
    "0X1f", "-0x1F", "0x", "0xG", "0b1", "0B11", "0b", "0b2", "-0b11", "0b-1", "0b+1", "-0b-1", "1_000", "1__0", "_1", "1_", "-_1", "+_", "0_7", "0x_f",
    "0b_1", "1.5", "1.", ".5", "-.5", "+.5", "._5", ".5_0", ".5_", "1.0", "-0.0", "1e3", "1E3", "1e+3", "1e-3", "1e", "1e+", "1e400", "-1e400", ".5e999",
    "1e-400", "1e21", "1e20", "12e03", "1.2.3", "1_0.5", "0x1.8p3", "0x1p-2", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
    "-9223372036854775809", "18446744073709551615", "18446744073709551616", "99999999999999999999", "0xFFFFFFFFFFFFFFFF", "0.1", "123456789.123456789",
    "2001-01-01", "2001-1-1", "2001-01-01T00:00:00Z", "2001-01-01 10:00:00", "2001-12-14t21:59:43.10-05:00", "1:30", "190:20:30", "12:30:45", "<<", "=",
    "!", "inf", "Inf", "NaN", "nan", "Infinity", ".", "..", "...x", "-", "--", "---x", "+", "'010'", "\"no\"", "'it''s'",
    "\"a\\tb\\x41\\u00e9\\U0001F600\\n\"", "\"\\0\\a\\b\\e\\v\\f\\N\\_\\L\\P\"", "\"\\/\"", "''", "\"\"", "a b", "a  b", "a#b", "a #b", "a:b", "a:",
    "http://x:80/y", "*.x", "-x", "--x", "- x", "?x", ":x", "::", "%x", "@x", "`x`", "a,b", "[1, 'no', no, ]", "{a: 1, b}", "[a: 1]", "{a, b: }",
    "[[], {}]", "é", "漢字", "😀", "!!str 1", "!!str no", "!!str", "!!int 0x10", "!!int '1'", "!!int 1.5", "!!int x", "!!float 1", "!!float 1.5",
    "!!float x", "!!bool yes", "!!bool '1'", "!!null ''", "!!null x", "!!binary aGk=", "!!binary /w==", "!!binary a", "!!timestamp 2001-01-01", "!!set x",
    "!mine 1", "! 1", "!<tag:yaml.org,2002:int> 7", "&a 1", "&a !!str 1", "!!str &a 1", "*none", "a\tb", "\ta", "a\t", "!!map {a: 1}", "!!seq [1]",
    "!!omap [a: 1]", ".inf", "-.inf", "+.INF", ".nan", ".NaN", "-.nan", "1 2", "0.0", "-1", "+1", "+1.5", "1.e3", "1.e", "e1", "0e0", "0e", "00.5", "0_0",
    "١", "1½",
];

/// Texts below `spec:`, indented by two. Each has a special feature of YAML.
const BLOCKS: &[&str] = &[
    "base: &b\n  x: 1\n  w: 2\nm:\n  <<: *b\n  x: 3\n",
    "base: &b {x: 1}\nother: &o {x: 2, z: 3}\nm:\n  x: 9\n  <<: [*b, *o]\nl:\n  <<: *b\n  <<: *o\n",
    "base: &b {x: 1}\nm: &m\n  <<: *b\n  w: 2\nd:\n  <<: *m\n  \"<<\": 1\n",
    "a: &x 1\nb: *x\nc: &x 2\nd: *x\ne: [*x, &z q, *z]\n*x : k\n",
    "a: &a\n  b: c\nl:\n- *a\n- <<: *a\n",
    "m:\n  <<: 1\n",
    "m:\n  <<: [1]\n",
    "m:\n  <<: {a: 1}\n  b: 2\n",
    "a: |\n  x\n   z\n\n  w\n\n\nb: |-\n  x\n\n\nc: |+\n  x\n\n\nd: 1\n",
    "a: >\n  x\n  z\n\n  w\n   more\n   deep\n  back\n\n\nb: >-\n  x\n\n\n  z\nc: >+\n  x\n\n\nd: 1\n",
    "a: |2\n    x\n   z\nb: |1\n  x\nc: |\n\n\n  x\nd: >\n\n\ne: |\nf: |-\n",
    "a: |  # comment\n  # no comment\n  x # neither\nb: 1\n",
    "a: |\n  x\n # comment\nb: 1\n",
    "a: |\n  x\n  \t\nb: >\n  x\n  \tz\n  w\n",
    "a: x\n  z\n  w\nb: x\n\n  z\nc: x # c\nd: [x\n  z, w]\n",
    "a: 'x\n  z\n\n  w'\nb: \"x\n  z\\\n  w \\\n  v\n\n  u\"\n",
    "a:\n  b: 'x\n z'\n  c: 1\n",
    "a:\n  b: 'x  \n\n\n z ''\n\n  w'\n  c: \"x\\n  \n  \n z\\\"\n'\n\"\n  d: {e: 'x\n', f: \"\n z\"}\n",
    "a:\n  b: ['x\n', \"z\n  w\", v]\n  c: '\n\n\n'\n  d: é\n  e: \"é\n ü\" # c\n",
    "a:\n  b: \"x\n z\": c\n",
    "a: |\n  x\n\t\nb: 1\n",
    "a: |\n\n   \tx\n",
    "a: 1\na: 2\na: 3\n",
    "a: .nan\na: 2\n",
    "a: {b: 1, b: 2}\n'a': 3\n",
    "1: a\n1.5: b\ntrue: c\nno: d\n010: e\n1e3: f\n1e6: g\n0.00001: h\n.inf: i\n123456.0: j\n1234567.0: k\n16777217.0: l\n",
    "~: a\n",
    "? a\n: 1\n? b\n? c\n: - 1\n  - 2\nd: 1\n",
    "? [a]\n: 1\n",
    "{a: 1}: 2\n",
    "18446744073709551615: a\n",
    "!!binary aGk=: a\n",
    "a:\n- 1\n- - 2\n  - 3\n-\n- b: 1\n  c: 2\n-\n  d: 3\n",
    "a:\n  - 1\n  -  2\n  -   b: 1\n      c: 2\n",
    "a:\nb:\n  c:\n",
    "a: [\n1,\n2\n]\nb: {\n  c: d,\n  e: [f\n  ]}\n",
    "a: [1, # c\n  2 # d\n  ]\n",
    "a: {b: c, d, \"e\":f, 'g': }\n",
    "a: [b: c, d, e: f]\n",
    "a: {x:1, y: 2}\n",
    "a: {\"x\":1}\n",
    "a:   \n  b   :   c   \n",
    "\"quoted key\": 1\n'single': 2\n\"\\x41\": 3\n",
    "a b c: 1\na#b: 2\n-x: 3\n?x: 4\n:x: 5\n",
    "a: 1 # c\n# d\n\n  # e\nb: 2\n#f\n",
    "a:\tx\nb: \t'z'\t\nc: [\t1,\t2]\n",
    "a:\n\tb: 1\n",
    "a: 'x'\n\t\nb: 1\n",
    "a: x\n \t \nb: 1\n",
    "a: -\n",
    "a: - b\n",
    "a: b: c\n",
    "a: 'b' c\n",
    "a: \"b\n",
    "a: [1\n",
    "a: 1\n b: 2\n",
    "a:\n  b: 1\n c: 2\n",
    "- a\n- b\n",
    "a: *a\n",
    "a: &a [*a]\n",
    "a: !!str\nb: !!str # c\nc: &x\nd: *x\n",
    "a: @b\n",
    "a: %b\n",
    "a: !<x> b\n",
    "a: !e!x b\n",
    "é: ü\n漢: 字\n",
    "a: \"\\ud83d\\ude00\"\n",
    "a: \"\\q\"\n",
    "a: 2001-01-01\nb: !!timestamp x\n",
    "a: x\u{a0}\n",
    "a: \u{7f}\n",
    "key: >-\n  folded\n  text\nkey2: |-\n  literal\n\n  # kept\n\n",
    "a: ''''\nb: ' x '\nc: \" x \"\nd: 'x ''z'' '\n",
    "a: x\\nz\nb: 'x\\nz'\n",
    "a: >\n  x\n\n   # y\n\n  z\n",
    "command: [\"sh\", \"-c\", \"echo 'a: b' # c\"]\n",
    "args: [--a=b, -c, *.d]\n",
    "args: [--a=b, -c, 'x:y', x:y]\n",
];

/// Streams of documents. `@` stands for an object.
const STREAMS: &[&str] = &[
    "@\n---\n@\n",
    "---\n@\n---\n---\n\n---\n# only a comment\n---\n@\n---\n",
    "--- # comment\n@\n---   \n@\n",
    "# comment\n---\n# more\n@\n...\n---\n@\n...\n# end\n",
    "@\n...\nthis: is not read\n",
    "\u{feff}@\n---\n@\n",
    "\u{feff}---\n@\n",
    "@\n---\nnull\n---\n~\n---\n@\n",
    "@\nspec: |\n  ---\n  x\n  ---\n",
    "@\nspec: 'x\n  --- z'\n",
    "\n\n\n@\n\n\n---\n\n@\n\n",
    "---\n---\n@\n",
    "@",
    "---\n@\n---",
    "@\n--- # a\n# b\n--- # c\n@\n",
];

#[test]
fn scalars() {
    let Some(kubectl) = kubectl() else { return };
    let mut random = Random(20);
    let alphabet: Vec<char> = "0123456789_.+-eExob:afyntTZ~<='\" ".chars().collect();
    let mut scalars: Vec<String> = SCALARS.iter().map(|scalar| (*scalar).to_owned()).collect();
    for _ in 0..1500 {
        let length = 1 + random.below(7);
        scalars.push((0..length).map(|_| alphabet[random.below(alphabet.len())]).collect());
    }
    let documents = scalars.iter().map(|scalar| object(&format!("spec:\n  value: {scalar}\n  list:\n  - {scalar}\n")));
    let (readable, refused): (Vec<_>, Vec<_>) = documents.partition(|document| yaml::read(document)[0].is_ok());
    assert!(readable.len() > 1000, "too few scalars are readable: {}", readable.len());
    for batch in readable.chunks(400) {
        compare(&kubectl, batch);
    }
    // Each text needs its own run, because an error hides all later documents. An open quote is closed two lines below,
    // which is a known difference.
    let known =
        |document: &&String| matches!(&yaml::read(document)[0], Err(error) if error.message.contains("quoted string"));
    for document in refused.iter().filter(|document| !known(document)).take(80) {
        assert_eq!(kubectl.read(document), None, "kubectl reads {document:?}, we do not");
    }
}

#[test]
fn blocks() {
    let Some(kubectl) = kubectl() else { return };
    for block in BLOCKS {
        let indented =
            block.split_inclusive('\n').map(|line| if line == "\n" { line.to_owned() } else { format!("  {line}") });
        let text = object(&format!("spec:\n{}", indented.collect::<String>()));
        for text in [text.replace('\n', "\r\n"), text] {
            let ours = yaml::read(&text);
            match (ours.as_slice(), kubectl.read(&text)) {
                ([Ok(ours)], Some(theirs)) => assert_same(&text, ours.value(), &theirs[0]),
                ([Ok(ours)], None) => panic!("we read {text:?}, kubectl does not: {}", ours.value()),
                (error, Some(_)) => panic!("kubectl reads {text:?}, we do not: {error:?}"),
                (_, None) => {}
            }
        }
    }
}

#[test]
fn streams() {
    let Some(kubectl) = kubectl() else { return };
    for stream in STREAMS {
        let text = stream.replace('@', object("").trim_end());
        for text in [text.replace('\n', "\r\n"), text] {
            let ours: Vec<_> = yaml::read(&text)
                .into_iter()
                .map(|document| document.unwrap_or_else(|error| panic!("{text:?}: {error}")))
                .collect();
            let theirs = kubectl.read(&text).unwrap_or_else(|| panic!("kubectl does not read {text:?}"));
            assert_eq!(ours.len(), theirs.len(), "{text:?}");
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert_same(&text, ours.value(), theirs);
            }
        }
    }
    for text in [
        format!("{0}--- x\n{0}", object("")),
        format!("{0}----\n{0}", object("")),
        format!("%YAML 1.1\n---\n{}", object("")),
    ] {
        assert!(yaml::read(&text).iter().any(Result::is_err), "{text:?}");
        assert_eq!(kubectl.read(&text), None, "{text:?}");
    }
}

#[test]
fn json() {
    let Some(kubectl) = kubectl() else { return };
    let head = r#""kind": "Probe", "apiVersion": "example.com/v1", "metadata": {"name": "a"}"#;
    for values in [
        r#""a": [1, -0, 1.0, 1e3, 1e21, 1e-7, 18446744073709551615, 9223372036854775807, 99999999999999999999, 0.1]"#,
        r#""a": "\ud83d\ude00 \/ \u00e9 \ud800", "b": "no", "a": null, "b": [true, false, null, {}, []]"#,
        "\t\"a\":\t1",
    ] {
        let text = format!("{{{head}, {values}}}\n{{{head}}}");
        let theirs = kubectl.read(&text).unwrap_or_else(|| panic!("kubectl does not read {text:?}"));
        let ours = yaml::read(&text);
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_same(&text, ours.as_ref().unwrap().value(), theirs);
        }
    }
}

/// Texts that kubectl reads and we reject, with an error that says why.
#[test]
fn stricter() {
    let Some(kubectl) = kubectl() else { return };
    let deep: String = (0..300).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    for (what, rest) in [
        ("a comment right behind a quote", "a: 'x'# comment\n"),
        ("a comment right behind the header of a block scalar", "a: |# comment\n"),
        ("a quoted string with a tab in front of a line that is not indented", "a:\n  b: 'x\n \tz'\n"),
        ("a line that is not indented, behind a backslash", "a:\n  b: \"x\\\n z\"\n"),
        ("a line that is not indented, and the escape of a control character", "a:\n  b: \"x\\x01\n z\"\n"),
        ("text on the line of the end marker", "a: 1\n... b\n"),
        ("the escape `\\'`, which no version of YAML has", "a: \"it\\'s\"\n"),
        ("a byte order mark inside of a document", "a: \u{feff}x\n"),
        ("a line break of YAML 1.1 alone", "a: x\u{2028}  z\n"),
        ("nesting beyond 256 levels", &deep),
    ] {
        let text = object(rest);
        assert!(yaml::read(&text)[0].is_err(), "{what}: we read it");
        assert!(kubectl.run(&text).is_some(), "{what}: kubectl refuses it too");
    }
}

/// Texts that kubectl 1.32 rejects and we read.
#[test]
fn laxer() {
    let Some(kubectl) = kubectl() else { return };
    let json_behind_yaml = "---\n{\"kind\": \"Probe\", \"apiVersion\": \"example.com/v1\",\n \"metadata\": {\"name\": \"\\ud83d\\ude00\"}}\n";
    for (what, text) in [
        (
            "flow style at the start of a file, which this kubectl takes for JSON",
            "{kind: Probe, apiVersion: example.com/v1, metadata: {name: a}}\n".to_owned(),
        ),
        ("JSON that is no YAML behind the first document", format!("{}{json_behind_yaml}", object(""))),
    ] {
        assert!(yaml::read(&text).iter().all(Result::is_ok), "{what}: we refuse it");
        if kubectl.is_1_32() {
            assert_eq!(kubectl.read(&text), None, "{what}: kubectl reads it too");
        }
    }
}

fn object(rest: &str) -> String {
    format!("apiVersion: example.com/v1\nkind: Probe\nmetadata:\n  name: a\n{rest}")
}

/// Compares many documents in one run. If kubectl rejects the file, each document is tried alone.
fn compare(kubectl: &Kubectl, documents: &[String]) {
    if let Some(theirs) = kubectl.read(&documents.join("---\n")) {
        assert_eq!(theirs.len(), documents.len());
        for (document, theirs) in documents.iter().zip(&theirs) {
            assert_same(document, yaml::read(document)[0].as_ref().unwrap().value(), theirs);
        }
    } else if let [only] = documents {
        panic!("we read {only:?}, kubectl does not: {}", yaml::read(only)[0].as_ref().unwrap().value());
    } else {
        let (left, right) = documents.split_at(documents.len() / 2);
        compare(kubectl, left);
        compare(kubectl, right);
    }
}

#[track_caller]
fn assert_same(text: &str, ours: &Value, theirs: &Value) {
    let mut theirs = theirs.clone();
    // The test itself adds the annotation.
    if let Some(metadata) = theirs.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("annotations");
    }
    assert!(same(ours, &theirs), "{text:?}\n  ours: {ours}\ntheirs: {theirs}");
}

/// Whether both are equal, except for the last digits of floats: serde_json reads kubectl's output less exactly.
fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64(), a.as_f64(), b.as_f64()) {
            (Some(a), Some(b), ..) => a == b,
            (None, None, Some(a), Some(b)) => (a - b).abs() <= a.abs() * 1e-14,
            _ => false,
        },
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => same_members(a, b),
        _ => ours == theirs,
    }
}

fn same_members(ours: &Map<String, Value>, theirs: &Map<String, Value>) -> bool {
    ours.len() == theirs.len()
        && ours.iter().all(|(name, value)| theirs.get(name).is_some_and(|theirs| same(value, theirs)))
}

struct Kubectl {
    path: PathBuf,
    folder: tempfile::TempDir,
}

/// kubectl from `PLIMSOLL_KUBECTL` or the search path.
#[expect(clippy::print_stderr, reason = "a test that checks nothing should say so")]
fn kubectl() -> Option<Kubectl> {
    let named = std::env::var_os("PLIMSOLL_KUBECTL").map(PathBuf::from);
    let path = named.or_else(|| {
        let folders = std::env::var_os("PATH")?;
        std::env::split_paths(&folders).map(|folder| folder.join("kubectl")).find(|path| path.is_file())
    });
    if path.is_none() {
        eprintln!("skipped: there is no kubectl in the search path or PLIMSOLL_KUBECTL");
    }
    Some(Kubectl { path: path?, folder: tempfile::tempdir().unwrap() })
}

impl Kubectl {
    /// The objects of a file, or None if kubectl rejects it.
    fn read(&self, text: &str) -> Option<Vec<Value>> {
        let output = self.run(text)?;
        Some(serde_json::Deserializer::from_slice(&output).into_iter().collect::<Result<_, _>>().unwrap())
    }

    fn run(&self, text: &str) -> Option<Vec<u8>> {
        let file = self.folder.path().join("file.yaml");
        std::fs::write(&file, text).unwrap();
        let mut command = self.command();
        let output =
            command.args(["annotate", "--local", "-o", "json", "probe=probe", "-f"]).arg(&file).output().unwrap();
        output.status.success().then_some(output.stdout)
    }

    fn is_1_32(&self) -> bool {
        let output = self.command().args(["version", "--client"]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).contains("v1.32.")
    }

    /// A command that never connects to a cluster, whatever the machine's kubeconfig is.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.env("KUBECONFIG", "/dev/null").env("HOME", self.folder.path());
        command
    }
}

/// A generator with the same sequence in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}
