//! Time to make a document, compared with `serde_json` in the same run: `cargo bench -p plimsoll-flat`.
//!
//! Times differ between machines, so only the ratios count. The maximum is 0.5.
#![expect(clippy::print_stdout, reason = "a bench reports on standard output")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use plimsoll_flat::{Node, json, to_document, validate};
use serde_json::Value;

const FIXTURES: [(&str, &str); 2] = [("CREATE", include_str!("create.json")), ("UPDATE", include_str!("update.json"))];

const OMIT: &[&[&str]] =
    &[&["request", "object", "metadata", "managedFields"], &["request", "oldObject", "metadata", "managedFields"]];

type Step<'a> = (&'static str, Box<dyn Fn() + 'a>);

fn main() {
    for (name, text) in FIXTURES {
        let text = text.as_bytes();
        let document = json::from_json(text).expect("a fixture");
        let value: Value = serde_json::from_slice(text).expect("a fixture");
        println!("{name}: {} bytes of text, {} bytes of document", text.len(), document.len());
        let steps: Vec<Step<'_>> = vec![
            ("serde_json to Value", Box::new(|| drop(black_box(serde_json::from_slice::<Value>(black_box(text)))))),
            ("from_json", Box::new(|| drop(black_box(json::from_json(black_box(text)))))),
            ("from_json, managedFields omitted", {
                Box::new(|| drop(black_box(json::from_json_omitting(black_box(text), OMIT))))
            }),
            ("validate", Box::new(|| black_box(validate(black_box(&document))).expect("sound"))),
            ("to_json", Box::new(|| drop(black_box(Node::root(black_box(&document)).map(Node::to_json))))),
            ("to_document of Value", Box::new(|| drop(black_box(to_document(black_box(&value)))))),
        ];
        // In turns, so that a busy moment of the machine affects all alike. The best of many runs is the least
        // disturbed.
        let mut best = vec![Duration::MAX; steps.len()];
        for _ in 0..300 {
            for (best, (_, step)) in best.iter_mut().zip(&steps) {
                let start = Instant::now();
                for _ in 0..10 {
                    step();
                }
                *best = start.elapsed().min(*best);
            }
        }
        for (time, (step, _)) in best.iter().zip(&steps) {
            let ratio = time.as_secs_f64() / best[0].as_secs_f64();
            println!("  {:7.2} µs  ratio {ratio:.2}  {step}", time.as_secs_f64() * 1e6 / 10.0);
        }
    }
}
