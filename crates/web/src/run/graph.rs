//! What changes as a picture: boxes for resources, lines from what is referred to to what refers.
//!
//! All instances of a resource are one box. Resources that do not change are left out, and what refers to a change through
//! them is joined to it. Those that nothing joins stand below.

use super::{
    frame,
    layers::layers,
    model::Whole,
    plan::{Action, Change, Plan},
    tree::contains,
};
use crate::{
    answer::Answer,
    visit::{Visit, segment},
};
use http_api::Result;
use kernel::address::without_keys;
use maud::{Markup, html};
use std::collections::{BTreeMap, BTreeSet};

/// Boxes of a picture; with more, nobody sees anything in it.
const MOST: usize = 200;
const WIDTH: usize = 232;
const HEIGHT: usize = 46;
const BETWEEN: usize = 18;
const GAP: usize = 88;
const EDGE: usize = 12;
/// Letters of a label.
const LETTERS: usize = 27;
/// Boxes beside each other where nothing joins them.
const BESIDE: usize = 4;

/// A resource with its changes.
struct Node<'a> {
    address: String,
    changes: Vec<&'a Change>,
}

impl Node<'_> {
    /// The gravest of its changes.
    fn action(&self) -> Action {
        let gravity = |action: &Action| match action {
            Action::Delete => 6,
            Action::Replace | Action::CreateBeforeDestroy => 5,
            Action::Update => 4,
            Action::Create => 3,
            Action::Forget => 2,
            Action::Read => 1,
            Action::NoOp => 0,
        };
        self.changes.iter().map(|change| change.action).max_by_key(gravity).unwrap_or(Action::NoOp)
    }

    /// How many of its instances do what.
    fn counts(&self) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for change in &self.changes {
            let what = match change.action {
                Action::NoOp if change.importing.is_some() => "import",
                Action::NoOp => "move",
                Action::Delete => "destroy",
                action => action.name(),
            };
            *counts.entry(what).or_default() += 1;
        }
        let one = self.changes.len() == 1;
        let words: Vec<String> = counts
            .into_iter()
            .map(|(what, count)| if one { what.to_owned() } else { format!("{count} {what}") })
            .collect();
        words.join(", ")
    }

    /// Its own name, and the module that it is in.
    fn names(&self) -> (&str, &str) {
        let module = without_keys(&self.changes[0].module).len();
        match module {
            0 => (&self.address, ""),
            _ => (&self.address[module + 1..], &self.address[..module]),
        }
    }
}

/// The resources that change, of those in whose address a text is.
fn nodes<'a>(plan: &'a Plan, text: &str) -> Vec<Node<'a>> {
    let mut all: BTreeMap<String, Vec<&Change>> = BTreeMap::new();
    for change in plan.told() {
        all.entry(without_keys(&change.address)).or_default().push(change);
    }
    let all = all.into_iter().filter(|(address, _)| text.is_empty() || contains(address, text));
    all.map(|(address, changes)| Node { address, changes }).collect()
}

/// From what is referred to to what refers, by their places among the nodes.
fn edges(nodes: &[Node<'_>], dependencies: &BTreeMap<String, Vec<String>>) -> Vec<(usize, usize)> {
    let places: BTreeMap<&str, usize> =
        nodes.iter().enumerate().map(|(n, node)| (node.address.as_str(), n)).collect();
    let mut edges = Vec::new();
    for (to, node) in nodes.iter().enumerate() {
        let mut seen: BTreeSet<&str> = BTreeSet::from([node.address.as_str()]);
        let mut open = vec![node.address.as_str()];
        while let Some(at) = open.pop() {
            for other in dependencies.get(at).into_iter().flatten().map(String::as_str) {
                if !seen.insert(other) {
                    continue;
                }
                match places.get(other) {
                    Some(from) => edges.push((*from, to)),
                    // It does not change: what it refers to may.
                    None => open.push(other),
                }
            }
        }
    }
    edges.sort_unstable();
    edges
}

/// The page.
pub(super) async fn show(visit: Visit) -> Result<Answer> {
    let whole = Whole::read(&visit).await?;
    let plan = super::plan_of(&visit, &whole).await?;
    let base = super::path(&visit);
    let text = visit.query("q").unwrap_or_default();
    let body = html! {
        (super::beside(&base, &whole, "Graph"))
        section.panel aria-labelledby="graph-title" {
            div.between {
                h2 #graph-title { "What changes, and what it refers to" }
                (legend())
            }
            @match plan.as_deref() {
                None => p.muted { "There is no plan yet. Once it is made, its changes are drawn here." },
                Some(plan) => (picture(plan, &base, text.trim())),
            }
        }
    };
    Ok(frame(&visit, &whole, &body))
}

fn legend() -> Markup {
    html! {
        ul.legend {
            @for (class, words) in [("create", "create"), ("update", "update"), ("replace", "replace"), ("delete", "destroy"), ("read", "read")] {
                li class=(class) { (words) }
            }
        }
    }
}

fn picture(plan: &Plan, base: &str, text: &str) -> Markup {
    let mut nodes = nodes(plan, text);
    let all = nodes.len();
    nodes.truncate(MOST);
    let edges = plan.dependencies.as_ref().map(|dependencies| edges(&nodes, dependencies));
    html! {
        form.search method="get" action={ (base) "/graph" } role="search" {
            input type="search" name="q" value=(text) placeholder="Only addresses with…" aria-label="Only addresses with" data-search;
        }
        @if all > MOST {
            p.note { "The picture has " (MOST) " of " (all) " resources: with more, there is nothing to be seen in it. Search for a module or a type to see others." }
        }
        @if edges.is_none() {
            p.note { "This plan was made by an earlier version of Ferroform, which did not keep what refers to what. Start a new run to see it." }
        }
        @if nodes.is_empty() {
            p.muted { @if text.is_empty() { "Nothing changes, so there is nothing to draw." } @else { "No change is like that." } }
        } @else {
            @let edges = edges.unwrap_or_default();
            div.graph tabindex="0" role="region" aria-label="Graph" { (drawn(&nodes, &edges, base)) }
            (list(&nodes, &edges))
        }
    }
}

/// The same in words.
fn list(nodes: &[Node<'_>], edges: &[(usize, usize)]) -> Markup {
    html! {
        @if !edges.is_empty() {
            details {
                summary { "As a list" }
                ul.refers {
                    @for group in by_referrer(edges) {
                        li {
                            code { (nodes[group.0].address) } " refers to "
                            @for (n, other) in group.1.iter().enumerate() { @if n > 0 { ", " } code { (nodes[*other].address) } }
                        }
                    }
                }
            }
        }
    }
}

fn by_referrer(edges: &[(usize, usize)]) -> BTreeMap<usize, Vec<usize>> {
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (from, to) in edges {
        groups.entry(*to).or_default().push(*from);
    }
    groups
}

fn drawn(nodes: &[Node<'_>], edges: &[(usize, usize)], base: &str) -> Markup {
    let joined: BTreeSet<usize> = edges.iter().flat_map(|(from, to)| [*from, *to]).collect();
    let joined: Vec<usize> = joined.into_iter().collect();
    let place = |node: &usize| joined.binary_search(node).expect("it is one of those that are joined");
    let inner: Vec<(usize, usize)> = edges.iter().map(|(from, to)| (place(from), place(to))).collect();
    let found = layers(joined.len(), &inner);
    let tallest = found.sizes.iter().max().copied().unwrap_or(0);
    let point = |(layer, at): (usize, usize)| {
        // Each layer in the middle of the tallest.
        let above = (tallest - found.sizes[layer]) * (HEIGHT + BETWEEN) / 2;
        (EDGE + layer * (WIDTH + GAP), EDGE + above + at * (HEIGHT + BETWEEN))
    };
    let alone: Vec<usize> = (0..nodes.len()).filter(|node| joined.binary_search(node).is_err()).collect();
    let below = if tallest == 0 { EDGE } else { 2 * EDGE + tallest * (HEIGHT + BETWEEN) };
    let beside = |n: usize| (EDGE + n % BESIDE * (WIDTH + BETWEEN), below + n / BESIDE * (HEIGHT + BETWEEN));
    let wide = |count: usize, gap: usize| if count == 0 { 0 } else { 2 * EDGE + count * (WIDTH + gap) - gap };
    let width = wide(found.sizes.len(), GAP).max(wide(alone.len().min(BESIDE), BETWEEN));
    let height = below + alone.len().div_ceil(BESIDE) * (HEIGHT + BETWEEN);
    html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) } aria-label="Graph of what changes" {
            @for (from, to, passed) in &found.edges {
                @let passed: Vec<_> = passed.iter().map(|place| point(*place)).collect();
                path.edge d=(line(point(found.places[*from]), &passed, point(found.places[*to]))) {}
            }
            @for (n, node) in joined.iter().enumerate() { (boxed(&nodes[*node], point(found.places[n]), base)) }
            @for (n, node) in alone.iter().enumerate() { (boxed(&nodes[*node], beside(n), base)) }
        }
    }
}

/// A line from the right of one box to the left of another, straight through the layers between.
fn line(from: (usize, usize), passed: &[(usize, usize)], to: (usize, usize)) -> String {
    let middle = HEIGHT / 2;
    let (mut x, mut y) = (from.0 + WIDTH, from.1 + middle);
    let mut path = format!("M{x} {y}");
    for (n, next) in passed.iter().chain([&to]).enumerate() {
        let (to_x, to_y) = (next.0, next.1 + middle);
        let bend = (to_x - x) / 2;
        path.push_str(&format!("C{} {y} {} {to_y} {to_x} {to_y}", x + bend, to_x - bend));
        (x, y) = (to_x, to_y);
        if n < passed.len() {
            x += WIDTH;
            path.push_str(&format!("H{x}"));
        }
    }
    path
}

fn boxed(node: &Node<'_>, (x, y): (usize, usize), base: &str) -> Markup {
    let (name, module) = node.names();
    let counts = node.counts();
    let below = if module.is_empty() { counts.clone() } else { format!("{counts} · {module}") };
    html! {
        a href={ (base) "?q=" (segment(&node.address)) "#plan" } class={ "node " (node.action().name()) } {
            title { (node.address) ": " (counts) }
            rect x=(x) y=(y) width=(WIDTH) height=(HEIGHT) rx="7" {}
            rect.mark x=(x) y=(y) width="5" height=(HEIGHT) rx="2.5" {}
            text.name x=(x + 16) y=(y + 20) { (short(name)) }
            text.below x=(x + 16) y=(y + 36) { (short(&below)) }
        }
    }
}

/// A label that fits, without its middle where it is too long.
fn short(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= LETTERS {
        return text.to_owned();
    }
    let (head, tail) = (LETTERS / 2, LETTERS - LETTERS / 2 - 1);
    letters[..head].iter().chain(['…'].iter()).chain(&letters[letters.len() - tail..]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::plan::tests::plan;
    use serde_json::json;

    #[test]
    fn instances_are_one_box_and_what_does_not_change_joins_what_does() {
        let plan = plan(&[
            ("t.net", "", &["update"], json!({})),
            ("t.same", "", &["no-op"], json!({})),
            ("module.m[\"a.b\"].t.vm[0]", "module.m[\"a.b\"]", &["create"], json!({})),
            ("module.m[\"a.b\"].t.vm[1]", "module.m[\"a.b\"]", &["delete"], json!({})),
        ]);
        let nodes = nodes(&plan, "");
        assert_eq!(nodes.len(), 2);
        assert_eq!(nodes[0].names(), ("t.vm", "module.m"));
        assert_eq!((nodes[0].action().name(), nodes[0].counts().as_str()), ("delete", "1 create, 1 destroy"));
        let refers =
            |own: &str, others: &[&str]| (own.to_owned(), others.iter().map(|s| (*s).to_owned()).collect());
        let dependencies =
            BTreeMap::from([refers("module.m.t.vm", &["t.same"]), refers("t.same", &["t.net"])]);
        assert_eq!(edges(&nodes, &dependencies), [(1, 0)]);
        let drawn = drawn(&nodes, &edges(&nodes, &dependencies), "/run").into_string();
        assert!(drawn.contains("M244 35C288 35 288 35 332 35"), "{drawn}");
        assert!(drawn.contains("href=\"/run?q=module.m.t.vm#plan\""), "{drawn}");
    }

    #[test]
    fn a_long_label_keeps_its_beginning_and_its_end() {
        assert_eq!(short("aws_security_group.the_one_of_the_balancer"), "aws_security_…_the_balancer");
    }
}
