//! The codes of one block, of every kind of scan (ITU-T T.81, annexes F and G).

use super::codes::{Bits, Codes, END_OF_BLOCK};

/// How far a DC coefficient is from the one before it (T.81, table F.1).
#[inline]
pub(super) fn dc_coefficient(dc: &Codes, bits: &mut Bits<'_>) -> Option<i32> {
    let size = u32::from(dc.take(bits)?);
    if size == 0 {
        return Some(0);
    }
    let value = (size <= 16).then(|| bits.take(size))? as i32;
    // Of the values of a size the lower half are those below zero.
    Some(if value >> (size - 1) == 0 { value - (1 << size) + 1 } else { value })
}

/// The AC coefficients of a block of a sequential picture.
#[inline]
pub(super) fn ac_coefficients(ac: &Codes, bits: &mut Bits<'_>) -> Option<()> {
    let mut k = 1;
    while k < 64 {
        k += ac.leap(bits)?;
    }
    (k == 64 || k > END_OF_BLOCK).then_some(())
}

/// The same, one after the other: the place in the file and the value of each.
#[inline]
pub(super) fn coefficients(ac: &Codes, bits: &mut Bits<'_>) -> impl FnMut() -> Option<Option<(usize, i32)>> {
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

/// A block of a scan that brings the first bits of a band.
pub(super) fn first_bits(
    [from, to]: [u32; 2],
    ac: &Codes,
    bits: &mut Bits<'_>,
    known: &mut u64,
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
            (15, 0) => k += 16,
            (log, 0) => {
                *run = (1 << log) + if log == 0 { 0 } else { bits.take(log) } - 1;
                return Some(());
            }
            (zeros, size) => {
                bits.skip(size);
                k += zeros;
                *known |= 1_u64.checked_shl(k)?;
                k += 1;
            }
        }
    }
    (k == to + 1).then_some(())
}

/// A block of a scan that brings one more bit of a band.
pub(super) fn one_more_bit(
    [from, to]: [u32; 2],
    ac: &Codes,
    bits: &mut Bits<'_>,
    known: &mut u64,
    run: &mut u32,
) -> Option<()> {
    let mut k = from;
    if *run == 0 {
        while k <= to {
            let value = ac.take(bits)?;
            let (mut zeros, size) = (u32::from(value >> 4), u32::from(value & 15));
            if size == 0 && zeros < 15 {
                *run = (1 << zeros) + if zeros == 0 { 0 } else { bits.take(zeros) };
                break;
            }
            // The sign of a coefficient that was zero until now.
            bits.skip(u32::from(size > 0));
            while k <= to {
                if *known >> k & 1 == 1 {
                    bits.skip(1);
                } else if zeros == 0 {
                    break;
                } else {
                    zeros -= 1;
                }
                k += 1;
            }
            if size > 0 {
                (k <= to).then(|| *known |= 1 << k)?;
            }
            k += 1;
        }
    }
    if *run > 0 {
        *run -= 1;
        // One bit of each that is known.
        let rest = (*known >> k.min(63)) & (u64::MAX >> (63 - to.saturating_sub(k).min(63)));
        if k <= to {
            bits.skip(rest.count_ones());
        }
    }
    Some(())
}
