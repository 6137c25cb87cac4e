//! Cycles and depths of references, computed without recursion, because a workspace may have chains of any length.

/// The longest permitted chain of qualifiers that refer to each other. Resolution follows a chain on its stack.
pub const MAX_QUALIFIER_CHAIN: usize = 128;

/// Returns the strongly connected components of the graph `edges[from] = [to, …]`; each comes after all components that
/// it refers to.
pub(crate) fn components(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut search = Search {
        edges,
        found: vec![None; edges.len()],
        low: vec![0; edges.len()],
        open: vec![false; edges.len()],
        stack: Vec::new(),
        count: 0,
        components: Vec::new(),
    };
    for node in 0..edges.len() {
        if search.found.get(node).is_some_and(Option::is_none) {
            search.visit(node);
        }
    }
    search.components
}

/// Returns the length of the longest chain of references from each node, itself included. Nodes on a cycle count as
/// one.
pub(crate) fn depths(edges: &[Vec<usize>], components: &[Vec<usize>]) -> Vec<usize> {
    let mut depths = vec![0_usize; edges.len()];
    for node in components.iter().flatten() {
        let below = edges.get(*node).into_iter().flatten().filter_map(|to| depths.get(*to)).max().copied();
        if let Some(depth) = depths.get_mut(*node) {
            *depth = below.unwrap_or(0) + 1;
        }
    }
    depths
}

/// Returns whether a component is a cycle: more than one node, or one that refers to itself.
pub(crate) fn is_cycle(component: &[usize], edges: &[Vec<usize>]) -> bool {
    match component {
        [only] => edges.get(*only).is_some_and(|to| to.contains(only)),
        _ => true,
    }
}

/// Tarjan's algorithm, with its call stack as a value.
struct Search<'a> {
    edges: &'a [Vec<usize>],
    found: Vec<Option<usize>>,
    low: Vec<usize>,
    open: Vec<bool>,
    stack: Vec<usize>,
    count: usize,
    components: Vec<Vec<usize>>,
}

impl Search<'_> {
    fn visit(&mut self, root: usize) {
        let mut calls = vec![(root, 0)];
        self.enter(root);
        while let Some((node, next)) = calls.pop() {
            match self.edges[node].get(next) {
                Some(&to) => {
                    calls.push((node, next + 1));
                    match self.found[to] {
                        None => {
                            self.enter(to);
                            calls.push((to, 0));
                        }
                        Some(found) if self.open[to] => self.low[node] = self.low[node].min(found),
                        Some(_) => {}
                    }
                }
                None => {
                    self.leave(node);
                    if let Some((parent, _)) = calls.last() {
                        self.low[*parent] = self.low[*parent].min(self.low[node]);
                    }
                }
            }
        }
    }

    fn enter(&mut self, node: usize) {
        self.found[node] = Some(self.count);
        self.low[node] = self.count;
        self.open[node] = true;
        self.stack.push(node);
        self.count += 1;
    }

    fn leave(&mut self, node: usize) {
        if self.found[node] != Some(self.low[node]) {
            return;
        }
        let mut component = Vec::new();
        while let Some(member) = self.stack.pop() {
            self.open[member] = false;
            component.push(member);
            if member == node {
                break;
            }
        }
        component.sort_unstable();
        self.components.push(component);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_are_found_and_referenced_components_come_first() {
        let edges = vec![vec![1], vec![2], vec![1, 3], vec![], vec![4], vec![0, 3]];
        let components = components(&edges);
        assert_eq!(components, [vec![3], vec![1, 2], vec![0], vec![4], vec![5]]);
        let cycles: Vec<_> = components.iter().filter(|component| is_cycle(component, &edges)).collect();
        assert_eq!(cycles, [&vec![1, 2], &vec![4]]);
    }

    #[test]
    fn long_chains_need_no_stack() {
        let edges: Vec<_> = (0..100_000).map(|node| if node == 0 { vec![] } else { vec![node - 1] }).collect();
        let components = components(&edges);
        assert_eq!(depths(&edges, &components).last(), Some(&100_000));
    }
}
