//! Lists of pictures (posting lists): the ascending numbers of the pictures are stored as gaps, in the variable-length
//! code LEB128: seven bits per byte, the lowest first, with the eighth bit set in all bytes of a number but the last.

/// An ascending list of picture numbers.
#[derive(Default)]
pub(super) struct Postings {
    /// The encoded list: for each picture, how many pictures were skipped since the one before it. Callers may append
    /// further bytes after each picture.
    pub(super) bytes: Vec<u8>,
    last: Option<usize>,
}

impl Postings {
    /// Adds a picture, whose number must not be smaller than the last one. Returns false, and adds nothing, if it is
    /// the last one again.
    pub(super) fn add(&mut self, picture: usize) -> bool {
        let previous = self.last.replace(picture);
        if previous == Some(picture) {
            return false;
        }
        put_varint(&mut self.bytes, picture - previous.map_or(0, |last| last + 1));
        true
    }
}

/// Appends a number in LEB128.
pub(super) fn put_varint(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_differences() {
        let mut postings = Postings::default();
        let added = [0, 1, 1, 130, 131, 100_000].map(|picture| postings.add(picture));
        assert_eq!(added, [true, true, false, true, true, true]);
        assert_eq!(postings.bytes, [0, 0, 0x80, 1, 0, 0x9c, 0x8c, 6]);
    }
}
