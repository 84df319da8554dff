//! Says a reason that holds at several places only once: `container "a" … → …; the same: container "b"`.

use std::collections::HashMap;

use plimsoll_flat::Node;

use super::fit::Reason;
use super::place::{Subject, placed, subject};
use super::shorten;
use crate::model::Finding;
use crate::printed;

/// Maximum number of findings that become text. More would never fit. An object may have thousands, and the rest are
/// only counted.
const MOST_READ: usize = 512;

/// Replaces the subject of a text when two texts are compared.
const HERE: &str = "\0";

/// Maximum number of characters of a further name.
const MAX_NAME: usize = 65;

/// One reason, with the further places where it holds.
pub(super) struct Group<'a> {
    /// Id of the policy.
    pub(super) id: &'a str,
    what: String,
    help: String,
    /// Further subjects for which it holds.
    others: Vec<Subject>,
}

impl<'a> Group<'a> {
    /// The first findings in their order, and the policies of the rest. Findings of one policy form one group if they
    /// say the same about several containers, volumes or similar items.
    pub(super) fn all(
        mut findings: impl Iterator<Item = (&'a str, &'a Finding)>,
        object: Option<Node<'_>>,
    ) -> (Vec<Self>, Vec<&'a str>) {
        let mut groups: Vec<Self> = Vec::new();
        let mut known: HashMap<(&str, String, String), usize> = HashMap::new();
        for (id, finding) in findings.by_ref().take(MOST_READ) {
            let what = placed(finding, object);
            let Some(subject) = subject(finding, object) else {
                groups.push(Self::alone(id, what, &finding.help));
                continue;
            };
            let key = (id, generalized(&what, &subject), generalized(&finding.help, &subject));
            match known.get(&key) {
                Some(&index) => groups[index].others.push(subject),
                None => {
                    known.insert(key, groups.len());
                    groups.push(Self::alone(id, what, &finding.help));
                }
            }
        }
        (groups, findings.map(|(id, _)| id).collect())
    }

    pub(super) fn alone(id: &'a str, what: String, help: &str) -> Self {
        Self { id, what, help: help.to_owned(), others: Vec::new() }
    }

    /// Number of findings that it stands for.
    pub(super) fn size(&self) -> usize {
        1 + self.others.len()
    }

    /// The names come from the requester. A name must not start a new line or control the user's terminal.
    pub(super) fn reason(&self) -> Reason {
        let line = |text: &str| printed::line(text).into_owned();
        let named = |Subject { noun, name }: &Subject| line(&format!("{noun} {}", shorten(name, MAX_NAME)));
        let others = self.others.iter().map(named).collect();
        Reason { id: self.id.to_owned(), what: line(&self.what), help: line(&self.help), others }
    }
}

/// A text without its subject.
fn generalized(text: &str, Subject { noun, name }: &Subject) -> String {
    text.replace(&format!("{noun} {name}"), HERE).replace(name, HERE)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admission::message::tests::finding;

    #[test]
    fn what_holds_of_several_containers_is_one_reason() {
        let pod = json!({
            "initContainers": [{"name": "wait"}],
            "containers": [{"name": "web"}, {"name": "proxy"}, {"name": "log"}],
            "volumes": [{"name": "web"}],
        });
        let object = json!({"spec": {"template": {"spec": pod}}});
        let document = plimsoll_flat::to_document(&object).unwrap();
        let object = Node::root(&document).ok();
        let at =
            |place: &str, message: &str, help: &str| finding(&format!("/spec/template/spec/{place}"), message, help);
        let findings = [
            at("containers/0", "container \"web\" may run as root", "set it in \"web\""),
            at("initContainers/0", "init container \"wait\" may run as root", "set it in \"wait\""),
            at("containers/1", "container \"proxy\" may run as root", "set it in \"web\""),
            at("containers/2", "container \"log\" runs as user 0", "set it in \"log\""),
            at("volumes/0", "is odd", "drop it"),
        ];
        let groups = |id: fn(usize) -> &'static str| {
            let named = findings.iter().enumerate().map(|(index, finding)| (id(index), finding));
            Group::all(named, object).0
        };
        let said: Vec<Reason> = groups(|_| "runs-as-root").iter().map(Group::reason).collect();
        // A different help is a different reason, and so is a different message.
        let others: Vec<_> = said.iter().map(|reason| reason.others.clone()).collect();
        assert_eq!(others, [vec!["init container \"wait\"".to_owned()], Vec::new(), Vec::new(), Vec::new()]);
        assert_eq!(said[3].what, "volume \"web\": is odd");
        // Findings of different policies are never grouped.
        assert_eq!(groups(|index| ["a", "b", "c", "d", "e"][index]).len(), 5);
    }

    #[test]
    fn of_thousands_most_are_only_counted() {
        let finding = finding("/spec/replicas", "too few", "write more");
        let (groups, rest) = Group::all(std::iter::repeat_n(("a", &finding), MOST_READ + 7), None);
        assert_eq!((groups.len(), rest.as_slice()), (MOST_READ, ["a"; 7].as_slice()));
    }
}
