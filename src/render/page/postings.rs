//! Which pictures have something: their numbers as differences, seven bits a byte, the least first; the last byte of a
//! number has no eighth bit.

/// Numbers of pictures, ascending.
#[derive(Default)]
pub(super) struct Postings {
    /// The differences, and whatever stands between them.
    pub(super) bytes: Vec<u8>,
    last: Option<usize>,
}

impl Postings {
    /// Adds a picture whose number is larger than all before; false if it is the last one that was added.
    pub(super) fn add(&mut self, picture: usize) -> bool {
        let from = self.last.replace(picture);
        if from == Some(picture) {
            return false;
        }
        put(&mut self.bytes, picture - from.map_or(0, |last| last + 1));
        true
    }
}

/// Adds a number.
pub(super) fn put(bytes: &mut Vec<u8>, mut number: usize) {
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
