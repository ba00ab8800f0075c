//! Pages of lists: `page[number]` from 1, `page[size]` 20 by default and at most 100 (larger is clamped).

/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Counted from 1.
    pub number: u32,
    /// Items on a page, 1 to 100.
    pub size: u32,
}

impl Default for Page {
    fn default() -> Self {
        Self { number: 1, size: 20 }
    }
}

impl Page {
    /// A page as asked by a client; out-of-range values are brought into range.
    pub fn new(number: u32, size: u32) -> Self {
        Self { number: number.max(1), size: size.clamp(1, 100) }
    }

    /// For `LIMIT`.
    pub fn limit(self) -> i64 {
        i64::from(self.size)
    }

    /// The length of the whole list, where this page tells it because it is not full: so many items on it end the list.
    /// A page beyond the end tells nothing.
    pub fn total_of(self, items: usize) -> Option<i64> {
        let items = i64::try_from(items).ok()?;
        let ends = items < self.limit() && (items > 0 || self.number == 1);
        ends.then(|| self.offset() + items)
    }

    /// For `OFFSET`.
    pub fn offset(self) -> i64 {
        i64::from(self.number - 1) * i64::from(self.size)
    }
}

/// One page of a list with the length of the whole.
#[derive(Clone, Debug)]
pub struct Paged<T> {
    /// The items of this page, in order.
    pub items: Vec<T>,
    /// What was asked.
    pub page: Page,
    /// Items in the whole list; `None` where the list is too long to be counted for each request.
    pub total: Option<i64>,
}
