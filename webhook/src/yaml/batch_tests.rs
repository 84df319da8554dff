use serde_json::json;

use super::*;

fn add(pointer: &str, value: Value) -> Edit {
    Edit::Add { pointer: pointer.to_owned(), value }
}

fn remove(pointer: &str) -> Edit {
    Edit::Remove { pointer: pointer.to_owned() }
}

/// Applies all edits. Returns the number of bytes that were read, and the text.
fn cost(text: &str, edits: &[Edit]) -> (usize, String) {
    let mut work = Work(usize::MAX);
    let mut batch = Batch::new(&mut work);
    let lists: Vec<List<'_>> = edits.chunks(1).enumerate().collect();
    let after = batch.apply(text.to_owned(), &lists);
    assert_eq!(batch.refused, []);
    (usize::MAX - work.0, after)
}

/// Applies each edit alone, and reads the document for each.
fn one_by_one(text: &str, edits: &[Edit]) -> String {
    edits.iter().fold(text.to_owned(), |text, edit| cost(&text, std::slice::from_ref(edit)).1)
}

fn containers(count: usize) -> (String, Vec<Edit>) {
    let items: String = (0..count)
        .map(|number| format!("  - name: c{number}\n    image: app:1.4.2   # of {number}\n    ports: []\n\n"))
        .collect();
    let mut edits = vec![add("/spec/securityContext", json!({"runAsNonRoot": true}))];
    for number in 0..count {
        let at = |below: &str| format!("/spec/containers/{number}/{below}");
        edits.push(add(&at("resources/requests/cpu"), json!("10m")));
        edits.push(add(&at("resources/requests/memory"), json!("64Mi")));
        edits.push(Edit::Replace { pointer: at("image"), value: json!("app:1.4.3") });
        edits.push(Edit::Append { pointer: at("ports"), value: json!({"containerPort": 80}) });
    }
    edits.extend((0..count).map(|number| add(&format!("/spec/containers/{number}/tty"), json!(true))));
    (format!("kind: Pod\nspec:\n  containers:\n{items}# the end\n"), edits)
}

#[test]
fn twice_the_edits_in_twice_the_text_cost_twice_as_much() {
    for json in [false, true] {
        let measure = |count| {
            let (text, edits) = containers(count);
            let text = match read(&text).pop() {
                Some(Ok(document)) if json => document.value().to_string(),
                _ => text,
            };
            let (read, after) = cost(&text, &edits);
            (read as f64 / text.len() as f64, after)
        };
        let ((few, _), (many, after)) = (measure(50), measure(800));
        assert!(many < few * 1.5 && many < 20.0, "the document is read {few} and {many} times");
        assert_eq!(after.matches("app:1.4.3").count(), 800);
    }
}

#[test]
fn together_as_one_by_one() {
    let (text, mut edits) = containers(12);
    edits.push(remove("/spec/containers/3/image"));
    edits.push(remove("/spec/containers/5"));
    edits.push(add("/spec/containers/5/last", json!({"a": [1]})));
    edits.extend((2..9).rev().map(|number| remove(&format!("/spec/containers/{number}"))));
    edits.push(add("/spec/containers/3/end", json!(null)));
    edits.push(remove("/spec/securityContext/runAsNonRoot"));
    edits.push(add("/spec/securityContext/runAsUser", json!(1)));
    assert_eq!(cost(&text, &edits).1, one_by_one(&text, &edits));
    let text = "a: {b: [1, 2, 3], c: {}}\nd: |+\n  x\n\ne:\n- 1\n- 2\n";
    let edits = [
        remove("/a/b/2"),
        remove("/a/b/0"),
        add("/a/c/x", json!(1)),
        add("/a/d", json!(2)),
        remove("/e/1"),
        remove("/e/0"),
        add("/f", json!({"g": 1})),
        add("/f/h", json!(2)),
        add("/f/g", json!(3)),
    ];
    assert_eq!(cost(text, &edits).1, one_by_one(text, &edits));
}

/// Removes all items but one from a list of a thousand.
#[test]
fn items_of_one_list_are_removed_together() {
    let text = format!("l:\n{}", "- a: 1\n".repeat(1000));
    let edits: Vec<Edit> = (1..1000).rev().map(|number| remove(&format!("/l/{number}"))).collect();
    let (read, after) = cost(&text, &edits);
    assert!(after == "l:\n- a: 1\n" && read < 4 * text.len(), "{read} bytes read: {after}");
}

#[test]
fn a_list_that_is_refused_stops_no_other_and_nothing_of_it_is_made() {
    let text = "a: &x {e: 1}\nb: *x\nc:\n  d: 1\n";
    let mut work = Work::of(text.len());
    let mut batch = Batch::new(&mut work);
    let lists = [
        vec![add("/c/x", json!(1)), add("/c/x/y", json!(1))],
        vec![add("/f", json!(1))],
        vec![add("/c/e", json!(1)), add("/b/z", json!(1))],
        vec![add("/c/g", json!(1))],
    ];
    let lists: Vec<List<'_>> = lists.iter().enumerate().map(|(list, edits)| (list, &edits[..])).collect();
    let after = batch.apply(text.to_owned(), &lists);
    assert_eq!(after, "a: &x {e: 1}\nb: *x\nc:\n  d: 1\n  g: 1\nf: 1\n");
    batch.refused.sort_by_key(|(list, _)| *list);
    let reasons: Vec<String> = batch.refused.iter().map(|(list, reason)| format!("{list}: {reason}")).collect();
    assert_eq!(reasons, ["0: `/c/x` is no object", "2: `/b` is shared through an anchor, an alias or a merge key"]);
}

#[test]
fn what_may_be_read_is_bounded() {
    let text = "a: 1\n";
    // Each edit inserts at the place of the previous one.
    let edits: Vec<Edit> = (0..100).map(|number| add(&format!("/k{number}"), json!(number))).collect();
    let lists: Vec<List<'_>> = edits.chunks(1).enumerate().collect();
    let mut work = Work(5 * 64);
    let mut batch = Batch::new(&mut work);
    let after = batch.apply(text.to_owned(), &lists);
    let made = after.lines().count() - 1;
    assert!((5..20).contains(&made) && batch.refused.len() == 100 - made, "{after}");
    assert!(batch.refused.iter().all(|(_, reason)| *reason == Reason::TooMuch));
    assert_eq!(read(&after).pop().map(|document| document.unwrap().value().clone()), batch.value);
    assert!(!work.take(1), "nothing is left");
    assert_eq!(cost(text, &edits).1, one_by_one(text, &edits));
}

/// An edit that does not fit is refused, even if the value exists already.
#[test]
fn an_item_is_not_added_by_its_number() {
    let edits = vec![add("/0", json!("x"))];
    let spliced = crate::yaml::splice::apply("- x\n- y\n", &[(0, edits)]);
    assert_eq!((spliced.text.as_str(), spliced.refused.len()), ("- x\n- y\n", 1));
}
