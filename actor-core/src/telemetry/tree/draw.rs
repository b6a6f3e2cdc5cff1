//! The tree with box characters.
//!
//! Names come from users and may hold anything: control characters are escaped and long ones cut, so
//! that one actor stays one line whatever it is called.

use std::fmt;

use super::{SupervisionTree, TreeNode};
use crate::cell::ActorSnapshot;

/// The longest name and type in a line, in characters.
const WORD_MAX: usize = 48;

impl fmt::Display for SupervisionTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.alive == 1 { "" } else { "s" };
        write!(f, "actor system: {} actor{plural}", grouped(self.alive))?;
        let last = self.last_of_their_parents();
        // Whether the ancestor at each depth has a later sibling, and so its line goes on.
        let mut goes_on: Vec<bool> = Vec::new();
        let mut open: Vec<(usize, usize)> = Vec::new();
        for (at, node) in self.nodes.iter().enumerate() {
            close(f, &mut open, &goes_on, node.depth)?;
            goes_on.truncate(node.depth);
            f.write_str("\n")?;
            indent(f, &goes_on)?;
            let hidden_beside = match open.last() {
                Some(&(depth, _)) => depth == node.depth,
                None => node.depth == 0 && self.hidden > 0,
            };
            let more_below = !last[at] || hidden_beside;
            f.write_str(if more_below { "├─ " } else { "└─ " })?;
            line(f, node)?;
            goes_on.push(more_below);
            let shown = self
                .nodes
                .get(at + 1)
                .is_some_and(|next| next.depth > node.depth);
            match (node.hidden_children, shown) {
                (0, _) => {}
                // Their own line, below the last child that is shown.
                (hidden, true) => open.push((node.depth + 1, hidden)),
                (1, false) => f.write_str(", 1 child")?,
                (hidden, false) => write!(f, ", {} children", grouped(hidden as u64))?,
            }
        }
        close(f, &mut open, &goes_on, 0)?;
        if self.hidden > 0 {
            write!(f, "\n└─ … and {} more", grouped(self.hidden as u64))?;
        }
        Ok(())
    }
}

impl SupervisionTree {
    /// For each node whether no sibling comes after it.
    fn last_of_their_parents(&self) -> Vec<bool> {
        let mut last = vec![true; self.nodes.len()];
        // Whether a node of that depth was met since the last one of a lesser depth, from behind.
        let mut met: Vec<bool> = Vec::new();
        for (at, node) in self.nodes.iter().enumerate().rev() {
            met.truncate(node.depth + 1);
            met.resize(node.depth + 1, false);
            last[at] = !std::mem::replace(&mut met[node.depth], true);
        }
        last
    }
}

/// Writes the "and more" lines of parents whose last shown child has been written.
fn close(
    f: &mut fmt::Formatter<'_>,
    open: &mut Vec<(usize, usize)>,
    goes_on: &[bool],
    depth: usize,
) -> fmt::Result {
    while let Some(&(at, hidden)) = open.last() {
        if at <= depth {
            break;
        }
        open.pop();
        f.write_str("\n")?;
        indent(f, &goes_on[..at])?;
        write!(f, "└─ … and {} more", grouped(hidden as u64))?;
    }
    Ok(())
}

fn indent(f: &mut fmt::Formatter<'_>, goes_on: &[bool]) -> fmt::Result {
    for on in goes_on {
        f.write_str(if *on { "│  " } else { "   " })?;
    }
    Ok(())
}

fn line(f: &mut fmt::Formatter<'_>, node: &TreeNode) -> fmt::Result {
    let Some(seen) = &node.seen else {
        return write!(f, "{} busy: did not answer in time", node.actor);
    };
    if let Some(name) = &seen.name {
        write!(f, "{} ", word(name))?;
    }
    write!(
        f,
        "{} {} {}",
        word(&short_type(seen.actor_type)),
        node.actor,
        seen.phase
    )?;
    details(f, seen)
}

fn details(f: &mut fmt::Formatter<'_>, seen: &ActorSnapshot) -> fmt::Result {
    if seen.child_count > 0 {
        write!(
            f,
            ", {}",
            snake_case(&format!("{:?}", seen.supervision.strategy))
        )?;
    }
    match seen.restarts {
        0 => {}
        1 => f.write_str(", 1 restart")?,
        restarts => write!(f, ", {} restarts", grouped(restarts))?,
    }
    match (seen.queued, seen.capacity) {
        (0, _) => {}
        (queued, Some(capacity)) => write!(f, ", queue {queued}/{capacity}")?,
        (queued, None) => write!(f, ", queue {}", grouped(queued as u64))?,
    }
    match seen.handling {
        Some(message) => write!(f, ", awaits in {}", word(&short_type(message))),
        None => Ok(()),
    }
}

/// A type's name without the paths: `Cache<String>`.
pub(crate) fn short_type(full: &str) -> String {
    let mut short = String::new();
    let mut segment = 0;
    let mut letters = full.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter == ':' && letters.peek() == Some(&':') {
            letters.next();
            short.truncate(segment);
        } else {
            short.push(letter);
            if !letter.is_alphanumeric() && letter != '_' {
                segment = short.len();
            }
        }
    }
    short
}

/// What users wrote, on one line and not too long.
fn word(text: &str) -> String {
    let mut word = String::new();
    for (at, letter) in text.chars().enumerate() {
        if at == WORD_MAX {
            word.push('…');
            break;
        }
        if letter.is_control() {
            word.extend(letter.escape_default());
        } else {
            word.push(letter);
        }
    }
    word
}

/// `OneForAll` as `one_for_all`.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

/// `999,950`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
