//! The priority queue of the shortest path search: a 4-ary heap, which is half as deep as the binary heap of the
//! standard library.

/// A min-heap of (distance, number). Entries of equal distance come out in the order of their numbers, so that the
/// search is deterministic.
#[derive(Debug, Default)]
pub(crate) struct Heap(Vec<(i64, u32)>);

impl Heap {
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn push(&mut self, entry: (i64, u32)) {
        let heap = &mut self.0;
        // The entry is written once, at its final place; the parents above it move down into the gap.
        let mut gap = heap.len();
        heap.push(entry);
        while gap > 0 {
            let parent = (gap - 1) / 4;
            if heap[parent] <= entry {
                break;
            }
            heap[gap] = heap[parent];
            gap = parent;
        }
        heap[gap] = entry;
    }

    pub(crate) fn pop(&mut self) -> Option<(i64, u32)> {
        let heap = &mut self.0;
        let last = heap.pop()?;
        let Some(&first) = heap.first() else { return Some(last) };
        // The last entry sinks from the root: the smallest child moves up into the gap until `last` fits.
        let mut gap = 0;
        loop {
            let first_child = 4 * gap + 1;
            let Some(children) =
                heap.get(first_child..heap.len().min(first_child + 4)).filter(|children| !children.is_empty())
            else {
                break;
            };
            let mut least = 0;
            for child in 1..children.len() {
                if children[child] < children[least] {
                    least = child;
                }
            }
            if last <= children[least] {
                break;
            }
            heap[gap] = children[least];
            gap = first_child + least;
        }
        heap[gap] = last;
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::SplitMix64;

    #[test]
    fn what_is_nearest_comes_out_first() {
        let (mut random, mut heap, mut expected) = (SplitMix64::new(1), Heap::default(), Vec::new());
        for round in 0..3000 {
            if round % 3 < 2 {
                let entry = (random.below(50) as i64 - 25, random.below(9) as u32);
                heap.push(entry);
                expected.push(entry);
            } else {
                expected.sort_unstable_by(|a, b| b.cmp(a));
                assert_eq!(heap.pop(), expected.pop());
            }
        }
        expected.sort_unstable_by(|a, b| b.cmp(a));
        while let Some(entry) = expected.pop() {
            assert_eq!(heap.pop(), Some(entry));
        }
        assert_eq!(heap.pop(), None);
    }
}
