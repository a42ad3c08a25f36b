//! Parses the Huffman codes of JPEG, either only to skip the coefficients that follow them or to read these too.

/// Codes of up to this many bits are found by one table lookup.
const LOOKUP_BITS: u32 = 10;

/// A Huffman code and its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Symbol {
    /// Length of the code in bits.
    length: u32,
    /// For AC coefficients, the number of zero coefficients that precede (upper half) and the number of bits that
    /// follow (lower half). For DC coefficients, only the number of bits that follow.
    value: u8,
}

impl Symbol {
    /// Length in bits of the code with the bits that follow it, and the number of coefficients that they encode.
    fn leap(self) -> (u32, u32) {
        let (zeros, size) = (u32::from(self.value >> 4), u32::from(self.value & 15));
        let coefficients = if self.value == 0 { END_OF_BLOCK } else { zeros + 1 };
        (self.length + size, coefficients)
    }
}

/// Stands for all remaining coefficients of a block; larger than the 63 AC coefficients that there can be.
pub(super) const END_OF_BLOCK: u32 = 128;

/// A table of Huffman codes as a DHT segment defines it (ITU-T T.81, annex C).
#[derive(Clone, Debug)]
pub(super) struct HuffmanTable {
    /// By the next [`LOOKUP_BITS`] bits: the length of the code in the lower byte and its value in the upper one. 0 if
    /// the code is longer or invalid.
    lookup: Vec<u16>,
    /// By the same bits: the result of [`Symbol::leap`], the length in the lower byte and the count in the upper one.
    leaps: Vec<u16>,
    /// By the same bits, if the coefficient ends within them: its value in the upper 16 bits, and the entry of `leaps`
    /// in the lower ones. Else 0.
    coefficients: Vec<i32>,
    /// By length: the first code after those of this length, shifted to 16 bits.
    code_ends: [u32; 17],
    /// By length: added to a code, it gives the index into `values`.
    offset: [i32; 17],
    values: Vec<u8>,
}

impl HuffmanTable {
    /// Builds the table from the number of codes of each length (1 to 16 bits) and their values. `None` if there are
    /// more codes than fit, or fewer values than codes.
    pub(super) fn new(counts: &[u8; 16], values: &[u8]) -> Option<Self> {
        let mut codes = Self {
            lookup: vec![0; 1 << LOOKUP_BITS],
            leaps: vec![0; 1 << LOOKUP_BITS],
            coefficients: vec![0; 1 << LOOKUP_BITS],
            code_ends: [0; 17],
            offset: [0; 17],
            values: values.to_owned(),
        };
        let (mut code, mut first_value) = (0_u32, 0_usize);
        for (length, &count) in (1_u32..).zip(counts) {
            codes.offset[length as usize] = first_value as i32 - code as i32;
            for &value in values.get(first_value..first_value + usize::from(count))? {
                // Every index that begins with the code gets its entry.
                if length <= LOOKUP_BITS {
                    let (from, span) = ((code << (LOOKUP_BITS - length)) as usize, 1 << (LOOKUP_BITS - length));
                    let (bits, coefficients) = Symbol { length, value }.leap();
                    codes.lookup.get_mut(from..from + span)?.fill(u16::from(value) << 8 | length as u16);
                    codes.leaps[from..from + span].fill((coefficients << 8 | bits) as u16);
                }
                code += 1;
            }
            first_value += usize::from(count);
            // More codes than this length allows.
            (code <= 1 << length).then_some(())?;
            codes.code_ends[length as usize] = code << (16 - length);
            code <<= 1;
        }
        codes.fill_coefficients();
        Some(codes)
    }

    /// Fills `coefficients` from `lookup` and `leaps`.
    fn fill_coefficients(&mut self) {
        for (next, (&code, &leap)) in self.lookup.iter().zip(&self.leaps).enumerate() {
            let (length, size) = (u32::from(code & 0xFF), u32::from(code >> 8 & 15));
            if code != 0 && length + size <= LOOKUP_BITS {
                self.coefficients[next] =
                    signed((next as u64) << (64 - LOOKUP_BITS + length), size) << 16 | i32::from(leap);
            }
        }
    }

    /// Reads the next code and returns its value. `None` if the code is invalid.
    #[inline]
    pub(super) fn take(&self, bits: &mut BitReader<'_>) -> Option<u8> {
        let symbol = self.peek(bits)?;
        bits.skip(symbol.length);
        Some(symbol.value)
    }

    /// Skips the next AC coefficient of a sequential picture: its code and the bits that follow. Returns the number of
    /// coefficients that they encode, or [`END_OF_BLOCK`] for all remaining ones.
    #[inline]
    pub(super) fn leap(&self, bits: &mut BitReader<'_>) -> Option<u32> {
        let lookup = self.leaps[(bits.peek() >> (16 - LOOKUP_BITS)) as usize];
        let (length, coefficients) = match lookup {
            0 => self.peek(bits)?.leap(),
            _ => (u32::from(lookup & 0xFF), u32::from(lookup >> 8)),
        };
        bits.skip(length);
        Some(coefficients)
    }

    /// Reads the next AC coefficient as [`HuffmanTable::leap`] does, and also returns its value. The coefficients
    /// before it are zero.
    #[inline]
    pub(super) fn coefficient(&self, bits: &mut BitReader<'_>) -> Option<(u32, i32)> {
        let lookup = self.coefficients[(bits.peek() >> (16 - LOOKUP_BITS)) as usize];
        let (length, coefficients, value) = match lookup {
            0 => {
                let symbol = self.peek(bits)?;
                let (length, coefficients) = symbol.leap();
                (length, coefficients, signed(bits.word << symbol.length, u32::from(symbol.value & 15)))
            }
            _ => (lookup as u32 & 0xFF, lookup as u32 >> 8 & 0xFF, lookup >> 16),
        };
        bits.skip_valid(length);
        Some((coefficients, value))
    }

    /// Returns the next code without consuming it.
    #[inline]
    fn peek(&self, bits: &mut BitReader<'_>) -> Option<Symbol> {
        let next = bits.peek();
        let lookup = self.lookup[(next >> (16 - LOOKUP_BITS)) as usize];
        if lookup != 0 {
            return Some(Symbol { length: u32::from(lookup & 0xFF), value: (lookup >> 8) as u8 });
        }
        // Codes of one length are consecutive, and shorter codes come first.
        let length = (LOOKUP_BITS + 1..=16).find(|&length| next < self.code_ends[length as usize])?;
        let index = (next >> (16 - length)) as i32 + self.offset[length as usize];
        Some(Symbol { length, value: *self.values.get(index as usize)? })
    }
}

/// The value encoded in the first `size` bits (at most 16): if the first bit is 0, the value is negative (T.81, table
/// F.1).
#[inline]
fn signed(bits: u64, size: u32) -> i32 {
    let is_negative = bits >> 63 == 0;
    (bits >> 1 >> (63 - size)) as i32 - if is_negative { (1 << size) - 1 } else { 0 }
}

/// Reads the bits between two markers.
pub(super) struct BitReader<'a> {
    /// The data without stuffed zeros.
    bytes: &'a [u8],
    /// Number of bytes that were loaded into `word` so far.
    loaded_bytes: usize,
    /// The next bits, from the highest bit on.
    word: u64,
    /// Number of valid bits in `word`.
    valid_bits: u32,
}

impl<'a> BitReader<'a> {
    /// Returns a reader of `data` up to the next marker, and the marker's offset. `buffer` receives the data without
    /// the zeros that are stuffed after every 0xFF.
    pub(super) fn up_to_marker(data: &[u8], buffer: &'a mut Vec<u8>) -> (Self, usize) {
        buffer.clear();
        let (mut from, mut searched) = (0, 0);
        let end = loop {
            let Some(marker) = data.get(searched..).and_then(|rest| memchr::memchr(0xFF, rest)) else {
                break data.len();
            };
            let marker = searched + marker;
            match data.get(marker + 1) {
                Some(0) => {
                    buffer.extend_from_slice(&data[from..=marker]);
                    (from, searched) = (marker + 2, marker + 2);
                }
                // Any number of fill bytes 0xFF may precede a marker.
                Some(0xFF) => searched = marker + 1,
                Some(_) => break marker,
                None => break data.len(),
            }
        };
        buffer.extend_from_slice(data.get(from..end).unwrap_or_default());
        (Self { bytes: buffer, loaded_bytes: 0, word: 0, valid_bits: 0 }, end)
    }

    /// Returns the next 16 bits, with zeros beyond the end, without consuming them. Afterwards, `word` has at least 32
    /// valid bits.
    #[inline]
    fn peek(&mut self) -> u32 {
        if self.valid_bits < 32 {
            self.fill();
        }
        (self.word >> 48) as u32
    }

    /// Loads the next four bytes, with zeros beyond the end. `word` must have room for them.
    #[inline]
    fn fill(&mut self) {
        let next = match self.bytes.get(self.loaded_bytes..).and_then(|rest| rest.first_chunk()) {
            Some(four_bytes) => u32::from_be_bytes(*four_bytes),
            None => {
                u32::from_be_bytes(std::array::from_fn(|i| self.bytes.get(self.loaded_bytes + i).copied().unwrap_or(0)))
            }
        };
        self.word |= u64::from(next) << (32 - self.valid_bits);
        self.valid_bits += 32;
        self.loaded_bytes += 4;
    }

    /// Reads the next `count` bits (at most 16).
    pub(super) fn take(&mut self, count: u32) -> u32 {
        let bits = self.peek() >> (16 - count);
        self.skip(count);
        bits
    }

    /// Skips `count` bits (at most 63).
    #[inline]
    pub(super) fn skip(&mut self, mut count: u32) {
        while count > self.valid_bits {
            count -= self.valid_bits;
            (self.word, self.valid_bits) = (0, 0);
            self.fill();
        }
        self.word <<= count;
        self.valid_bits -= count;
    }

    /// Skips `count` bits: at most the 32 that are valid after [`BitReader::peek`].
    #[inline]
    fn skip_valid(&mut self, count: u32) {
        self.word <<= count;
        self.valid_bits -= count;
    }

    /// Number of bits that were consumed, including those beyond the end.
    fn consumed_bits(&self) -> usize {
        8 * self.loaded_bytes - self.valid_bits as usize
    }

    /// Whether more bits were consumed than there are.
    #[inline]
    pub(super) fn is_past_end(&self) -> bool {
        self.consumed_bits() > 8 * self.bytes.len()
    }

    /// Whether only padding is left: the rest of a byte, or bytes of 0 or 0xFF.
    pub(super) fn is_exhausted(&self) -> bool {
        let rest = self.bytes.get(self.consumed_bits().div_ceil(8)..).unwrap_or_default();
        rest.iter().all(|byte| matches!(byte, 0 | 0xFF))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_by_their_lengths() {
        // The codes 00, 01 and 10 of two bits, 110 of three bits, and one of twelve bits.
        let mut counts = [0; 16];
        (counts[1], counts[2], counts[11]) = (3, 1, 1);
        let codes = HuffmanTable::new(&counts, &[5, 6, 7, 8, 9]).unwrap();
        let mut buffer = Vec::new();
        let mut bits = BitReader::up_to_marker(&[0b0001_1011, 0b0111_0000, 0b0000_0000], &mut buffer).0;
        for (taken, value) in [(2, 5), (4, 6), (6, 7), (9, 8), (21, 9)] {
            assert_eq!((codes.take(&mut bits), bits.consumed_bits()), (Some(value), taken));
        }
        assert!(!bits.is_past_end() && bits.is_exhausted());
        bits.skip(4);
        assert!(bits.is_past_end());
        let none = &[0b1111_1111, 0, 0xFF, 0];
        assert_eq!(codes.take(&mut BitReader::up_to_marker(none, &mut Vec::new()).0), None);
    }

    #[test]
    fn stuffed_zeros_are_taken_out() {
        let mut buffer = Vec::new();
        let (mut bits, end) = BitReader::up_to_marker(&[0xFF, 0, 0x12, 0xFF, 0, 0xFF, 0xD9, 1], &mut buffer);
        assert_eq!(end, 5);
        assert_eq!([bits.take(8), bits.take(16)], [0xFF, 0x12FF]);
        assert!(!bits.is_past_end());
    }

    #[test]
    fn tables_with_more_codes_than_there_can_be_are_none() {
        let counts = |one: u8, two: u8| std::array::from_fn(|i| [one, two].get(i).copied().unwrap_or(0));
        assert!(HuffmanTable::new(&counts(2, 0), &[1, 2]).is_some());
        assert!(HuffmanTable::new(&counts(2, 1), &[1, 2, 3]).is_none());
        assert!(HuffmanTable::new(&counts(3, 0), &[1, 2, 3]).is_none());
        assert!(HuffmanTable::new(&counts(2, 0), &[1]).is_none());
    }
}
