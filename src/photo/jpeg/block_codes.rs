//! Parses the codes of one block in each kind of scan (ITU-T T.81, annexes F and G).
//!
//! Every function returns `None` if the codes are invalid. Coefficients are counted in zigzag order, and 0 is DC.

use super::huffman::{BitReader, END_OF_BLOCK, HuffmanTable};

/// Reads the difference of a DC coefficient from the previous one (T.81, table F.1).
#[inline]
pub(super) fn dc_coefficient(dc: &HuffmanTable, bits: &mut BitReader<'_>) -> Option<i32> {
    let size = u32::from(dc.take(bits)?);
    if size == 0 {
        return Some(0);
    }
    let value = (size <= 16).then(|| bits.take(size))? as i32;
    // If the first bit is 0, the value is negative.
    Some(if value >> (size - 1) == 0 { value - (1 << size) + 1 } else { value })
}

/// Skips the AC coefficients of a block of a sequential picture.
#[inline]
pub(super) fn ac_coefficients(ac: &HuffmanTable, bits: &mut BitReader<'_>) -> Option<()> {
    let mut k = 1;
    while k < 64 {
        k += ac.leap(bits)?;
    }
    // A run that goes beyond the block without an end-of-block code is invalid.
    (k == 64 || k > END_OF_BLOCK).then_some(())
}

/// Reads the AC coefficients of a block of a sequential picture one after the other: the index and the value of each,
/// and then `Some(None)` at the end of the block.
#[inline]
pub(super) fn coefficients(
    ac: &HuffmanTable,
    bits: &mut BitReader<'_>,
) -> impl FnMut() -> Option<Option<(usize, i32)>> {
    let mut k = 1;
    move || {
        if k == 64 {
            return Some(None);
        }
        let (count, value) = ac.coefficient(bits)?;
        k += count;
        if k <= 64 { Some(Some((k as usize - 1, value))) } else { (k > END_OF_BLOCK).then_some(None) }
    }
}

/// Parses a block of a scan that sends the first bits of the coefficients `from` to `to` (T.81, G.1.2.2). The
/// coefficients that are not zero are added to `nonzero`. `run` is the number of following blocks without coefficients
/// in this band (EOBRUN in T.81).
pub(super) fn ac_first_scan(
    [from, to]: [u32; 2],
    ac: &HuffmanTable,
    bits: &mut BitReader<'_>,
    nonzero: &mut u64,
    run: &mut u32,
) -> Option<()> {
    if *run > 0 {
        *run -= 1;
        return Some(());
    }
    let mut k = from;
    while k <= to {
        let value = ac.take(bits)?;
        match (u32::from(value >> 4), u32::from(value & 15)) {
            // A run of 16 zeros without a coefficient.
            (15, 0) => k += 16,
            // An end of band: this block and a number of following ones have no more coefficients.
            (run_bits, 0) => {
                *run = end_of_band_run(bits, run_bits) - 1;
                return Some(());
            }
            (zeros, size) => {
                bits.skip(size);
                k += zeros;
                *nonzero |= 1_u64.checked_shl(k)?;
                k += 1;
            }
        }
    }
    (k == to + 1).then_some(())
}

/// The number of blocks that an end of band covers, this one included: 2^`run_bits`, and what the next `run_bits` bits
/// add (T.81, table G.1).
fn end_of_band_run(bits: &mut BitReader<'_>, run_bits: u32) -> u32 {
    (1 << run_bits) + if run_bits == 0 { 0 } else { bits.take(run_bits) }
}

/// Parses a block of a scan that sends one more bit of the coefficients `from` to `to` (T.81, G.1.2.3). Zeros are
/// counted only over coefficients that are still zero; each of the others has a correction bit.
pub(super) fn ac_refinement_scan(
    [from, to]: [u32; 2],
    ac: &HuffmanTable,
    bits: &mut BitReader<'_>,
    nonzero: &mut u64,
    run: &mut u32,
) -> Option<()> {
    let mut k = from;
    if *run == 0 {
        while k <= to {
            let value = ac.take(bits)?;
            let (mut zeros, size) = (u32::from(value >> 4), u32::from(value & 15));
            if size == 0 && zeros < 15 {
                *run = end_of_band_run(bits, zeros);
                break;
            }
            // The sign of a coefficient that becomes nonzero.
            bits.skip(u32::from(size > 0));
            while k <= to {
                if *nonzero >> k & 1 == 1 {
                    bits.skip(1);
                } else if zeros == 0 {
                    break;
                } else {
                    zeros -= 1;
                }
                k += 1;
            }
            if size > 0 {
                (k <= to).then(|| *nonzero |= 1 << k)?;
            }
            k += 1;
        }
    }
    if *run > 0 {
        *run -= 1;
        // In the rest of the band, each nonzero coefficient has one correction bit.
        let remaining = (*nonzero >> k.min(63)) & (u64::MAX >> (63 - to.saturating_sub(k).min(63)));
        if k <= to {
            bits.skip(remaining.count_ones());
        }
    }
    Some(())
}
