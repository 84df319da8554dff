//! Finds the comments of a document. The parser drops them, but gives the place of every scalar. Outside of scalars, a
//! `#` after a blank always begins a comment.

use std::ops::Range;

use super::tree::{Kind, Style, Tree};

/// Byte ranges of the comments in `text[range]`, in order.
pub(super) fn find(text: &str, range: Range<usize>, tree: &Tree) -> Vec<Range<usize>> {
    let mut scalars: Vec<_> = tree
        .nodes
        .iter()
        .filter_map(|node| match &node.kind {
            // The header of a block scalar may have a comment, but its lines may not.
            Kind::Scalar { style: Style::Literal | Style::Folded, .. } => {
                let body = text[node.start..node.end].find('\n').map_or(node.end, |length| node.start + length);
                Some(body..node.end)
            }
            Kind::Scalar { .. } => Some(node.start..node.end),
            _ => None,
        })
        .filter(|scalar| !scalar.is_empty())
        .collect();
    scalars.sort_by_key(|scalar| scalar.start);

    let mut comments = Vec::new();
    let mut at = range.start;
    for scalar in scalars.into_iter().chain(std::iter::once(tree.end..tree.end)) {
        if at < scalar.start {
            between(text, at..scalar.start, range.start, &mut comments);
        }
        at = at.max(scalar.end);
    }
    comments
}

fn between(text: &str, range: Range<usize>, first: usize, comments: &mut Vec<Range<usize>>) {
    let mut at = range.start;
    while let Some(found) = text[at..range.end].find('#') {
        let start = at + found;
        let blank_before = start == first || text[..start].ends_with([' ', '\t', '\n', '\r', '\u{feff}']);
        if !blank_before {
            at = start + 1;
            continue;
        }
        let line = text[start..range.end].find(['\n', '\r']).map_or(range.end, |length| start + length);
        comments.push(start..line);
        at = line;
    }
}
