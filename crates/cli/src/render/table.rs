//! Aligned tables and lists of facts.

use crate::render::Style;

/// Rows below a heading, with columns as wide as their widest cell. Cells come dressed or plain; colours take no room.
#[derive(Debug)]
pub struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: vec![] }
    }

    /// Adds a row of as many cells as the heading has.
    pub fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.head.len(), "a row has a cell for each column");
        self.rows.push(cells);
    }

    /// All of it, without a last line break. The last column is never filled up.
    pub fn render(&self, style: Style) -> String {
        let wide = |column: usize| self.rows.iter().map(|row| width(&row[column])).max().unwrap_or(0);
        let widths: Vec<_> =
            self.head.iter().enumerate().map(|(at, name)| name.len().max(wide(at))).collect();
        let line = |cells: &mut dyn Iterator<Item = String>| {
            let mut line = String::new();
            for (cell, wide) in cells.zip(&widths) {
                line.push_str(&cell);
                line.push_str(&" ".repeat(wide.saturating_sub(width(&cell)) + 2));
            }
            line.trim_end().to_owned()
        };
        let head = line(&mut self.head.iter().map(|name| style.dim(name)));
        let rows = self.rows.iter().map(|row| line(&mut row.iter().cloned()));
        std::iter::once(head).chain(rows).collect::<Vec<_>>().join("\n")
    }
}

/// Names and values below each other, without a last line break; values that are empty are left out.
pub fn facts(style: Style, facts: &[(&str, String)]) -> String {
    let there = || facts.iter().filter(|(_, value)| !value.is_empty());
    let wide = there().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, value): &(&str, String)| {
        let value = value.replace('\n', &format!("\n{}", " ".repeat(wide + 2)));
        format!("{}{}  {value}", style.dim(name), " ".repeat(wide - name.len()))
    };
    there().map(line).collect::<Vec<_>>().join("\n")
}

/// Text of others in one line: control characters are taken out, and what is longer than `most` characters is cut.
pub fn one_line(text: &str, most: usize) -> String {
    let words: Vec<_> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    let text = words.join(" ");
    if text.chars().count() <= most {
        return text;
    }
    let cut: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", cut.trim_end())
}

/// Columns that text takes, without its colours.
fn width(text: &str) -> usize {
    Style::PLAIN.foreign(text).chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_whether_or_not_there_are_colours() {
        for style in [Style::PLAIN, Style { colour: true, width: 80 }] {
            let mut table = Table::new(&["ID", "STATUS", "TEXT"]);
            table.row(vec!["run-1".into(), style.green("applied"), "é".into()]);
            table.row(vec!["r".into(), style.red("no"), String::new()]);
            let shown = table.render(style);
            let plain = Style::PLAIN.foreign(&shown).into_owned();
            assert_eq!(plain, "ID     STATUS   TEXT\nrun-1  applied  é\nr      no");
        }
    }

    #[test]
    fn text_of_others_stays_in_its_line() {
        assert_eq!(one_line("a\n\x1b[2Jb\tc", 80), "a [2Jb c");
        assert_eq!(one_line("abcdef", 4), "abc…");
        assert_eq!(
            facts(Style::PLAIN, &[("a", "1".into()), ("none", String::new()), ("long", "2\n3".into())]),
            "a     1\nlong  2\n      3"
        );
    }
}
