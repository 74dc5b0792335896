//! Words that must not stand in the repository: folders of one machine.

use super::Complaint;
use super::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Complaint> {
    // Put together here, so that this file does not accuse itself.
    let forbidden = [["/wo", "rk/"].concat(), ["/tmp/", "brief"].concat()];
    let mut complaints = Vec::new();
    for (path, text) in tree.files() {
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(word) = forbidden.iter().find(|word| stands_in(line, word)) {
                let text = format!("{word} is a folder of one machine; name it relative to the repository");
                complaints.push(Complaint::new(path, number, text));
            }
        }
    }
    complaints
}

/// As an absolute path, not as a part of a longer one.
fn stands_in(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|before| !(before.is_alphanumeric() || "._-/}*>~".contains(before)))
    })
}
