//! Huffman codes, read for their lengths alone or with the coefficients that follow them.

/// Codes of up to this many bits are looked up at once.
const QUICK: u32 = 10;

/// What a code stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Symbol {
    /// Bits of the code.
    length: u32,
    /// Of AC coefficients a run of zeros (upper half) and the number of bits that follow (lower half), of DC
    /// coefficients that number.
    value: u8,
}

impl Symbol {
    /// Bits of the code and of what follows it, and how many coefficients of a block they are for.
    fn leap(self) -> (u32, u32) {
        let (zeros, size) = (u32::from(self.value >> 4), u32::from(self.value & 15));
        let coefficients = if self.value == 0 { END_OF_BLOCK } else { zeros + 1 };
        (self.length + size, coefficients)
    }
}

/// As many coefficients as are there beside the first one, or more.
pub(super) const END_OF_BLOCK: u32 = 128;

/// A table of codes as a DHT segment defines it (ITU-T T.81, annex C).
#[derive(Clone, Debug)]
pub(super) struct Codes {
    /// By the next [`QUICK`] bits: the code's length, and its value above; 0 where the code is longer, or none.
    quick: Vec<u16>,
    /// By the same bits: what [`Symbol::leap`] gives, the second above the first.
    leaps: Vec<u16>,
    /// By the same bits: where a coefficient ends within them, its value above what is in `leaps`.
    coefficients: Vec<i32>,
    /// By length: the first code that is beyond those of this length, to 16 bits.
    beyond: [u32; 17],
    /// By length: what has to be added to a code to find its value.
    offset: [i32; 17],
    values: Vec<u8>,
}

impl Codes {
    /// The table of `counts` codes of 1 to 16 bits that stand for `values`; none if there are more than there can be.
    pub(super) fn new(counts: &[u8; 16], values: &[u8]) -> Option<Self> {
        let mut codes = Self {
            quick: vec![0; 1 << QUICK],
            leaps: vec![0; 1 << QUICK],
            coefficients: vec![0; 1 << QUICK],
            beyond: [0; 17],
            offset: [0; 17],
            values: values.to_owned(),
        };
        let (mut code, mut at) = (0_u32, 0_usize);
        for (length, &count) in (1_u32..).zip(counts) {
            codes.offset[length as usize] = at as i32 - code as i32;
            for &value in values.get(at..at + usize::from(count))? {
                if length <= QUICK {
                    let (from, span) = ((code << (QUICK - length)) as usize, 1 << (QUICK - length));
                    let (bits, coefficients) = Symbol { length, value }.leap();
                    codes.quick.get_mut(from..from + span)?.fill(u16::from(value) << 8 | length as u16);
                    codes.leaps[from..from + span].fill((coefficients << 8 | bits) as u16);
                }
                code += 1;
            }
            at += usize::from(count);
            (code <= 1 << length).then_some(())?;
            codes.beyond[length as usize] = code << (16 - length);
            code <<= 1;
        }
        codes.know_coefficients();
        Some(codes)
    }

    fn know_coefficients(&mut self) {
        for (next, (&code, &leap)) in self.quick.iter().zip(&self.leaps).enumerate() {
            let (length, size) = (u32::from(code & 0xFF), u32::from(code >> 8 & 15));
            if code != 0 && length + size <= QUICK {
                self.coefficients[next] = signed((next as u64) << (64 - QUICK + length), size) << 16 | i32::from(leap);
            }
        }
    }

    /// Takes the next code; gives its value, or none if there is no such code.
    #[inline]
    pub(super) fn take(&self, bits: &mut Bits<'_>) -> Option<u8> {
        let symbol = self.peek(bits)?;
        bits.skip(symbol.length);
        Some(symbol.value)
    }

    /// Takes the next code of an AC coefficient of a sequential picture with the bits that follow it; gives how many
    /// coefficients they are for, [`END_OF_BLOCK`] for all that are left.
    #[inline]
    pub(super) fn leap(&self, bits: &mut Bits<'_>) -> Option<u32> {
        let quick = self.leaps[(bits.peek() >> (16 - QUICK)) as usize];
        let (length, coefficients) = match quick {
            0 => self.peek(bits)?.leap(),
            _ => (u32::from(quick & 0xFF), u32::from(quick >> 8)),
        };
        bits.skip(length);
        Some(coefficients)
    }

    /// As [`Codes::leap`], with the value of the coefficient that comes last of them.
    #[inline]
    pub(super) fn coefficient(&self, bits: &mut Bits<'_>) -> Option<(u32, i32)> {
        let quick = self.coefficients[(bits.peek() >> (16 - QUICK)) as usize];
        let (length, coefficients, value) = match quick {
            0 => {
                let symbol = self.peek(bits)?;
                let (length, coefficients) = symbol.leap();
                (length, coefficients, signed(bits.word << symbol.length, u32::from(symbol.value & 15)))
            }
            _ => (quick as u32 & 0xFF, quick as u32 >> 8 & 0xFF, quick >> 16),
        };
        bits.skip_seen(length);
        Some((coefficients, value))
    }

    #[inline]
    fn peek(&self, bits: &mut Bits<'_>) -> Option<Symbol> {
        let next = bits.peek();
        let quick = self.quick[(next >> (16 - QUICK)) as usize];
        if quick != 0 {
            return Some(Symbol { length: u32::from(quick & 0xFF), value: (quick >> 8) as u8 });
        }
        let length = (QUICK + 1..=16).find(|&length| next < self.beyond[length as usize])?;
        let at = (next >> (16 - length)) as i32 + self.offset[length as usize];
        Some(Symbol { length, value: *self.values.get(at as usize)? })
    }
}

/// The number in the first `size` bits, at most 16: of the values of a size the lower half are those below zero (T.81,
/// table F.1).
#[inline]
fn signed(bits: u64, size: u32) -> i32 {
    let is_below = bits >> 63 == 0;
    (bits >> 1 >> (63 - size)) as i32 - if is_below { (1 << size) - 1 } else { 0 }
}

/// The bits between two markers.
pub(super) struct Bits<'a> {
    /// Without stuffed zeros.
    bytes: &'a [u8],
    /// How many bytes are in `word`, or were.
    read: usize,
    /// The next bits, the first on top, and how many of them there are.
    word: u64,
    left: u32,
}

impl<'a> Bits<'a> {
    /// The bits of `data` up to the next marker, and where that is; `buffer` takes them, without the zeros that are stuffed
    /// behind every 0xFF.
    pub(super) fn up_to_marker(data: &[u8], buffer: &'a mut Vec<u8>) -> (Self, usize) {
        buffer.clear();
        let (mut from, mut looked) = (0, 0);
        let end = loop {
            let Some(at) = data.get(looked..).and_then(|rest| memchr::memchr(0xFF, rest)) else { break data.len() };
            let at = looked + at;
            match data.get(at + 1) {
                Some(0) => {
                    buffer.extend_from_slice(&data[from..=at]);
                    (from, looked) = (at + 2, at + 2);
                }
                // Any number of them may stand before a marker.
                Some(0xFF) => looked = at + 1,
                Some(_) => break at,
                None => break data.len(),
            }
        };
        buffer.extend_from_slice(data.get(from..end).unwrap_or_default());
        (Self { bytes: buffer, read: 0, word: 0, left: 0 }, end)
    }

    /// The next 16 bits; zeros beyond the end. Behind them there are as many again.
    #[inline]
    fn peek(&mut self) -> u32 {
        if self.left < 32 {
            self.fill();
        }
        (self.word >> 48) as u32
    }

    #[inline]
    fn fill(&mut self) {
        let next = match self.bytes.get(self.read..).and_then(|rest| rest.first_chunk()) {
            Some(whole) => u32::from_be_bytes(*whole),
            None => u32::from_be_bytes(std::array::from_fn(|i| self.bytes.get(self.read + i).copied().unwrap_or(0))),
        };
        self.word |= u64::from(next) << (32 - self.left);
        self.left += 32;
        self.read += 4;
    }

    /// The next `count` bits, at most 16.
    pub(super) fn take(&mut self, count: u32) -> u32 {
        let bits = self.peek() >> (16 - count);
        self.skip(count);
        bits
    }

    /// Passes over `count` bits, at most 63.
    #[inline]
    pub(super) fn skip(&mut self, mut count: u32) {
        while count > self.left {
            count -= self.left;
            (self.word, self.left) = (0, 0);
            self.fill();
        }
        self.word <<= count;
        self.left -= count;
    }

    /// Passes over `count` bits, at most the 32 that are there after [`Bits::peek`].
    #[inline]
    fn skip_seen(&mut self, count: u32) {
        self.word <<= count;
        self.left -= count;
    }

    /// How many bits were taken.
    fn taken(&self) -> usize {
        8 * self.read - self.left as usize
    }

    /// Whether more was taken than there is.
    #[inline]
    pub(super) fn overdrawn(&self) -> bool {
        self.taken() > 8 * self.bytes.len()
    }

    /// Whether nothing is left but what fills a byte, or bytes that mean nothing.
    pub(super) fn is_spent(&self) -> bool {
        let rest = self.bytes.get(self.taken().div_ceil(8)..).unwrap_or_default();
        rest.iter().all(|byte| matches!(byte, 0 | 0xFF))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_by_their_lengths() {
        // 00, 01, 10 of two bits, 110 of three, and one of twelve.
        let mut counts = [0; 16];
        (counts[1], counts[2], counts[11]) = (3, 1, 1);
        let codes = Codes::new(&counts, &[5, 6, 7, 8, 9]).unwrap();
        let mut buffer = Vec::new();
        let mut bits = Bits::up_to_marker(&[0b0001_1011, 0b0111_0000, 0b0000_0000], &mut buffer).0;
        for (taken, value) in [(2, 5), (4, 6), (6, 7), (9, 8), (21, 9)] {
            assert_eq!((codes.take(&mut bits), bits.taken()), (Some(value), taken));
        }
        assert!(!bits.overdrawn() && bits.is_spent());
        bits.skip(4);
        assert!(bits.overdrawn());
        let none = &[0b1111_1111, 0, 0xFF, 0];
        assert_eq!(codes.take(&mut Bits::up_to_marker(none, &mut Vec::new()).0), None);
    }

    #[test]
    fn stuffed_zeros_are_taken_out() {
        let mut buffer = Vec::new();
        let (mut bits, end) = Bits::up_to_marker(&[0xFF, 0, 0x12, 0xFF, 0, 0xFF, 0xD9, 1], &mut buffer);
        assert_eq!(end, 5);
        assert_eq!([bits.take(8), bits.take(16)], [0xFF, 0x12FF]);
        assert!(!bits.overdrawn());
    }

    #[test]
    fn tables_with_more_codes_than_there_can_be_are_none() {
        let counts = |one: u8, two: u8| std::array::from_fn(|i| [one, two].get(i).copied().unwrap_or(0));
        assert!(Codes::new(&counts(2, 0), &[1, 2]).is_some());
        assert!(Codes::new(&counts(2, 1), &[1, 2, 3]).is_none());
        assert!(Codes::new(&counts(3, 0), &[1, 2, 3]).is_none());
        assert!(Codes::new(&counts(2, 0), &[1]).is_none());
    }
}
