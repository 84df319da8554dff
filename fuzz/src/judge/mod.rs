//! Requests of every shape, reviewed by the policies. No policy fails, the filled-in values are right, and the results
//! of WebAssembly and native code agree.
//!
//! An input is a script of choices: an object, changes of its JSON tree, and the operation. So nearly every input is a
//! request that reaches the policies.

mod native;
mod request;

use std::sync::Arc;

use plimsoll::admission::{Verdict, respond};
use plimsoll::context::{Context, Unknown};
use plimsoll::judge::{self, Mutation, Reason};
use plimsoll::model::review::Malformed;
use plimsoll::model::{Operation, Review};
use serde_json::Value;

use crate::script::Script;
use crate::surroundings::{REGISTRY, deadline};

/// A script of choices that makes a request.
pub const TARGET: crate::Target = crate::Target { name: "judge", run, words: &[], bounded: 4_000 };

fn run(input: &[u8]) {
    let request = request::make(&mut Script::new(input));
    let review = match Review::from_admission_review(request.body.as_bytes()) {
        Ok(review) => Arc::new(review),
        Err(Malformed::Request { .. }) => return,
        Err(malformed) => {
            // These requests can only be rejected because they exceed a limit.
            assert!(request.is_beyond, "{malformed}: {}", request.body);
            return;
        }
    };
    if request.is_compared {
        return native::agrees(&review);
    }
    let verdict = validated(&review);
    if review.operation == Operation::Update && request.is_unchanged {
        assert!(verdict.allowed(), "an update that changes nothing is denied: {}", request.body);
    }
    let mutation = mutated(&review);
    let Some(object) = &mutation.object else { return };
    if !request.says_who_wrote {
        let before = review.object().and_then(|object| serde_json::to_value(object).ok()).unwrap_or_default();
        assert!(keeps(&before, object), "a written value was replaced: {before} became {object}");
    }
    let completed = Arc::new(review.with_object(object).expect("the patched value is an object"));
    let again = mutated(&completed);
    assert!(again.patch.0.is_empty(), "a second mutation added {:?} to {object}", again.added);
    let after = validated(&completed);
    let (before, after) = (denials(&verdict), denials(&after));
    assert!(
        after.iter().all(|key| before.contains(key)),
        "{after:?} after mutation, {before:?} before: {}",
        request.body
    );
}

fn validated(review: &Arc<Review>) -> Verdict {
    let context: Arc<dyn Context> = Arc::new(Unknown);
    let verdict = judge::validate(&REGISTRY, review, &context, deadline());
    assert!(
        verdict.failed.is_empty(),
        "{:?}",
        verdict.failed.iter().map(|failed| (&failed.policy.id, &failed.failure)).collect::<Vec<_>>()
    );
    let answer = answer(&respond::validated(review, &verdict), review);
    assert_eq!(answer["response"]["allowed"], verdict.allowed());
    verdict
}

fn mutated(review: &Arc<Review>) -> Mutation {
    let context: Arc<dyn Context> = Arc::new(Unknown);
    let mutation = judge::mutate(&REGISTRY, review, &context, deadline());
    let defect = matches!(mutation.untouched, Some(Reason::BadPatch | Reason::NoConvergence));
    let object = || review.object().map(|object| object.to_json()).unwrap_or_default();
    assert!(!defect, "{:?} after {:?}: {}", mutation.untouched, mutation.added, object());
    answer(&respond::mutated(review, Some(&mutation.patch)), review);
    if let Some(object) = &mutation.object {
        let received = review.object().expect("only an object is patched");
        let mut patched = serde_json::to_value(received).expect("a patched object is a JSON value");
        json_patch::patch(&mut patched, &mutation.patch).expect("the patch applies");
        assert_eq!(&patched, object);
    }
    mutation
}

/// Checks an answer, and returns it as the API server would read it.
fn answer(answer: &Value, review: &Review) -> Value {
    let answer: Value = serde_json::from_str(&answer.to_string()).expect("an answer is JSON");
    assert_eq!(answer["response"]["uid"], review.uid.as_str());
    for warning in answer["response"]["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        assert!(warning.chars().count() <= 120 && !warning.chars().any(char::is_control), "{warning:?}");
    }
    if let Some(message) = answer["response"]["status"]["message"].as_str() {
        let is_hidden = |character: char| character != '\n' && character.is_control();
        assert!(message.chars().count() <= 1000 && !message.contains(is_hidden), "{message:?}");
    }
    answer
}

fn denials(verdict: &Verdict) -> Vec<&str> {
    let denied = verdict.judged.iter().filter(|judged| judged.action == plimsoll::model::Action::Deny);
    denied.map(|judged| judged.key.as_str()).collect()
}

/// Whether all values of the object are still there. A null counts as no value.
fn keeps(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Null, _) => true,
        (Value::Object(before), Value::Object(after)) => {
            before.iter().all(|(name, before)| after.get(name).is_some_and(|after| keeps(before, after)))
        }
        (Value::Array(before), Value::Array(after)) => {
            before.len() == after.len() && before.iter().zip(after).all(|(before, after)| keeps(before, after))
        }
        _ => before == after,
    }
}
