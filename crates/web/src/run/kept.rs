//! What was made of something that does not change, kept for the next who asks.

use std::sync::{Arc, Mutex, PoisonError};

/// The newest few, up to so many bytes. The oldest goes first.
pub(super) struct Kept<T> {
    items: Mutex<Vec<Item<T>>>,
    most: usize,
    bytes: usize,
}

struct Item<T> {
    key: String,
    value: Arc<T>,
    bytes: usize,
}

impl<T> Kept<T> {
    /// Keeps at most `most`, and at most `bytes`.
    pub(super) const fn new(most: usize, bytes: usize) -> Self {
        Self { items: Mutex::new(Vec::new()), most, bytes }
    }

    pub(super) fn find(&self, key: &str) -> Option<Arc<T>> {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        let place = items.iter().position(|item| item.key == key)?;
        let item = items.remove(place);
        let value = item.value.clone();
        items.push(item);
        Some(value)
    }

    /// Keeps a value under its key in place of what is there.
    pub(super) fn keep(&self, key: &str, value: Arc<T>, bytes: usize) {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        items.retain(|item| item.key != key);
        if bytes > self.bytes {
            return;
        }
        items.push(Item { key: key.to_owned(), value, bytes });
        while items.len() > self.most || items.iter().map(|item| item.bytes).sum::<usize>() > self.bytes {
            items.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_least_recently_makes_room() {
        let kept = Kept::new(2, 100);
        kept.keep("a", Arc::new(1), 10);
        kept.keep("b", Arc::new(2), 10);
        assert!(kept.find("a").is_some());
        kept.keep("c", Arc::new(3), 10);
        assert_eq!((kept.find("a").as_deref(), kept.find("b").as_deref()), (Some(&1), None));
        kept.keep("d", Arc::new(4), 95);
        assert!(kept.find("a").is_none() && kept.find("d").is_some());
        kept.keep("e", Arc::new(5), 101);
        assert!(kept.find("e").is_none());
    }
}
