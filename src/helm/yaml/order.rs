//! go-yaml's order of keys: numbers within them count as numbers, and letters come behind all else.

use std::cmp::Ordering;

use unicode_general_category::{GeneralCategory, get_general_category};

use super::Dialect;

/// Runs of this length and less are sorted by insertion.
const SHORT: usize = 12;

/// Sorts entries, which come in byte order of their keys. The order of go-yaml is not transitive for some keys (`v1`,
/// `v10`, `v1alpha1`); Go's result is then by chance, ours is one of the possible.
pub(super) fn sort_natural<T: Copy>(entries: &mut [(&[u8], T)], dialect: Dialect) {
    let less = |a: &[u8], b: &[u8]| less(a, b, dialect);
    if entries.windows(2).all(|pair| !less(pair[1].0, pair[0].0)) {
        return;
    }
    merge_sort(entries, &less);
}

/// A sort that copes with an order that is none, as the standard library's does not.
fn merge_sort<T: Copy>(entries: &mut [(&[u8], T)], less: &impl Fn(&[u8], &[u8]) -> bool) {
    if entries.len() <= SHORT {
        for end in 1..entries.len() {
            let mut at = end;
            while at > 0 && less(entries[at].0, entries[at - 1].0) {
                entries.swap(at, at - 1);
                at -= 1;
            }
        }
        return;
    }
    let middle = entries.len() / 2;
    merge_sort(&mut entries[..middle], less);
    merge_sort(&mut entries[middle..], less);
    let left = entries[..middle].to_vec();
    let (mut l, mut r) = (0, middle);
    for at in 0..entries.len() {
        if l == left.len() {
            return;
        }
        if r < entries.len() && less(entries[r].0, left[l].0) {
            entries[at] = entries[r];
            r += 1;
        } else {
            entries[at] = left[l];
            l += 1;
        }
    }
}

fn less(a: &[u8], b: &[u8], dialect: Dialect) -> bool {
    if a.is_ascii() && b.is_ascii() {
        let at = a.iter().zip(b).position(|(a, b)| a != b);
        return at.map_or(a.len() < b.len(), |at| {
            let chars = |text: &[u8]| text.iter().map(|&b| char::from(b)).collect::<Vec<_>>();
            match (a[at], b[at]) {
                (x, y) if x.is_ascii_alphabetic() && y.is_ascii_alphabetic() => x < y,
                _ => less_at(&chars(a), &chars(b), at, dialect),
            }
        });
    }
    let chars = |text: &[u8]| String::from_utf8_lossy(text).chars().collect::<Vec<_>>();
    let (a, b) = (chars(a), chars(b));
    let at = a.iter().zip(&b).position(|(a, b)| a != b);
    at.map_or(a.len() < b.len(), |at| less_at(&a, &b, at, dialect))
}

/// Compares keys that first differ at `at`.
fn less_at(a: &[char], b: &[char], at: usize, dialect: Dialect) -> bool {
    match (is_letter(a[at]), is_letter(b[at])) {
        (true, true) => return a[at] < b[at],
        (false, false) => {}
        (a_letter, b_letter) => {
            // Behind a number, v3 puts letters first.
            let after_digit = dialect == Dialect::V3 && at > 0 && is_digit(a[at - 1]);
            return if after_digit { a_letter } else { b_letter };
        }
    }
    let digits_before = a[..at].iter().rev().take_while(|&&c| is_digit(c));
    let zero = a[at] == '0' || b[at] == '0';
    let start = i64::from(zero && digits_before.into_iter().any(|&c| c != '0'));
    let (a_number, a_end) = number(a, at, start);
    let (b_number, b_end) = number(b, at, start);
    match a_number.cmp(&b_number).then(a_end.cmp(&b_end)) {
        Ordering::Equal => a[at] < b[at],
        order => order == Ordering::Less,
    }
}

fn number(text: &[char], at: usize, start: i64) -> (i64, usize) {
    let digits = text[at..].iter().take_while(|&&c| is_digit(c));
    let (mut value, mut end) = (start, at);
    for &digit in digits {
        value = value.wrapping_mul(10).wrapping_add(i64::from(u32::from(digit)) - i64::from(b'0'));
        end += 1;
    }
    (value, end)
}

fn is_letter(c: char) -> bool {
    use GeneralCategory::{LowercaseLetter, ModifierLetter, OtherLetter, TitlecaseLetter, UppercaseLetter};
    if c.is_ascii() {
        return c.is_ascii_alphabetic();
    }
    matches!(
        get_general_category(c),
        LowercaseLetter | ModifierLetter | OtherLetter | TitlecaseLetter | UppercaseLetter
    )
}

fn is_digit(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_digit() } else { get_general_category(c) == GeneralCategory::DecimalNumber }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted<'k>(keys: &[&'k str], dialect: Dialect) -> Vec<&'k str> {
        let mut entries: Vec<(&[u8], &str)> = keys.iter().map(|k| (k.as_bytes(), *k)).collect();
        sort_natural(&mut entries, dialect);
        entries.into_iter().map(|(_, key)| key).collect()
    }

    #[test]
    fn numbers_within_keys_are_compared_as_numbers() {
        assert_eq!(sorted(&["a1", "a10", "a2"], Dialect::V2), ["a1", "a2", "a10"]);
        assert_eq!(sorted(&["A", "a", "_", "1"], Dialect::V2), ["_", "1", "A", "a"]);
    }

    #[test]
    fn many_keys_of_no_order_are_sorted_without_a_panic() {
        let keys: Vec<String> = (0..200).map(|i| format!("v{i}{}", ["", "alpha1", "beta", "-x"][i % 4])).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        assert_eq!(sorted(&keys, Dialect::V2).len(), keys.len());
    }
}
