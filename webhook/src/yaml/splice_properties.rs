//! Random edits of random objects, written in random styles with comments. Each edit is exact or refused.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Reason, apply, normalise};
use crate::model::pointer::join;
use crate::model::{Edit, edit};
use crate::yaml::read;

/// Writes an object in mixed styles: mostly block style, sometimes brackets, quotes, comments and blank lines.
struct Author {
    choices: Vec<u8>,
    at: usize,
    step: usize,
    dash: usize,
    out: String,
}

impl Author {
    fn write(value: &Value, choices: Vec<u8>) -> String {
        let mut author = Self { choices, at: 0, step: 2, dash: 0, out: String::new() };
        author.step = [2, 2, 4][author.below(3)];
        author.dash = [0, author.step][author.below(2)];
        let crlf = author.below(4) == 0;
        let no_final_newline = author.below(4) == 0;
        author.members(value, 0, false);
        if author.below(3) == 0 {
            author.out += "# the end\n";
        }
        if no_final_newline {
            author.out.truncate(author.out.trim_end_matches('\n').len());
        }
        if crlf { author.out.replace('\n', "\r\n") } else { author.out }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.at += 1;
        let length = self.choices.len().max(1);
        let byte = self.choices.get(self.at % length).copied().unwrap_or(0);
        (usize::from(byte) + self.at / length) % bound
    }

    fn members(&mut self, value: &Value, column: usize, behind_dash: bool) {
        for (number, (name, value)) in value.as_object().into_iter().flatten().enumerate() {
            if number > 0 || !behind_dash {
                self.noise(column);
                self.out += &" ".repeat(column);
            }
            self.scalar(&json!(name));
            self.out += ":";
            match value {
                Value::Object(map) if !map.is_empty() && self.below(6) > 0 => {
                    self.line_end();
                    self.members(value, column + self.step, false);
                }
                Value::Array(items) if !items.is_empty() && self.below(6) > 0 => {
                    self.line_end();
                    self.items(items, column + self.dash);
                }
                Value::Null if self.below(2) == 0 => self.line_end(),
                Value::String(text)
                    if text.contains('\n')
                        && !text.starts_with(['\n', ' '])
                        && !text.ends_with("\n\n")
                        && self.below(2) == 0 =>
                {
                    self.out += if text.ends_with('\n') { " |\n" } else { " |-\n" };
                    for line in text.lines() {
                        self.out += &format!("{:1$}{line}\n", "", column + self.step);
                    }
                }
                _ => {
                    self.out += " ";
                    self.inline(value);
                    self.line_end();
                }
            }
        }
    }

    fn items(&mut self, items: &[Value], column: usize) {
        for value in items {
            self.noise(column);
            self.out += &format!("{:column$}- ", "");
            match value {
                Value::Object(map) if !map.is_empty() && self.below(6) > 0 => self.members(value, column + 2, true),
                _ => {
                    self.inline(value);
                    self.line_end();
                }
            }
        }
    }

    /// Writes a value in flow style, which is JSON.
    fn inline(&mut self, value: &Value) {
        match value {
            Value::Object(_) | Value::Array(_) => self.out += &value.to_string(),
            _ => self.scalar(value),
        }
    }

    fn scalar(&mut self, value: &Value) {
        let written = match (value, self.below(3)) {
            (Value::String(text), 0) if !text.contains(['\n', '\t']) => format!("'{}'", text.replace('\'', "''")),
            (Value::String(text), 1)
                if !text.is_empty() && text.chars().all(|character| matches!(character, 'c'..='m')) =>
            {
                text.clone()
            }
            _ => value.to_string(),
        };
        self.out += &written;
    }

    fn line_end(&mut self) {
        let end = ["  # own\n", " \n", "\n", "\n", "\n"][self.below(5)];
        self.out += end;
    }

    fn noise(&mut self, column: usize) {
        match self.below(10) {
            0 => self.out += &format!("{:column$}# about: what's next\n", ""),
            1 => self.out += "\n",
            2 => self.out += "# at the margin\n",
            _ => {}
        }
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-9..99i64).prop_map(Value::from),
        prop_oneof![Just(0.5), Just(1e30)].prop_map(Value::from),
        texts().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from), objects(inner, 0)]
    })
}

fn objects(inner: impl Strategy<Value = Value>, least: usize) -> impl Strategy<Value = Value> {
    prop::collection::btree_map(prop_oneof![3 => "[c-m]{1,4}", 1 => texts()], inner, least..5)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[c-m]{1,6}",
        2 => prop::sample::select(vec!["", "no", "1", "010", "~", "a: b", "x #y", "- x", "*", "it's", "\"q\"", "x\ny\n", "x\ny", " pad ", "é", "x\ty", "[", "a,b", "2001-01-01", "\n", "x\n\n", "#", "null", "nginx:1.2", "key:", "\\", "---", "..."]).prop_map(str::to_owned),
        1 => "[ -~\n]{0,8}",
    ]
}

/// Every pointer into a value.
fn pointers(value: &Value, at: &str, out: &mut Vec<String>) {
    let mut below = |token: &str, value: &Value| {
        let pointer = join(at, token);
        out.push(pointer.clone());
        pointers(value, &pointer, out);
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| below(name, value)),
        Value::Array(items) => items.iter().enumerate().for_each(|(index, value)| below(&index.to_string(), value)),
        _ => {}
    }
}

fn edit_of(object: &Value, pick: prop::sample::Index, kind: u8, below: &str, value: Value) -> Edit {
    let mut all = vec![String::new()];
    pointers(object, "", &mut all);
    let mut pointer = pick.get(&all).clone();
    if pointer.is_empty() || matches!(kind, 0 | 1) {
        pointer += below;
    }
    match kind {
        0 => Edit::Add { pointer, value },
        1 | 2 => Edit::Append { pointer, value },
        3 => Edit::Replace { pointer, value },
        4 => Edit::Add { pointer, value },
        5 => Edit::Rename { pointer, name: "renamed".to_owned() },
        _ => Edit::Remove { pointer },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn refused_or_exact(
        object in objects(values(), 1),
        choices in prop::collection::vec(any::<u8>(), 1..40),
        pick in any::<prop::sample::Index>(),
        kind in 0..8u8,
        below in prop::sample::select(vec!["/new", "/new/deeper", "/no", "/a b/1"]),
        value in values(),
    ) {
        let text = Author::write(&object, choices);
        let mut before = object.clone();
        normalise(&mut before);
        {
            let documents = read(&text);
            prop_assert!(documents.len() == 1, "{text}");
            let document = documents[0].as_ref().map_err(|error| TestCaseError::fail(format!("{error}: {text:?}")))?;
            prop_assert_eq!(document.value(), &before, "{}", text);
        }
        let edit = edit_of(&object, pick, kind, below, value);
        let mut expected = before.clone();
        // Appending to an array only inserts. A value of another type is replaced.
        let replaces = kind > 2 || kind == 0 && before.pointer(edit.pointer()).is_some();
        let fits = edit::apply(&mut expected, std::slice::from_ref(&edit));
        normalise(&mut expected);
        let others = ["# before\n---\n", "---\nother: [ 1 ]   # c"];
        let file = format!("{}{text}{}{}", others[0], if text.ends_with('\n') { "" } else { "\n" }, others[1]);
        let text = &file[others[0].len()..file.len() - others[1].len()];
        let spliced = apply(&file, &[(0, vec![edit.clone()])]);
        if let Some(refusal) = spliced.refused.first() {
            prop_assert_eq!(&spliced.text, &file);
            let allowed = match refusal.reason {
                Reason::Edit(_) => fits.is_err(),
                // Replacing a block may drop comments in it. An insertion never does.
                Reason::Comment(_) => replaces,
                Reason::Template => text.contains("{{"),
                _ => false,
            };
            prop_assert!(allowed, "{}: {edit:?}\n{text}", refusal.reason);
            return Ok(());
        }
        prop_assert!(fits.is_ok());
        let documents = read(&spliced.text);
        prop_assert_eq!(documents[0].as_ref().unwrap().value(), &expected, "{}\n{:?}\n{}", text, edit, spliced.text);
        prop_assert!(spliced.text.starts_with(others[0]) && spliced.text.ends_with(others[1]));
        // Without the inserted text, the file is the old one. An insertion changes at most one existing line.
        for change in &spliced.changes {
            let mut again = spliced.text.clone();
            again.replace_range(change.range.start..change.range.start + change.replacement.len(), &file[change.range.clone()]);
            prop_assert_eq!(&again, &file);
            if !replaces {
                prop_assert!(file[change.range.clone()].lines().count() <= 1, "{text}\n{edit:?}\n{}", spliced.text);
            }
        }
    }

    /// Many lists applied at once give the same result as one after another.
    #[test]
    fn together_as_one_by_one(
        object in objects(values(), 1),
        choices in prop::collection::vec(any::<u8>(), 1..40),
        picks in prop::collection::vec((any::<prop::sample::Index>(), 0..8u8, 0..3usize, values()), 1..12),
    ) {
        let text = Author::write(&object, choices);
        let edits: Vec<Edit> = picks
            .into_iter()
            .map(|(pick, kind, below, value)| edit_of(&object, pick, kind, ["/new", "/new/deeper", "/other"][below], value))
            .collect();
        // A template is refused as a whole. One by one, edits are refused only after the text became a template.
        prop_assume!(!text.contains("{{") && !format!("{edits:?}").contains("{{"));
        let lists: Vec<(usize, Vec<Edit>)> = edits.iter().map(|edit| (0, vec![edit.clone()])).collect();
        let together = apply(&text, &lists);
        let refused: Vec<usize> = together.refused.iter().map(|refusal| refusal.list).collect();
        let (mut one_by_one, mut alone) = (text.clone(), Vec::new());
        for (list, edits) in lists.iter().enumerate() {
            let spliced = apply(&one_by_one, std::slice::from_ref(edits));
            alone.extend(spliced.refused.iter().map(|_| list));
            one_by_one = spliced.text;
        }
        prop_assert_eq!(&refused, &alone, "{}\n{:#?}\n{:?}", text, edits, together.refused);
        let value = |text: &str| -> Vec<Value> { read(text).into_iter().flatten().map(|document| document.value().clone()).collect() };
        prop_assert_eq!(value(&together.text), value(&one_by_one), "{}\n{:#?}", text, edits);
        // After a removal, other nested lines come first, and their indentation decides the format.
        let is_addition = |edit: &Edit| match edit {
            Edit::Add { pointer, .. } => object.pointer(pointer).is_none(),
            Edit::Append { .. } => true,
            Edit::Replace { .. } | Edit::Remove { .. } | Edit::Rename { .. } => false,
        };
        if edits.iter().all(is_addition) {
            prop_assert_eq!(together.text, one_by_one, "{}\n{:#?}", text, edits);
        }
    }

    #[test]
    fn reading_never_panics(text in "([ -~\n\t\ré\u{feff}]|: |- |\n  |\n- |---\n|&a|\\*a|<<: |\\||>|\"|'|\\{|\\}|\\[|\\]|, |# ){0,30}") {
        for document in read(&text).into_iter().flatten() {
            for comment in document.comments() {
                prop_assert!(text[comment.range.clone()].starts_with('#'));
            }
            let mut all = vec![String::new()];
            pointers(document.value(), "", &mut all);
            for pointer in all {
                let place = document.locate(&pointer);
                prop_assert!(place.is_some_and(|place| text.is_char_boundary(place.value.start) && text.is_char_boundary(place.value.end)), "{pointer}");
            }
        }
        let spliced = apply(&text, &[(0, vec![Edit::Add { pointer: "/a".to_owned(), value: json!({"b": 1}) }])]);
        if spliced.refused.iter().any(|refusal| refusal.document == 0) {
            prop_assert_eq!(spliced.text, text);
        }
    }
}
