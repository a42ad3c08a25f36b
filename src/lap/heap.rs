//! A priority queue for shortest paths: a heap of four children each, half as deep as the standard library's.

/// What is nearest comes out first; of equally near ones the smaller number.
#[derive(Debug, Default)]
pub(crate) struct Heap(Vec<(i64, u32)>);

impl Heap {
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn push(&mut self, entry: (i64, u32)) {
        let heap = &mut self.0;
        let mut at = heap.len();
        heap.push(entry);
        while at > 0 {
            let above = (at - 1) / 4;
            if heap[above] <= entry {
                break;
            }
            heap[at] = heap[above];
            at = above;
        }
        heap[at] = entry;
    }

    pub(crate) fn pop(&mut self) -> Option<(i64, u32)> {
        let heap = &mut self.0;
        let last = heap.pop()?;
        let Some(&first) = heap.first() else { return Some(last) };
        let mut at = 0;
        loop {
            let below = 4 * at + 1;
            let Some(children) = heap.get(below..heap.len().min(below + 4)).filter(|children| !children.is_empty())
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
            heap[at] = children[least];
            at = below + least;
        }
        heap[at] = last;
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::SplitMix64;

    #[test]
    fn what_is_nearest_comes_out_first() {
        let (mut random, mut heap, mut inside) = (SplitMix64::new(1), Heap::default(), Vec::new());
        for round in 0..3000 {
            if round % 3 < 2 {
                let entry = (random.below(50) as i64 - 25, random.below(9) as u32);
                heap.push(entry);
                inside.push(entry);
            } else {
                inside.sort_unstable_by(|a, b| b.cmp(a));
                assert_eq!(heap.pop(), inside.pop());
            }
        }
        inside.sort_unstable_by(|a, b| b.cmp(a));
        while let Some(entry) = inside.pop() {
            assert_eq!(heap.pop(), Some(entry));
        }
        assert_eq!(heap.pop(), None);
    }
}
