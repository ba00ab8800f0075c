//! Which elements of an old list belong to which of a new one.

use serde_json::Value;

/// Longer lists are not compared element by element: the table would take too much memory.
const LONGEST_TABLE: usize = 4_000_000;

/// Old index and new index; one of them is missing where an element is only on one side.
pub(super) type Pairs = Vec<(Option<usize>, Option<usize>)>;

/// Pairs elements at the same place.
pub(super) fn by_index(before: usize, after: usize) -> Pairs {
    let within = |index, length| (index < length).then_some(index);
    (0..before.max(after)).map(|index| (within(index, before), within(index, after))).collect()
}

/// Pairs the elements of a longest common subsequence; what is left stands alone, old before new.
pub(super) fn align(before: &[Value], after: &[Value]) -> Pairs {
    let (n, m) = (before.len(), after.len());
    if n.saturating_mul(m) > LONGEST_TABLE {
        return (0..n).map(|old| (Some(old), None)).chain((0..m).map(|new| (None, Some(new)))).collect();
    }
    // longest[i][j]: length for before[i..] and after[j..].
    let mut longest = vec![vec![0_u32; m + 1]; n + 1];
    for i in (0..n).rev() {
        for j in (0..m).rev() {
            longest[i][j] = if before[i] == after[j] {
                longest[i + 1][j + 1] + 1
            } else {
                longest[i + 1][j].max(longest[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, vec![]);
    while i < n || j < m {
        if i < n && j < m && before[i] == after[j] {
            pairs.push((Some(i), Some(j)));
            (i, j) = (i + 1, j + 1);
        } else if i < n && (j == m || longest[i + 1][j] >= longest[i][j + 1]) {
            pairs.push((Some(i), None));
            i += 1;
        } else {
            pairs.push((None, Some(j)));
            j += 1;
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_common_is_paired_and_the_rest_stands_alone() {
        let list = |text: &str| text.chars().map(|c| Value::from(c.to_string())).collect::<Vec<_>>();
        let pairs = align(&list("abcd"), &list("axcy"));
        let expected = [
            (Some(0), Some(0)),
            (Some(1), None),
            (None, Some(1)),
            (Some(2), Some(2)),
            (Some(3), None),
            (None, Some(3)),
        ];
        assert_eq!(pairs, expected);
        assert_eq!(align(&[], &list("a")), [(None, Some(0))]);
        assert_eq!(by_index(1, 2), [(Some(0), Some(0)), (None, Some(1))]);
    }

    #[test]
    fn lists_that_are_too_long_are_not_compared() {
        let long = vec![Value::Null; 2001];
        assert_eq!(align(&long, &long).len(), 4002);
    }
}
