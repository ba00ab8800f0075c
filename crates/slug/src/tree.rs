//! What an archive has made so far: the rules about names and links are decided here, in memory, before and without
//! the file system, so that [`crate::check`] and [`crate::unpack`] cannot differ.

use crate::error::shown;
use std::collections::{BTreeMap, VecDeque};

const ROOT: usize = 0;
/// The kernel gives up after as many links in one path.
const MAX_HOPS: usize = 40;
/// Path components looked at for all links together; more is no honest archive.
const MAX_STEPS: usize = 1_000_000;

/// The path of an entry below the root: cleaned, relative, without `..`. Empty for the root itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CleanPath(Vec<u8>);

impl CleanPath {
    /// Cleans a name lexically: empty parts and `.` vanish, `..` takes the part before it.
    pub(crate) fn new(name: &[u8]) -> Result<Self, String> {
        let quoted = || format!("{:?}", shown(name));
        if name.contains(&0) {
            return Err(format!("invalid filename {}, it contains a NUL byte", quoted()));
        }
        let mut parts: Vec<&[u8]> = vec![];
        for part in name.split(|&c| c == b'/') {
            match part {
                b"" | b"." => {}
                b".." => {
                    parts.pop().ok_or_else(|| {
                        format!(
                            "invalid filename {}, traversal with \"..\" outside of current directory",
                            quoted()
                        )
                    })?;
                }
                part if part.len() > 255 => {
                    return Err(format!(
                        "invalid filename {}, a part of it is longer than 255 bytes",
                        quoted()
                    ));
                }
                part => parts.push(part),
            }
        }
        if name.starts_with(b"/") && !parts.is_empty() {
            return Err(format!("invalid filename {}, absolute path outside of current directory", quoted()));
        }
        let path = parts.join(&b'/');
        if path.len() >= 4096 {
            return Err(format!("invalid filename {}, it is longer than 4095 bytes", quoted()));
        }
        Ok(Self(path))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The folder that holds it, and its name there.
    pub(crate) fn split(&self) -> (&[u8], &[u8]) {
        match self.0.iter().rposition(|&c| c == b'/') {
            Some(at) => (&self.0[..at], &self.0[at + 1..]),
            None => (b"", &self.0),
        }
    }
}

/// What an entry makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Dir,
    File,
    /// With its target, as written.
    Link(Vec<u8>),
}

/// What must be done for an entry that is legal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    New,
    /// A file that takes the place of an earlier file of that name, or a folder that is there already.
    Again,
}

enum Node {
    Dir(BTreeMap<Box<[u8]>, usize>),
    File,
    Link(Vec<u8>),
}

struct Placement {
    parent: usize,
    name: Box<[u8]>,
    node: Node,
}

pub(crate) struct Tree(Vec<Placement>);

impl Tree {
    pub(crate) fn new() -> Self {
        let root = Node::Dir(BTreeMap::new());
        Self(vec![Placement { parent: ROOT, name: Box::default(), node: root }])
    }

    /// Files, links and folders, implied ones included.
    pub(crate) fn len(&self) -> u64 {
        self.0.len() as u64 - 1
    }

    /// Adds an entry, or says which rule it breaks.
    pub(crate) fn place(&mut self, path: &CleanPath, kind: Kind) -> Result<Placed, String> {
        let name = || shown(path.as_bytes());
        if path.is_root() {
            return match kind {
                Kind::Dir => Ok(Placed::Again),
                _ => Err("invalid filename \".\", the root is a directory".to_owned()),
            };
        }
        let (folder, leaf) = path.split();
        let mut at = ROOT;
        for part in folder.split(|&c| c == b'/').filter(|part| !part.is_empty()) {
            at = self.child(at, part).unwrap_or_else(|| self.add(at, part, Node::Dir(BTreeMap::new())));
            match self.0[at].node {
                Node::Dir(_) => {}
                Node::Link(_) => return Err(format!("cannot extract {:?} through symlink", name())),
                Node::File => {
                    let folder = shown(folder);
                    return Err(format!("failed to create directory {folder:?}: a part of it is a file"));
                }
            }
        }
        if let Kind::Link(target) = &kind
            && !within(folder, target)
        {
            return Err(external(path.as_bytes(), target));
        }
        if let Some(there) = self.child(at, leaf) {
            return match (&self.0[there].node, kind) {
                (Node::Dir(_), Kind::Dir) | (Node::File, Kind::File) => Ok(Placed::Again),
                (_, Kind::Link(target)) => {
                    let target = shown(&target);
                    Err(format!("failed creating symlink ({:?} -> {target:?}): file exists", name()))
                }
                (Node::Link(_), _) => Err(format!("cannot extract {:?} through symlink", name())),
                (Node::Dir(_), Kind::File) => {
                    Err(format!("failed creating file {:?}: is a directory", name()))
                }
                (Node::File, Kind::Dir) => Err(format!("failed to create directory {:?}: is a file", name())),
            };
        }
        let node = match kind {
            Kind::Dir => Node::Dir(BTreeMap::new()),
            Kind::File => Node::File,
            Kind::Link(target) => Node::Link(target),
        };
        self.add(at, leaf, node);
        Ok(Placed::New)
    }

    fn child(&self, dir: usize, name: &[u8]) -> Option<usize> {
        match &self.0[dir].node {
            Node::Dir(children) => children.get(name).copied(),
            _ => None,
        }
    }

    fn add(&mut self, parent: usize, name: &[u8], node: Node) -> usize {
        let id = self.0.len();
        self.0.push(Placement { parent, name: name.into(), node });
        if let Node::Dir(children) = &mut self.0[parent].node {
            children.insert(name.into(), id);
        }
        id
    }

    /// Follows every link as the kernel would, through other links, and says which one leaves the root. Each link was
    /// judged by its text when it came; only together can they do more, as `a/b -> ..` and `c -> a/b/../..` do.
    pub(crate) fn links_stay_inside(&self) -> Result<(), String> {
        let mut steps = 0;
        for (id, placement) in self.0.iter().enumerate() {
            if let Node::Link(target) = &placement.node {
                let stays = self.follow(placement.parent, target, &mut steps);
                if steps > MAX_STEPS {
                    return Err("the symlinks of the archive are too intricate".to_owned());
                }
                if !stays {
                    return Err(external(&self.path(id), target));
                }
            }
        }
        Ok(())
    }

    fn follow(&self, from: usize, target: &[u8], steps: &mut usize) -> bool {
        let mut at = vec![Some(from)];
        while let Some(&Some(id)) = at.last()
            && id != ROOT
        {
            at.push(Some(self.0[id].parent));
        }
        at.reverse();
        let mut ahead: VecDeque<&[u8]> = target.split(|&c| c == b'/').collect();
        let mut hops = 0;
        while let Some(part) = ahead.pop_front() {
            *steps += 1;
            match part {
                b"" | b"." => {}
                b".." => {
                    if at.len() == 1 {
                        return false;
                    }
                    at.pop();
                }
                part => {
                    let here = at.last().copied().flatten();
                    let child = here.and_then(|dir| self.child(dir, part));
                    match child.map(|id| &self.0[id].node) {
                        Some(Node::Link(target)) => {
                            hops += 1;
                            if hops > MAX_HOPS || *steps > MAX_STEPS {
                                return true; // The kernel refuses to follow it anywhere.
                            }
                            target.rsplit(|&c| c == b'/').for_each(|part| ahead.push_front(part));
                        }
                        _ => at.push(child),
                    }
                }
            }
        }
        true
    }

    fn path(&self, mut id: usize) -> Vec<u8> {
        let mut parts = vec![];
        while id != ROOT {
            parts.push(&*self.0[id].name);
            id = self.0[id].parent;
        }
        parts.reverse();
        parts.join(&b'/')
    }

    /// The names in the root, and whether each is a folder.
    pub(crate) fn top(&self) -> impl Iterator<Item = (String, bool)> {
        let children = match &self.0[ROOT].node {
            Node::Dir(children) => Some(children.iter()),
            _ => None,
        };
        children.into_iter().flatten().map(|(name, &id)| {
            (String::from_utf8_lossy(name).into_owned(), matches!(self.0[id].node, Node::Dir(_)))
        })
    }

    /// The folders that directly hold a file (or a link) whose name satisfies `wanted`, sorted; the root is `""`.
    pub(crate) fn folders_with(&self, wanted: impl Fn(&[u8]) -> bool) -> Vec<String> {
        let mut found: Vec<String> = vec![];
        for (id, placement) in self.0.iter().enumerate() {
            if let Node::Dir(children) = &placement.node
                && children.iter().any(|(name, &c)| wanted(name) && !matches!(self.0[c].node, Node::Dir(_)))
            {
                found.push(String::from_utf8_lossy(&self.path(id)).into_owned());
            }
        }
        found.sort();
        found
    }
}

/// Whether a link in `folder` to `target` stays in the root, by the text alone.
pub(crate) fn within(folder: &[u8], target: &[u8]) -> bool {
    if target.is_empty() || target.starts_with(b"/") || target.contains(&0) || target.len() >= 4096 {
        return false;
    }
    let mut depth = folder.split(|&c| c == b'/').filter(|part| !part.is_empty()).count();
    for part in target.split(|&c| c == b'/') {
        match part {
            b"" | b"." => {}
            b".." if depth == 0 => return false,
            b".." => depth -= 1,
            _ => depth += 1,
        }
    }
    true
}

fn external(path: &[u8], target: &[u8]) -> String {
    format!("invalid symlink ({:?} -> {:?}) has external target", shown(path), shown(target))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> CleanPath {
        CleanPath::new(name.as_bytes()).unwrap()
    }

    #[test]
    fn names_are_cleaned_and_may_not_leave_the_root() {
        for (name, clean) in
            [("./a", "a"), ("a//b/", "a/b"), ("a/./b/../c", "a/c"), (".", ""), ("./", ""), ("/", "")]
        {
            assert_eq!(path(name).as_bytes(), clean.as_bytes(), "{name}");
        }
        for name in ["..", "../x", "a/../../x", "/etc/passwd", "//x", "a\0b"] {
            assert!(CleanPath::new(name.as_bytes()).is_err(), "{name}");
        }
        assert!(CleanPath::new(&[b'a'; 256]).is_err());
        assert!(CleanPath::new(&b"a/".repeat(3000)).is_err());
    }

    #[test]
    fn a_link_that_leaves_only_through_another_link_is_found() {
        let mut tree = Tree::new();
        tree.place(&path("x/y/z"), Kind::Link(b"..".to_vec())).unwrap();
        tree.place(&path("l"), Kind::Link(b"x/y/z/../..".to_vec())).unwrap();
        assert!(tree.links_stay_inside().unwrap_err().contains("\"l\""));
    }

    #[test]
    fn loops_and_dangling_links_are_harmless() {
        let mut tree = Tree::new();
        tree.place(&path("a"), Kind::Link(b"b".to_vec())).unwrap();
        tree.place(&path("b"), Kind::Link(b"a".to_vec())).unwrap();
        tree.place(&path("d/c"), Kind::Link(b"../nowhere/x/../..".to_vec())).unwrap();
        tree.links_stay_inside().unwrap();
    }

    #[test]
    fn links_made_to_cost_much_are_refused_in_time() {
        let mut tree = Tree::new();
        let target = b"x/../".repeat(800);
        for n in 0..10_000 {
            tree.place(&path(&format!("l{n}")), Kind::Link(target.clone())).unwrap();
        }
        assert!(tree.links_stay_inside().unwrap_err().contains("intricate"));
    }
}
