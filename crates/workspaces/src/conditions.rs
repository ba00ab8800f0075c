//! What a list asks of the database: conditions, and the values that stand in them.

use authz::{Grants, Visible};
use db::Arg;

/// Conditions that must all hold. A value is given once and gets a mark (`$1`), which may stand in several places.
#[derive(Debug)]
pub struct Conditions {
    texts: Vec<String>,
    values: Vec<Arg>,
}

impl Conditions {
    /// None yet.
    pub fn none() -> Self {
        Self { texts: vec![], values: vec![] }
    }

    /// `column` has this value.
    pub fn of(column: &str, value: impl Into<Arg>) -> Self {
        let mut conditions = Self::none();
        let mark = conditions.mark(value);
        conditions.require(format!("{column} = {mark}"));
        conditions
    }

    /// The mark that stands for a value.
    pub fn mark(&mut self, value: impl Into<Arg>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    /// The marks of several, for `IN (…)`. Of none it is `NULL`, and `IN (NULL)` holds for nothing.
    pub fn marks<V: Into<Arg>>(&mut self, values: impl IntoIterator<Item = V>) -> String {
        let marks: Vec<String> = values.into_iter().map(|value| self.mark(value)).collect();
        if marks.is_empty() { "NULL".to_owned() } else { marks.join(", ") }
    }

    /// Another one.
    pub fn require(&mut self, text: String) {
        self.texts.push(text);
    }

    /// `column` has this text somewhere in it, whatever the case of the letters.
    pub fn contains(&mut self, column: &str, text: &str) {
        self.like(column, format!("%{}%", escape_like(&text.to_lowercase())));
    }

    /// `column`, in lower case, is like this pattern, whose escape is `\`.
    pub fn like(&mut self, column: &str, pattern: String) {
        let mark = self.mark(pattern);
        self.require(format!("LOWER({column}) LIKE {mark} ESCAPE '\\'"));
    }

    /// What rows of `workspaces w` must fulfil for the caller to see them; `None` when they see all.
    pub fn visible(&mut self, grants: &Grants) -> Option<String> {
        let Visible::Of { workspaces, projects } = grants.visible() else { return None };
        let (ids, groups) = (self.marks(workspaces), self.marks(projects));
        Some(format!("(w.id IN ({ids}) OR w.project_id IN ({groups}))"))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.texts.len()
    }

    /// All of them, for `WHERE`.
    pub fn text(&self) -> String {
        if self.texts.is_empty() { "TRUE".to_owned() } else { self.texts.join(" AND ") }
    }

    /// The values, in the order of their marks.
    pub fn values(&self) -> Vec<Arg> {
        self.values.clone()
    }
}

/// Text to be found as it is inside a LIKE pattern with `\` as its escape.
pub(crate) fn escape_like(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}
