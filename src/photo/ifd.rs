//! Reads TIFF directories (IFDs), in which TIFF, EXIF and most raw files store their metadata.
//!
//! The program has its own reader because libraries for EXIF read every directory completely. A directory of 64 kB
//! whose entries point into itself made one of them allocate 344 MB. This reader looks an entry up only when it is
//! requested, and allocates nothing.

/// A TIFF structure: a TIFF file or an EXIF block.
#[derive(Clone, Copy, Debug)]
pub(super) struct TiffTree<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

/// One directory of a TIFF structure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Directory<'a> {
    tree: TiffTree<'a>,
    /// Offset of the first entry, and number of entries. An entry has 12 bytes: tag (2), type (2), count (4), and the
    /// value or its offset (4).
    offset: usize,
    count: usize,
}

/// The value of an entry: its field type and its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a> {
    tree: TiffTree<'a>,
    kind: u16,
    bytes: &'a [u8],
}

impl<'a> TiffTree<'a> {
    /// Opens the TIFF structure at the start of `bytes`. `None` if there is none, or if it is a BigTIFF.
    pub(super) fn new(bytes: &'a [u8]) -> Option<Self> {
        // The number after the byte order is not required to be 42: Panasonic and Olympus write others. 43 is BigTIFF.
        let (order, rest) = bytes.split_first_chunk::<2>()?;
        let big_endian = match order {
            b"MM" => true,
            b"II" => false,
            _ => return None,
        };
        (rest.len() >= 6 && !matches!(rest, [43, 0, ..] | [0, 43, ..])).then_some(Self { bytes, big_endian })
    }

    /// Opens `bytes` without a header. `order` begins with the byte order, `II` or `MM`.
    pub(super) fn with_order(bytes: &'a [u8], order: &[u8]) -> Option<Self> {
        let big_endian = order.starts_with(b"MM");
        (big_endian || order.starts_with(b"II")).then_some(Self { bytes, big_endian })
    }

    /// The directory that the header points to.
    pub(super) fn first_directory(self) -> Option<Directory<'a>> {
        self.directory(self.u32(4)?)
    }

    /// The directory at an offset.
    pub(super) fn directory(self, offset: u32) -> Option<Directory<'a>> {
        let offset = offset as usize;
        let count = usize::from(self.u16(offset)?);
        // A directory that is cut off has the entries that are complete.
        let complete = self.bytes.len().saturating_sub(offset + 2) / 12;
        Some(Directory { tree: self, offset: offset + 2, count: count.min(complete) })
    }

    fn u16(self, offset: usize) -> Option<u16> {
        let bytes = *self.bytes.get(offset..)?.first_chunk()?;
        Some(if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn u32(self, offset: usize) -> Option<u32> {
        let bytes = *self.bytes.get(offset..)?.first_chunk()?;
        Some(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }
}

impl<'a> Directory<'a> {
    /// Offset of the first entry with this tag.
    fn entry(self, tag: u16) -> Option<usize> {
        (0..self.count).map(|i| self.offset + 12 * i).find(|&offset| self.tree.u16(offset) == Some(tag))
    }

    /// Offset of the first entry, which identifies the directory within its structure.
    pub(super) fn offset(self) -> usize {
        self.offset
    }

    /// Offset of an entry's value field. The field holds the value itself if that has at most four bytes, and else its
    /// offset.
    pub(super) fn inline_value_offset(self, tag: u16) -> Option<usize> {
        Some(self.entry(tag)? + 8)
    }

    /// The directory that an entry points to.
    pub(super) fn child(self, tag: u16) -> Option<Self> {
        self.tree.directory(self.get(tag)?.number()?)
    }

    /// The directories that an entry points to. A hostile file may list very many, and the same one repeatedly, so the
    /// caller must limit them.
    pub(super) fn children(self, tag: u16) -> impl Iterator<Item = Self> {
        let offsets = self.get(tag).into_iter().flat_map(Value::numbers);
        offsets.filter_map(move |offset| self.tree.directory(offset))
    }

    /// The next directory of the chain. A hostile chain may lead back to this one, so the caller must limit its steps.
    pub(super) fn next_directory(self) -> Option<Self> {
        let offset = self.tree.u32(self.offset + 12 * self.count)?;
        (offset > 0).then(|| self.tree.directory(offset)).flatten()
    }

    /// The bytes of an entry's value.
    pub(super) fn bytes(self, tag: u16) -> Option<&'a [u8]> {
        self.get(tag).map(|value| value.bytes)
    }

    /// The first number of an entry's value.
    pub(super) fn number(self, tag: u16) -> Option<u32> {
        self.get(tag)?.number()
    }

    /// The value of an entry. `None` if the entry is missing, of an unknown type, or beyond the end.
    pub(super) fn get(self, tag: u16) -> Option<Value<'a>> {
        self.entry_value(tag).map(|(_, value)| value)
    }

    /// Offset of an entry's value, wherever it is stored.
    pub(super) fn value_offset(self, tag: u16) -> Option<usize> {
        self.entry_value(tag).map(|(value_offset, _)| value_offset)
    }

    fn entry_value(self, tag: u16) -> Option<(usize, Value<'a>)> {
        let offset = self.entry(tag)?;
        let kind = self.tree.u16(offset + 2)?;
        let size = match kind {
            // Type 129 is UTF-8 text (EXIF 3.0).
            1 | 2 | 6 | 7 | 129 => 1,
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 => 8,
            _ => return None,
        };
        let length = (self.tree.u32(offset + 4)? as usize).checked_mul(size)?;
        // A value of at most four bytes is stored in the entry itself.
        let value_offset = if length <= 4 { offset + 8 } else { self.tree.u32(offset + 8)? as usize };
        Some((
            value_offset,
            Value { tree: self.tree, kind, bytes: self.tree.bytes.get(value_offset..)?.get(..length)? },
        ))
    }
}

impl Value<'_> {
    /// The numbers of the value, up to the first that is negative. Empty if the type is not one of integers.
    pub(super) fn numbers(self) -> impl Iterator<Item = u32> {
        let parse = move |bytes: &[u8]| -> Option<u32> {
            let tree = TiffTree { bytes, ..self.tree };
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
        self.bytes.chunks_exact(size).map_while(parse)
    }

    /// The first of [`Value::numbers`].
    pub(super) fn number(self) -> Option<u32> {
        self.numbers().next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block with one directory of these entries: tag, type, count and the four bytes of the value field.
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
        let directory = TiffTree::new(&bytes).and_then(TiffTree::first_directory).unwrap();
        let get = |tag| directory.get(tag);
        assert_eq!(get(1).unwrap().numbers().collect::<Vec<_>>(), [7, 8]);
        assert_eq!(get(2).unwrap().number(), Some(6), "some writers use a signed type");
        assert_eq!(get(3).unwrap().number(), None);
        assert_eq!(get(4).unwrap().bytes, b"2024:05\0x");
        assert!(get(5).is_none(), "beyond the end");
        assert!(get(6).is_none());
    }

    #[test]
    fn a_directory_lies_where_its_parent_says_even_in_itself() {
        let inner = block(&[(5, 3, 1, [9, 0, 0, 0])], b"");
        let bytes = block(&[(1, 4, 1, [26, 0, 0, 0]), (2, 13, 1, [8, 0, 0, 0]), (3, 4, 1, [0xFF; 4])], b"");
        // After the three entries of the first directory, at an odd offset. TIFF forbids those, but they are read.
        let bytes = [&bytes[..], b"x", &inner[8..]].concat();
        let offset = (bytes.len() - inner.len() + 8) as u32;
        let bytes = [&bytes[..18], &offset.to_le_bytes(), &bytes[22..]].concat();
        let directory = TiffTree::new(&bytes).and_then(TiffTree::first_directory).unwrap();
        assert_eq!(directory.child(1).unwrap().get(5).unwrap().number(), Some(9));
        assert_eq!(directory.child(2).unwrap().child(2).unwrap().offset, directory.offset);
        assert!(directory.child(3).is_none() && directory.child(4).is_none());
    }

    #[test]
    fn a_chain_and_a_list_of_directories_may_lead_back() {
        let mut bytes = block(&[(1, 4, 2, [0; 4]), (2, 3, 1, [7, 0, 0, 0])], b"");
        let list = bytes.len() as u32;
        bytes.extend([8_u32, 0xFFFF].map(u32::to_le_bytes).concat());
        bytes[18..22].copy_from_slice(&list.to_le_bytes());
        let first = |bytes: &[u8]| TiffTree::new(bytes).and_then(TiffTree::first_directory).unwrap().offset;
        let directory = TiffTree::new(&bytes).and_then(TiffTree::first_directory).unwrap();
        assert_eq!(directory.children(1).map(|child| child.offset).collect::<Vec<_>>(), [first(&bytes)]);
        assert_eq!(
            (directory.number(2), directory.value_offset(1), directory.value_offset(2)),
            (Some(7), Some(list as usize), Some(30))
        );
        assert!(directory.next_directory().is_none(), "0 ends it");
        bytes[34..38].copy_from_slice(&8_u32.to_le_bytes());
        let directory = TiffTree::new(&bytes).and_then(TiffTree::first_directory).unwrap();
        assert_eq!(directory.next_directory().unwrap().offset, directory.offset);
    }

    #[test]
    fn what_is_cut_has_the_entries_that_are_there() {
        let bytes = block(&[(1, 3, 1, [7, 0, 0, 0]), (2, 3, 1, [8, 0, 0, 0])], b"");
        let cut = &bytes[..bytes.len() - 8];
        let directory = TiffTree::new(cut).and_then(TiffTree::first_directory).unwrap();
        assert_eq!(directory.get(1).unwrap().number(), Some(7));
        assert!(directory.get(2).is_none());
        assert!(
            TiffTree::new(b"II").is_none()
                && TiffTree::new(b"II*\0\xFF\xFF\xFF\xFF").unwrap().first_directory().is_none()
        );
    }
}
