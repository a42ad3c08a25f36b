//! The directories of TIFF (IFDs), in which EXIF keeps what a camera knew.
//!
//! Ours because the libraries for EXIF read every directory whole: one of 64 kB whose entries point into itself made
//! one of them take 344 MB. Here an entry is looked up when it is asked for, and nothing is held.

/// A TIFF structure: a file of that kind, or a block of EXIF.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tree<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

/// One directory of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Directory<'a> {
    tree: Tree<'a>,
    /// Where its entries begin, and how many there are.
    at: usize,
    count: usize,
}

/// What an entry holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a> {
    tree: Tree<'a>,
    kind: u16,
    bytes: &'a [u8],
}

impl<'a> Tree<'a> {
    /// The structure that begins with these bytes; none if they are none, or BigTIFF.
    pub(super) fn new(bytes: &'a [u8]) -> Option<Self> {
        // Panasonic and Olympus write other numbers than 42 there.
        let (order, rest) = bytes.split_first_chunk::<2>()?;
        let big_endian = match order {
            b"MM" => true,
            b"II" => false,
            _ => return None,
        };
        (rest.len() >= 6 && !matches!(rest, [43, 0, ..] | [0, 43, ..])).then_some(Self { bytes, big_endian })
    }

    /// The structure in these bytes, in the order of bytes that `order` begins with.
    pub(super) fn with_order(bytes: &'a [u8], order: &[u8]) -> Option<Self> {
        let big_endian = order.starts_with(b"MM");
        (big_endian || order.starts_with(b"II")).then_some(Self { bytes, big_endian })
    }

    /// Its first directory.
    pub(super) fn first(self) -> Option<Directory<'a>> {
        self.directory(self.u32(4)?)
    }

    /// The directory at this place.
    pub(super) fn directory(self, at: u32) -> Option<Directory<'a>> {
        let at = at as usize;
        let count = usize::from(self.u16(at)?);
        // What is cut has the entries that are there.
        let whole = self.bytes.len().saturating_sub(at + 2) / 12;
        Some(Directory { tree: self, at: at + 2, count: count.min(whole) })
    }

    fn u16(self, at: usize) -> Option<u16> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn u32(self, at: usize) -> Option<u32> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }
}

impl<'a> Directory<'a> {
    /// Where an entry is.
    fn entry(self, tag: u16) -> Option<usize> {
        (0..self.count).map(|i| self.at + 12 * i).find(|&at| self.tree.u16(at) == Some(tag))
    }

    /// Where its entries begin.
    pub(super) fn begins(self) -> usize {
        self.at
    }

    /// Where the value of an entry is, if it takes no more than four bytes.
    pub(super) fn place(self, tag: u16) -> Option<usize> {
        Some(self.entry(tag)? + 8)
    }

    /// The directory that an entry points to.
    pub(super) fn child(self, tag: u16) -> Option<Self> {
        self.tree.directory(self.get(tag)?.number()?)
    }

    /// The directories that an entry points to, of which there may be as many as the file has bytes, and any of them
    /// more than once.
    pub(super) fn children(self, tag: u16) -> impl Iterator<Item = Self> {
        let places = self.get(tag).into_iter().flat_map(Value::numbers);
        places.filter_map(move |at| self.tree.directory(at))
    }

    /// The directory that follows it in its chain, which may lead back to itself.
    pub(super) fn next(self) -> Option<Self> {
        let at = self.tree.u32(self.at + 12 * self.count)?;
        (at > 0).then(|| self.tree.directory(at)).flatten()
    }

    /// The bytes of an entry's value.
    pub(super) fn bytes(self, tag: u16) -> Option<&'a [u8]> {
        self.get(tag).map(|value| value.bytes)
    }

    /// The number that an entry holds.
    pub(super) fn number(self, tag: u16) -> Option<u32> {
        self.get(tag)?.number()
    }

    /// The value of an entry.
    pub(super) fn get(self, tag: u16) -> Option<Value<'a>> {
        self.entry_value(tag).map(|(_, value)| value)
    }

    /// Where the value of an entry begins.
    pub(super) fn from(self, tag: u16) -> Option<usize> {
        self.entry_value(tag).map(|(from, _)| from)
    }

    fn entry_value(self, tag: u16) -> Option<(usize, Value<'a>)> {
        let at = self.entry(tag)?;
        let kind = self.tree.u16(at + 2)?;
        let size = match kind {
            // Of 129, since EXIF 3, is text in UTF-8.
            1 | 2 | 6 | 7 | 129 => 1,
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 => 8,
            _ => return None,
        };
        let length = (self.tree.u32(at + 4)? as usize).checked_mul(size)?;
        // What fits into four bytes lies in the entry itself.
        let from = if length <= 4 { at + 8 } else { self.tree.u32(at + 8)? as usize };
        Some((from, Value { tree: self.tree, kind, bytes: self.tree.bytes.get(from..)?.get(..length)? }))
    }
}

impl Value<'_> {
    /// The whole numbers of it, where they are numbers and not below zero.
    pub(super) fn numbers(self) -> impl Iterator<Item = u32> {
        let one = move |bytes: &[u8]| -> Option<u32> {
            let tree = Tree { bytes, ..self.tree };
            match self.kind {
                1 | 7 => Some(bytes[0].into()),
                6 => u32::try_from(bytes[0] as i8).ok(),
                3 => tree.u16(0).map(u32::from),
                8 => u32::try_from(tree.u16(0)? as i16).ok(),
                4 | 13 => tree.u32(0),
                9 => u32::try_from(tree.u32(0)? as i32).ok(),
                _ => None,
            }
        };
        let size = match self.kind {
            3 | 8 => 2,
            4 | 9 | 13 => 4,
            _ => 1,
        };
        self.bytes.chunks_exact(size).map_while(one)
    }

    /// The first of them.
    pub(super) fn number(self) -> Option<u32> {
        self.numbers().next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block with one directory of these entries: tag, kind, count and four bytes.
    fn block(entries: &[(u16, u16, u32, [u8; 4])], tail: &[u8]) -> Vec<u8> {
        let mut bytes = b"II*\0\x08\0\0\0".to_vec();
        bytes.extend((entries.len() as u16).to_le_bytes());
        for (tag, kind, count, value) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(kind.to_le_bytes());
            bytes.extend(count.to_le_bytes());
            bytes.extend(value);
        }
        bytes.extend([0; 4]);
        bytes.extend(tail);
        bytes
    }

    #[test]
    fn values_of_every_kind_are_read() {
        let bytes = block(
            &[
                (1, 3, 2, [7, 0, 8, 0]),
                (2, 9, 1, [6, 0, 0, 0]),
                (3, 9, 1, [0xFF; 4]),
                (4, 2, 9, [74, 0, 0, 0]),
                (5, 2, 9, [200, 0, 0, 0]),
            ],
            b"2024:05\0x",
        );
        let directory = Tree::new(&bytes).and_then(Tree::first).unwrap();
        let get = |tag| directory.get(tag);
        assert_eq!(get(1).unwrap().numbers().collect::<Vec<_>>(), [7, 8]);
        assert_eq!(get(2).unwrap().number(), Some(6), "signed, as some write it");
        assert_eq!(get(3).unwrap().number(), None);
        assert_eq!(get(4).unwrap().bytes, b"2024:05\0x");
        assert!(get(5).is_none(), "beyond the end");
        assert!(get(6).is_none());
    }

    #[test]
    fn a_directory_lies_where_its_parent_says_even_in_itself() {
        let inner = block(&[(5, 3, 1, [9, 0, 0, 0])], b"");
        let bytes = block(&[(1, 4, 1, [26, 0, 0, 0]), (2, 13, 1, [8, 0, 0, 0]), (3, 4, 1, [0xFF; 4])], b"");
        // Behind the first one's three entries; an odd place is as good as another.
        let bytes = [&bytes[..], b"x", &inner[8..]].concat();
        let at = (bytes.len() - inner.len() + 8) as u32;
        let bytes = [&bytes[..18], &at.to_le_bytes(), &bytes[22..]].concat();
        let directory = Tree::new(&bytes).and_then(Tree::first).unwrap();
        assert_eq!(directory.child(1).unwrap().get(5).unwrap().number(), Some(9));
        assert_eq!(directory.child(2).unwrap().child(2).unwrap().at, directory.at);
        assert!(directory.child(3).is_none() && directory.child(4).is_none());
    }

    #[test]
    fn a_chain_and_a_list_of_directories_may_lead_back() {
        let mut bytes = block(&[(1, 4, 2, [0; 4]), (2, 3, 1, [7, 0, 0, 0])], b"");
        let list = bytes.len() as u32;
        bytes.extend([8_u32, 0xFFFF].map(u32::to_le_bytes).concat());
        bytes[18..22].copy_from_slice(&list.to_le_bytes());
        let first = |bytes: &[u8]| Tree::new(bytes).and_then(Tree::first).unwrap().at;
        let directory = Tree::new(&bytes).and_then(Tree::first).unwrap();
        assert_eq!(directory.children(1).map(|child| child.at).collect::<Vec<_>>(), [first(&bytes)]);
        assert_eq!(
            (directory.number(2), directory.from(1), directory.from(2)),
            (Some(7), Some(list as usize), Some(30))
        );
        assert!(directory.next().is_none(), "0 ends it");
        bytes[34..38].copy_from_slice(&8_u32.to_le_bytes());
        let directory = Tree::new(&bytes).and_then(Tree::first).unwrap();
        assert_eq!(directory.next().unwrap().at, directory.at);
    }

    #[test]
    fn what_is_cut_has_the_entries_that_are_there() {
        let bytes = block(&[(1, 3, 1, [7, 0, 0, 0]), (2, 3, 1, [8, 0, 0, 0])], b"");
        let cut = &bytes[..bytes.len() - 8];
        let directory = Tree::new(cut).and_then(Tree::first).unwrap();
        assert_eq!(directory.get(1).unwrap().number(), Some(7));
        assert!(directory.get(2).is_none());
        assert!(Tree::new(b"II").is_none() && Tree::new(b"II*\0\xFF\xFF\xFF\xFF").unwrap().first().is_none());
    }
}
