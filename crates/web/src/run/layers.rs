//! Where the boxes of a graph stand: in layers, each after what it refers to, in an order that crosses few lines.
//!
//! The layer of a node is the length of the longest way to it. A line that passes a layer has a place in it, so that it
//! does not run through boxes. Orders are bettered by barycentres, there and back a few times. Sources: K. Sugiyama et
//! al., Methods for Visual Understanding of Hierarchical System Structures (1981).

/// Times that the orders are bettered.
const ROUNDS: usize = 8;

/// Layer, and place in it.
pub(super) type Place = (usize, usize);

/// A graph in layers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layers {
    /// By node.
    pub(super) places: Vec<Place>,
    /// For each edge that is drawn: from, to, and the places that it passes between.
    pub(super) edges: Vec<(usize, usize, Vec<Place>)>,
    /// How many places each layer has.
    pub(super) sizes: Vec<usize>,
}

/// The layers of `nodes` nodes; an edge leads from what is referred to to what refers. Edges that would close a circle are
/// left out: a plan has none, but nothing here relies on that.
pub(super) fn layers(nodes: usize, edges: &[(usize, usize)]) -> Layers {
    let edges = acyclic(nodes, edges);
    let layer = longest(nodes, &edges);
    // Each edge as its chain of items; those after the nodes are its places in the layers between.
    let mut layer_of = layer.clone();
    let chains: Vec<Vec<usize>> = edges
        .iter()
        .map(|&(from, to)| {
            let mut chain = vec![from];
            for between in layer[from] + 1..layer[to] {
                chain.push(layer_of.len());
                layer_of.push(between);
            }
            chain.push(to);
            chain
        })
        .collect();
    let count = layer.iter().max().map_or(0, |last| last + 1);
    let mut rows: Vec<Vec<usize>> = vec![vec![]; count];
    for (item, layer) in layer_of.iter().enumerate() {
        rows[*layer].push(item);
    }
    let mut before = vec![vec![]; layer_of.len()];
    let mut after = vec![vec![]; layer_of.len()];
    for step in chains.iter().flat_map(|chain| chain.windows(2)) {
        after[step[0]].push(step[1]);
        before[step[1]].push(step[0]);
    }
    order(&mut rows, &before, &after);
    let mut place = vec![(0, 0); layer_of.len()];
    for (layer, row) in rows.iter().enumerate() {
        for (at, item) in row.iter().enumerate() {
            place[*item] = (layer, at);
        }
    }
    let passed = |chain: &[usize]| chain[1..chain.len() - 1].iter().map(|item| place[*item]).collect();
    Layers {
        edges: edges.iter().zip(&chains).map(|(&(from, to), chain)| (from, to, passed(chain))).collect(),
        sizes: rows.iter().map(Vec::len).collect(),
        places: place[..nodes].to_vec(),
    }
}

/// The edges without those that lead back.
fn acyclic(nodes: usize, edges: &[(usize, usize)]) -> Vec<(usize, usize)> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut out = vec![vec![]; nodes];
    for &(from, to) in edges.iter().filter(|(from, to)| from != to) {
        if !out[from].contains(&to) {
            out[from].push(to);
        }
    }
    let mut marks = vec![Mark::New; nodes];
    let mut kept = Vec::new();
    for start in 0..nodes {
        // A node and which of its edges is next.
        let mut stack = if marks[start] == Mark::New { vec![(start, 0)] } else { vec![] };
        while let Some((node, next)) = stack.pop() {
            marks[node] = Mark::Open;
            let Some(&to) = out[node].get(next) else {
                marks[node] = Mark::Done;
                continue;
            };
            stack.push((node, next + 1));
            if marks[to] != Mark::Open {
                kept.push((node, to));
            }
            if marks[to] == Mark::New {
                stack.push((to, 0));
            }
        }
    }
    kept.sort_unstable();
    kept
}

/// The length of the longest way to each node.
fn longest(nodes: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut left = vec![0; nodes];
    for (_, to) in edges {
        left[*to] += 1;
    }
    let mut layer = vec![0; nodes];
    let mut ready: Vec<usize> = (0..nodes).filter(|node| left[*node] == 0).collect();
    while let Some(node) = ready.pop() {
        for (_, to) in edges.iter().filter(|(from, _)| *from == node) {
            layer[*to] = layer[*to].max(layer[node] + 1);
            left[*to] -= 1;
            if left[*to] == 0 {
                ready.push(*to);
            }
        }
    }
    layer
}

/// Orders each layer by the mean of where its items' neighbours stand, and keeps the order with the fewest crossings.
fn order(rows: &mut [Vec<usize>], before: &[Vec<usize>], after: &[Vec<usize>]) {
    let mut at = vec![0.0; before.len()];
    let place = |row: &[usize], at: &mut Vec<f64>| {
        for (n, item) in row.iter().enumerate() {
            at[*item] = n as f64 - (row.len() as f64 - 1.0) / 2.0;
        }
    };
    rows.iter().for_each(|row| place(row, &mut at));
    let mut best = (crossings(rows, after), rows.to_vec());
    for round in 0..ROUNDS {
        let down = round % 2 == 0;
        let neighbours = if down { before } else { after };
        let mut turns: Vec<usize> = (0..rows.len()).collect();
        if !down {
            turns.reverse();
        }
        for layer in turns {
            let mean = |item: &usize| {
                let near = &neighbours[*item];
                if near.is_empty() {
                    at[*item]
                } else {
                    near.iter().map(|n| at[*n]).sum::<f64>() / near.len() as f64
                }
            };
            let mut keyed: Vec<(f64, usize)> = rows[layer].iter().map(|item| (mean(item), *item)).collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            rows[layer] = keyed.into_iter().map(|(_, item)| item).collect();
            place(&rows[layer], &mut at);
        }
        let now = crossings(rows, after);
        if now < best.0 {
            best = (now, rows.to_vec());
        }
    }
    rows.clone_from_slice(&best.1);
}

/// How many pairs of lines between neighbouring layers cross.
fn crossings(rows: &[Vec<usize>], after: &[Vec<usize>]) -> usize {
    let mut at = vec![0; after.len()];
    for row in rows {
        row.iter().enumerate().for_each(|(n, item)| at[*item] = n);
    }
    let crossed = |row: &Vec<usize>| {
        let mut ends: Vec<usize> = Vec::new();
        let mut count = 0;
        for item in row {
            let mut own: Vec<usize> = after[*item].iter().map(|to| at[*to]).collect();
            own.sort_unstable();
            count += own.iter().map(|end| ends.iter().filter(|other| *other > end).count()).sum::<usize>();
            ends.extend(own);
        }
        count
    };
    rows.iter().map(crossed).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_stands_after_all_that_it_refers_to() {
        let found = layers(4, &[(0, 1), (1, 2), (0, 2), (2, 3)]);
        let at: Vec<usize> = found.places.iter().map(|(layer, _)| *layer).collect();
        assert_eq!(at, [0, 1, 2, 3]);
        let long = found.edges.iter().find(|(from, to, _)| (*from, *to) == (0, 2)).unwrap();
        assert_eq!(long.2.len(), 1, "the line has a place in the layer that it passes");
        assert_ne!(long.2[0], found.places[1]);
    }

    #[test]
    fn lines_that_need_not_cross_do_not() {
        // Two pairs, given crosswise.
        let found = layers(4, &[(0, 3), (1, 2)]);
        let place = |node: usize| found.places[node].1;
        assert_eq!(place(0) < place(1), place(3) < place(2));
    }

    #[test]
    fn a_circle_is_cut_and_each_edge_is_drawn_once() {
        let found = layers(3, &[(0, 1), (1, 2), (2, 0), (0, 1), (1, 1)]);
        assert_eq!(
            found.edges.iter().map(|(from, to, _)| (*from, *to)).collect::<Vec<_>>(),
            [(0, 1), (1, 2)]
        );
        assert_eq!(layers(0, &[]).sizes, Vec::<usize>::new());
    }

    #[test]
    fn no_two_nodes_stand_at_one_place() {
        let edges: Vec<_> = (0..60).flat_map(|n| [(n / 3, n + 1), (n / 7, n + 1)]).collect();
        let found = layers(61, &edges);
        let mut places = found.places.clone();
        places.extend(found.edges.iter().flat_map(|(_, _, passed)| passed.clone()));
        let count = places.len();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), count);
    }
}
