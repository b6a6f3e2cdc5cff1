//! The kernel's list format: `0-2,5-6,10`, used for CPUs and NUMA nodes alike.
//!
//! An empty list is an empty line, or the word `(null)` that 6.1 kernels print for a mask that was
//! never set. The text may come from a file anybody wrote, so a range is checked before it is
//! expanded: `0-4294967295` is refused, not allocated.

use std::error::Error;
use std::fmt::{self, Write as _};

/// The largest number of CPUs a list may speak of: the largest `CONFIG_NR_CPUS` of any
/// architecture (x86, `MAXSMP`). Numbers are below it.
pub const CPUS_MAX: u32 = 8192;

/// The numbers of a list, ascending and without repetition.
///
/// Numbers must be below `limit`. Ranges with a stride (`0-31:2/4`), which the kernel accepts but
/// never prints, are refused.
///
/// # Errors
///
/// [`CpuListError`] when an item is no number or range, a range runs backwards, or a number
/// is not below `limit`.
///
/// # Examples
///
/// ```
/// use actor_core::topology::cpu_list;
///
/// assert_eq!(cpu_list::parse("0-2,5\n", 8).unwrap(), [0, 1, 2, 5]);
/// assert_eq!(cpu_list::parse("\n", 8).unwrap(), []);
/// assert!(cpu_list::parse("0-4294967295", 8).is_err());
/// ```
pub fn parse(text: &str, limit: u32) -> Result<Vec<u32>, CpuListError> {
    let text = text.trim();
    if text.is_empty() || text == "(null)" {
        return Ok(Vec::new());
    }
    let mut ranges = Vec::new();
    for item in text.split(',') {
        let item = item.trim();
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let (first, last) = (number(first, item, limit)?, number(last, item, limit)?);
        if first > last {
            return Err(CpuListError::new(item, limit, Problem::Backwards));
        }
        ranges.push((first, last));
    }
    // Sorted first and expanded without overlap, so that a file that repeats `0-8191` a million
    // times costs a sort and not eight thousand million numbers.
    ranges.sort_unstable();
    let mut numbers = Vec::new();
    let mut next = 0;
    for (first, last) in ranges {
        numbers.extend(first.max(next)..=last);
        next = next.max(last + 1);
    }
    Ok(numbers)
}

/// The shortest list for `numbers`, in any order; the empty string for none.
///
/// # Examples
///
/// ```
/// use actor_core::topology::cpu_list;
///
/// assert_eq!(cpu_list::format([5, 0, 1, 2]), "0-2,5");
/// ```
pub fn format(numbers: impl IntoIterator<Item = u32>) -> String {
    let mut numbers: Vec<u32> = numbers.into_iter().collect();
    numbers.sort_unstable();
    numbers.dedup();
    let mut text = String::new();
    for run in numbers.chunk_by(|a, b| a + 1 == *b) {
        let comma = if text.is_empty() { "" } else { "," };
        // Writing to a `String` cannot fail.
        let _ = match run {
            [one] => write!(text, "{comma}{one}"),
            run => write!(text, "{comma}{}-{}", run[0], run[run.len() - 1]),
        };
    }
    text
}

/// A list that is not one, or that speaks of numbers that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuListError {
    item: String,
    limit: u32,
    problem: Problem,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    NotANumber,
    Backwards,
    TooLarge,
}

impl CpuListError {
    fn new(item: &str, limit: u32, problem: Problem) -> Self {
        // The text may be a whole file of garbage: keep what a line of a log can hold.
        let item = item.chars().take(ITEM_SHOWN).collect();
        Self {
            item,
            limit,
            problem,
        }
    }
}

impl fmt::Display for CpuListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { item, limit, .. } = self;
        match self.problem {
            Problem::NotANumber => write!(f, "`{item}` is neither a number nor a range"),
            Problem::Backwards => write!(f, "range `{item}` runs backwards"),
            Problem::TooLarge => {
                let last = limit.saturating_sub(1);
                write!(f, "`{item}` is out of range, numbers are 0 to {last}")
            }
        }
    }
}

impl Error for CpuListError {}

fn number(digits: &str, item: &str, limit: u32) -> Result<u32, CpuListError> {
    // `u32::from_str` takes a leading `+`, the kernel does not.
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(CpuListError::new(item, limit, Problem::NotANumber));
    }
    // Digits that do not parse are too many of them.
    match digits.parse::<u32>() {
        Ok(number) if number < limit => Ok(number),
        _ => Err(CpuListError::new(item, limit, Problem::TooLarge)),
    }
}

const ITEM_SHOWN: usize = 40;

#[cfg(test)]
mod tests;
