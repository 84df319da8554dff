//! Fits as many whole findings as possible into a message. Helps are shortened before a finding is left out.

use std::collections::BTreeMap;

use super::{length, shorten};

/// Maximum number of reasons; more never fit.
pub(super) const MOST: usize = 60;

/// Limits in characters for the fault and for the help, largest first.
const LIMITS: [(usize, usize); 7] =
    [(1000, 1000), (1000, 300), (1000, 200), (1000, 140), (1000, 100), (1000, 60), (240, 60)];

/// Minimum characters of fault and help. A reason with less room is left out.
const LEAST: (usize, usize) = (160, 60);

/// Maximum number of further places that are named for one reason. The rest are counted.
const MOST_NAMED: usize = 3;

/// Replaces a help that the bullet above has, too.
const SAME: &str = "the same";

/// A reason of a denial. Every part is safe to print.
#[derive(Debug)]
pub(super) struct Reason {
    /// Id of the policy.
    pub(super) id: String,
    /// The finding's message.
    pub(super) what: String,
    /// What to write; may be empty.
    pub(super) help: String,
    /// Further places where it holds: `container "web"`.
    pub(super) others: Vec<String>,
}

impl Reason {
    /// Number of findings that it stands for.
    fn size(&self) -> usize {
        1 + self.others.len()
    }
}

/// One bullet for each reason, in at most `room` characters, including the line feeds before them. A last bullet counts
/// the findings that are left out, and names their policies. These are the reasons that do not fit, and the `more`
/// findings that the engine cut.
pub(super) fn bullets(reasons: &[Reason], more: &[(&str, usize)], room: usize) -> Vec<String> {
    let mut rest = Rest::new(more);
    let possible = reasons.len().min(MOST);
    reasons[possible..].iter().for_each(|reason| rest.add(&reason.id, reason.size()));
    for shown in (1..=possible).rev() {
        let last = rest.bullet(room / 3);
        let room = room.saturating_sub(last.as_deref().map_or(0, line));
        let shown = &reasons[..shown];
        let shortest = with(shown, LEAST, true);
        if fits(&shortest, room) {
            let whole = with(shown, LIMITS[0], false);
            let shorter = LIMITS.into_iter().map(|limits| with(shown, limits, true));
            let best = [whole].into_iter().chain(shorter).find(|bullets| fits(bullets, room));
            return best.unwrap_or(shortest).into_iter().chain(last).collect();
        }
        if let [only] = shown {
            // A single reason is always shown, cut to the room that there is.
            let bullet = shorten(&bullet(only, LIMITS[0], ""), room.saturating_sub(1));
            return [bullet].into_iter().chain(last).collect();
        }
        let left = &reasons[shown.len() - 1];
        rest.add(&left.id, left.size());
    }
    rest.bullet(room).into_iter().collect()
}

/// Each reason as a bullet. If room is short, a help equal to the one above is not repeated.
fn with(reasons: &[Reason], limits: (usize, usize), is_short: bool) -> Vec<String> {
    let mut above = "";
    let mut bullets = Vec::with_capacity(reasons.len());
    for reason in reasons {
        let is_same = is_short && reason.help == above && length(above) > length(SAME);
        bullets.push(bullet(reason, limits, if is_same { SAME } else { &reason.help }));
        above = &reason.help;
    }
    bullets
}

fn bullet(reason: &Reason, (what, most): (usize, usize), help: &str) -> String {
    let what = shorten(&reason.what, what);
    let help = if help.is_empty() { String::new() } else { format!(" → {}", shorten(help, most)) };
    format!("• {}: {what}{help}{}", reason.id, also(&reason.others))
}

/// `; the same: container "b", container "c" and 3 more`
fn also(others: &[String]) -> String {
    if others.is_empty() {
        return String::new();
    }
    let shown: Vec<&str> = others.iter().take(MOST_NAMED).map(String::as_str).collect();
    let more = others.len() - shown.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("; the same: {}{more}", shown.join(", "))
}

fn fits(bullets: &[String], room: usize) -> bool {
    bullets.iter().map(|bullet| line(bullet)).sum::<usize>() <= room
}

/// Length of a line, with the line feed before it.
fn line(text: &str) -> usize {
    length(text) + 1
}

/// Findings that are left out, counted by policy.
struct Rest<'a>(BTreeMap<&'a str, usize>);

impl<'a> Rest<'a> {
    fn new(more: &[(&'a str, usize)]) -> Self {
        let mut rest = Self(BTreeMap::new());
        more.iter().for_each(|(id, count)| rest.add(id, *count));
        rest
    }

    fn add(&mut self, id: &'a str, count: usize) {
        let known = self.0.entry(id).or_default();
        *known = known.saturating_add(count);
    }

    /// `• 5 more: latest-image-tag (2), runs-as-root (3)`, in about `room` characters.
    fn bullet(&self, room: usize) -> Option<String> {
        let count = self.0.values().fold(0, |sum: usize, count| sum.saturating_add(*count));
        if count == 0 {
            return None;
        }
        let mut text = format!("• {count} more:");
        for (index, (id, count)) in self.0.iter().enumerate() {
            let separator = if index == 0 { " " } else { ", " };
            let times = if *count > 1 { format!(" ({count})") } else { String::new() };
            if index > 0 && length(&text) + length(id) + length(&times) + 24 > room {
                text.push_str(&format!(" and {} further policies", self.0.len() - index));
                break;
            }
            text.push_str(&format!("{separator}{id}{times}"));
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(id: &str, what: usize, help: usize) -> Reason {
        Reason { id: id.to_owned(), what: "w".repeat(what), help: "h".repeat(help), others: Vec::new() }
    }

    fn total(bullets: &[String]) -> usize {
        bullets.iter().map(|bullet| line(bullet)).sum()
    }

    #[test]
    fn helps_are_shortened_before_a_reason_is_left_out() {
        let reasons = [reason("a-a", 30, 50), reason("b-b", 30, 500), reason("c-c", 30, 150)];
        let whole = bullets(&reasons, &[], 1000);
        assert!(whole.iter().all(|bullet| !bullet.contains('…')) && whole.len() == 3);
        let shorter = bullets(&reasons, &[], 600);
        assert_eq!(shorter.len(), 3);
        assert!(shorter[0].ends_with(&"h".repeat(50)) && shorter[1].ends_with('…') && shorter[2].ends_with("hhh"));
        let shortest = bullets(&reasons, &[], 300);
        assert!(shortest.len() == 3 && shortest[2].starts_with("• c-c: w") && total(&shortest) <= 300);
        let cut = bullets(&reasons, &[], 150);
        assert_eq!(cut.last().unwrap(), "• 2 more: b-b, c-c");
        assert!(cut.len() == 2 && total(&cut) <= 150, "{cut:?}");
    }

    #[test]
    fn the_same_help_is_not_repeated_where_space_is_short() {
        let reasons = [reason("a-a", 30, 80), reason("a-a", 30, 80)];
        assert!(bullets(&reasons, &[], 300)[1].ends_with("hhh"));
        assert!(bullets(&reasons, &[], 200)[1].ends_with("w → the same"));
    }

    #[test]
    fn what_is_left_out_is_counted_and_named() {
        let reasons: Vec<Reason> = (0..400).map(|index| reason(&format!("policy-{}", index % 70), 40, 60)).collect();
        let more = [("policy-0", 1000)];
        let bullets = bullets(&reasons, &more, 800);
        let (last, shown) = bullets.split_last().unwrap();
        assert!(last.starts_with(&format!("• {} more: policy-0 (1005), ", 1400 - shown.len())), "{last}");
        assert!(last.ends_with(" further policies") && shown.len() > 4 && total(&bullets) <= 800, "{bullets:#?}");
        assert!(super::bullets(&[], &[], 800).is_empty());
    }

    #[test]
    fn further_places_are_named_and_counted() {
        let mut reasons = [reason("a-a", 3, 3), reason("b-b", 3, 3)];
        reasons[0].others = (0..5).map(|index| format!("container \"c{index}\"")).collect();
        reasons[1].others = vec!["volume \"v\"".to_owned()];
        let whole = bullets(&reasons, &[], 1000);
        let first = "• a-a: www → hhh; the same: container \"c0\", container \"c1\", container \"c2\" and 2 more";
        assert_eq!(whole, [first, "• b-b: www → hhh; the same: volume \"v\""]);
        assert_eq!(bullets(&reasons, &[], length(first) + 20)[1], "• 2 more: b-b (2)");
    }

    /// Messages never exceed the room, whatever the reasons and the room are.
    #[test]
    fn never_more_than_the_room() {
        for (count, what, help) in [(1, 1000, 1000), (2, 1000, 0), (300, 0, 0), (70, 300, 300), (5, 90, 90)] {
            let reasons = |others: usize| -> Vec<Reason> {
                let others = vec![format!("container {:?}", "c".repeat(63)); others];
                let reasons = (0..count).map(|index| reason(&format!("p-{index}"), what, help));
                reasons.map(|reason| Reason { others: others.clone(), ..reason }).collect()
            };
            for room in [200, 300, 480, 600, 900] {
                for (more, others) in [(&[][..], 0), (&[("p-0", 7)], 0), (&[], 1), (&[], 70)] {
                    let reasons = reasons(others);
                    let bullets = bullets(&reasons, more, room);
                    assert!(total(&bullets) <= room && !bullets.is_empty(), "{count} in {room}: {bullets:#?}");
                    assert!(bullets[0].starts_with("• p-0: "));
                }
            }
        }
    }
}
