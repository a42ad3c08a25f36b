//! Whether the data of a JPEG are what its markers promise.
//!
//! Decoders show something of any data and say nothing. So the codes are followed once more, without making pixels of
//! them: in every interval between two markers there have to be just as many blocks as belong there (ITU-T T.81,
//! annexes F and G). Where a small picture is wanted, it is made on the way.

use image::RgbImage;

use super::blockwise::{ac_coefficients, coefficients, dc_coefficient, first_bits, one_more_bit};
use super::codes::{Bits, Codes};
use super::small::{Described, Small};
use super::{is_frame, segments::Segment, segments::segments};

/// The DC coefficient of a white block; that of a black one is as far below zero.
const MOST_DC: i64 = 1024;

/// What is wrong with the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// They end before the picture does.
    Cut,
    /// They are not as they were written.
    Broken,
}

/// Follows the data of a JPEG of this size, as its decoder tells. What cannot be followed because it is of another kind
/// is without a flaw.
pub(super) fn flaw(bytes: &[u8], size: (u32, u32)) -> Option<Flaw> {
    Walk::default().through(bytes, size)
}

/// The picture, `shrink` times smaller (2, 4 or 8): of one that is sequential, of a usual kind and without a flaw.
pub(super) fn small(bytes: &[u8], size: (u32, u32), shrink: usize) -> Option<RgbImage> {
    let mut walk = Walk { shrink, ..Walk::default() };
    match walk.through(bytes, size) {
        None => walk.small?.picture(),
        Some(_) => None,
    }
}

/// Width and height, as a frame says.
fn frame_size(body: &[u8]) -> Option<(u32, u32)> {
    Some((number(body.get(3..)?)?.into(), number(body.get(1..)?)?.into()))
}

fn number(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.first_chunk()?))
}

/// What the segments have said so far.
#[derive(Default)]
struct Walk {
    progressive: bool,
    size: [usize; 2],
    components: Vec<Component>,
    dc: [Option<Codes>; 4],
    ac: [Option<Codes>; 4],
    /// The tables of quantisation, in the order of the file; 0 where there is none.
    steps: [Steps; 4],
    /// MCUs between two restart markers; 0: there are none.
    interval: usize,
    /// The data of an interval without stuffing; a buffer that is used again.
    unstuffed: Vec<u8>,
    /// How many times smaller a picture is wanted; 0: none is.
    shrink: usize,
    small: Option<Small>,
    /// What Adobe's segment says of the colours.
    transform: Option<u8>,
}

#[derive(Clone)]
struct Steps([u16; 64]);

impl Default for Steps {
    fn default() -> Self {
        Self([0; 64])
    }
}

#[derive(Default)]
struct Component {
    id: u8,
    /// Number of its table of quantisation.
    table: u8,
    /// The last DC coefficient, in steps.
    dc: i32,
    /// Blocks of an MCU across and down.
    sampling: [usize; 2],
    /// Blocks across and down, as a scan of this component alone has them.
    blocks: [usize; 2],
    /// Blocks across as scans of several components have them.
    stride: usize,
    /// Of a progressive picture: for each block, which coefficients are known not to be zero.
    known: Vec<u64>,
    /// Bits of the DC coefficient that have not come yet; none if nothing has come.
    missing: Option<u8>,
}

/// One scan, as its header says.
struct Scan {
    /// Index of the component and of its two tables.
    parts: Vec<[usize; 3]>,
    /// First and last coefficient.
    band: [u32; 2],
    /// Whether it brings one more bit of coefficients that have come.
    refines: bool,
    /// Bits that are still to come.
    low: u8,
}

impl Walk {
    /// Goes through all segments.
    fn through(&mut self, bytes: &[u8], size: (u32, u32)) -> Option<Flaw> {
        let mut ended = false;
        for Segment { marker, body, data } in segments(bytes) {
            match marker {
                0xC4 if self.codes(body).is_none() => return Some(Flaw::Broken),
                0xDB if self.steps(body).is_none() => return Some(Flaw::Broken),
                // The other decoder takes the last one, whatever it says.
                0xEE if body.starts_with(b"Adobe") => self.transform = body.get(11).copied(),
                0xDD => self.interval = usize::from(number(body)?),
                0xDA => {
                    let scan = self.scan(body)?;
                    if let Err(flaw) = self.follow(&scan, data) {
                        return Some(flaw);
                    }
                }
                0xD9 => {
                    ended = true;
                    break;
                }
                // Another picture, of which the beginning was taken for a part of this one.
                _ if is_frame(marker) && !self.components.is_empty() => return Some(Flaw::Broken),
                // Nothing is allocated for a size that was not checked.
                _ if is_frame(marker) && frame_size(body) != Some(size) => return Some(Flaw::Broken),
                _ if is_frame(marker) => self.frame(marker, body)?,
                _ => {}
            }
        }
        // Some writers leave out the end marker of a picture that is whole.
        (!self.is_whole(ended)).then_some(Flaw::Cut)
    }

    fn frame(&mut self, marker: u8, body: &[u8]) -> Option<()> {
        let (width, height) = frame_size(body)?;
        self.size = [width as usize, height as usize];
        let (count, rest) = body.get(5..)?.split_first()?;
        self.progressive = matches!(marker, 0xC2);
        let parts = rest.chunks_exact(3).take(usize::from(*count));
        self.components = parts
            .map(|part| Component {
                id: part[0],
                table: part[2] & 3,
                sampling: [usize::from(part[1] >> 4), usize::from(part[1] & 15)],
                ..Component::default()
            })
            .collect();
        let most = [0, 1].map(|axis| self.components.iter().map(|part| part.sampling[axis]).max().unwrap_or(0));
        let usual = |part: &Component| part.sampling.iter().all(|side| (1..=4).contains(side));
        (self.components.len() <= 4 && self.components.iter().all(usual)).then_some(())?;
        self.size.iter().all(|&side| side > 0).then_some(())?;
        let mcus = [0, 1].map(|axis| self.size[axis].div_ceil(8 * most[axis]));
        for part in &mut self.components {
            part.blocks = [0, 1].map(|axis| (self.size[axis] * part.sampling[axis]).div_ceil(8 * most[axis]));
            part.stride = mcus[0] * part.sampling[0];
            if self.progressive {
                part.known = vec![0; part.stride * mcus[1] * part.sampling[1]];
            }
        }
        Some(())
    }

    fn codes(&mut self, mut body: &[u8]) -> Option<()> {
        while let [class, rest @ ..] = body {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let total = counts.iter().map(|&count| usize::from(count)).sum();
            let values = rest.get(..total)?;
            let tables = if class >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            *tables.get_mut(usize::from(class & 15))? = Some(Codes::new(counts, values)?);
            body = &rest[total..];
        }
        Some(())
    }

    fn steps(&mut self, mut body: &[u8]) -> Option<()> {
        while let [table, rest @ ..] = body {
            let wide = usize::from(table >> 4);
            let (steps, after) = rest.split_at_checked(64 * (1 + wide))?;
            let step = |i: usize| if wide == 0 { u16::from(steps[i]) } else { number(&steps[2 * i..]).unwrap_or(0) };
            *self.steps.get_mut(usize::from(table & 15))? = Steps(std::array::from_fn(step));
            body = after;
        }
        Some(())
    }

    fn scan(&self, body: &[u8]) -> Option<Scan> {
        // Frames of films rely on tables that everybody knows.
        self.dc.iter().chain(&self.ac).find_map(Option::as_ref)?;
        let (&count, rest) = body.split_first()?;
        let (parts, tail) = rest.split_at_checked(2 * usize::from(count))?;
        let [from, to, bits, ..] = *tail else { return None };
        let place = |part: &[u8]| {
            let component = self.components.iter().position(|component| component.id == part[0])?;
            Some([component, usize::from(part[1] >> 4), usize::from(part[1] & 15)])
        };
        let parts: Vec<_> = parts.chunks_exact(2).map(place).collect::<Option<_>>()?;
        let band = if self.progressive { [from, to].map(u32::from) } else { [0, 63] };
        (!parts.is_empty() && band[0] <= band[1] && band[1] < 64).then_some(())?;
        (!self.progressive || band[0] == 0 || parts.len() == 1).then_some(())?;
        Some(Scan { parts, band, refines: self.progressive && bits >> 4 != 0, low: bits & 15 })
    }

    /// Whether all has come that belongs to the picture.
    fn is_whole(&self, ended: bool) -> bool {
        self.components.iter().all(|part| part.missing == Some(0)) && (ended || !self.progressive)
    }

    fn follow(&mut self, scan: &Scan, mut data: &[u8]) -> Result<(), Flaw> {
        let part = &self.components[scan.parts[0][0]];
        let [columns, rows] = match scan.parts.len() {
            1 => part.blocks,
            _ => [part.stride / part.sampling[0], part.blocks[1].div_ceil(part.sampling[1])],
        };
        let (mcus, mut done) = (columns * rows, 0);
        self.begin_small(scan, columns);
        let mut unstuffed = std::mem::take(&mut self.unstuffed);
        for restart in 0.. {
            let count = if self.interval == 0 { mcus - done } else { self.interval.min(mcus - done) };
            let (mut bits, end) = Bits::up_to_marker(data, &mut unstuffed);
            let mut run = 0;
            self.components.iter_mut().for_each(|part| part.dc = 0);
            for mcu in done..done + count {
                let at = [mcu % columns, mcu / columns];
                self.mcu(scan, at, &mut bits, &mut run).ok_or(Flaw::Broken)?;
                if let Some(small) = self.small.as_mut().filter(|_| at[0] + 1 == columns) {
                    small.row();
                }
                if bits.overdrawn() {
                    return Err(if end == data.len() { Flaw::Cut } else { Flaw::Broken });
                }
            }
            if !bits.is_spent() {
                return Err(Flaw::Broken);
            }
            done += count;
            data = &data[end..];
            match data {
                [] if done == mcus => break,
                [0xFF, marker, rest @ ..] if done < mcus && *marker == 0xD0 + (restart % 8) as u8 => data = rest,
                [] => return Err(Flaw::Cut),
                // A marker that comes after all and means nothing any more.
                [0xFF, 0xD0..=0xD7, rest @ ..] if done == mcus && is_end(rest) => break,
                [0xFF, 0xD0..=0xD7, ..] => return Err(Flaw::Broken),
                _ if done == mcus => break,
                _ => return Err(Flaw::Broken),
            }
        }
        self.unstuffed = unstuffed;
        for [component, ..] in &scan.parts {
            if scan.band[0] == 0 {
                self.components[*component].missing = Some(if self.progressive { scan.low } else { 0 });
            }
        }
        Ok(())
    }

    /// Begins a small picture, if one is wanted and this scan has all there is of it.
    fn begin_small(&mut self, scan: &Scan, columns: usize) {
        self.small = None;
        let in_order = scan.parts.iter().map(|part| part[0]).eq(0..self.components.len());
        if self.shrink == 0 || self.progressive || !in_order {
            return;
        }
        // Colours other than these are left to the usual decoder.
        let is_rgb = self.components.iter().map(|part| part.id).eq(*b"RGB");
        if self.components.len() == 3 && !is_rgb && self.transform.is_some_and(|transform| transform != 1) {
            return;
        }
        // Blocks of one component stand in rows, whatever is said of their number in an MCU.
        let sampling = |part: &Component| if scan.parts.len() == 1 { [1, 1] } else { part.sampling };
        let steps = |part: &Component| &self.steps[usize::from(part.table)].0;
        let described = |part| Described { sampling: sampling(part), steps: steps(part) };
        let parts: Vec<_> = self.components.iter().map(described).collect();
        self.small = Small::new(self.size, self.shrink, columns, &parts, is_rgb);
    }

    /// Follows the codes of one MCU; `run` is how many blocks are to come without any.
    fn mcu(&mut self, scan: &Scan, [column, row]: [usize; 2], bits: &mut Bits<'_>, run: &mut u32) -> Option<()> {
        for &[component, dc, ac] in &scan.parts {
            let part = &mut self.components[component];
            let (dc, ac) = (self.dc.get(dc)?.as_ref(), self.ac.get(ac)?.as_ref());
            let step = i64::from(self.steps[usize::from(part.table)].0[0]);
            // No mean of 64 samples is beyond those of black and white, but for the rounding.
            let in_range = |dc: i32, low: u8| ((i64::from(dc) << low) * step).abs().le(&(MOST_DC + step)).then_some(());
            let [across, down] = if scan.parts.len() == 1 { [1, 1] } else { part.sampling };
            if !self.progressive {
                for (y, x) in (0..down).flat_map(|y| (0..across).map(move |x| (y, x))) {
                    part.dc += dc_coefficient(dc?, bits)?;
                    let Some(small) = &mut self.small else {
                        ac_coefficients(ac?, bits)?;
                        continue;
                    };
                    let at = [column * across + x, y];
                    if small.is_flat(component) {
                        small.block(component, at, part.dc, || Some(None))?;
                        ac_coefficients(ac?, bits)?;
                    } else {
                        small.block(component, at, part.dc, coefficients(ac?, bits))?;
                    }
                }
                in_range(part.dc, 0)?;
                continue;
            }
            for (y, x) in (0..down).flat_map(|y| (0..across).map(move |x| (y, x))) {
                let at = (row * down + y) * part.stride + column * across + x;
                let known = part.known.get_mut(at)?;
                match (scan.band[0], scan.refines) {
                    (0, false) => {
                        part.dc += dc_coefficient(dc?, bits)?;
                        in_range(part.dc, scan.low)?;
                    }
                    (0, true) => bits.skip(1),
                    (_, false) => first_bits(scan.band, ac?, bits, known, run)?,
                    (_, true) => one_more_bit(scan.band, ac?, bits, known, run)?,
                }
            }
        }
        Some(())
    }
}

/// Whether the data of a scan end here.
fn is_end(data: &[u8]) -> bool {
    match data {
        [] => true,
        [0xFF, marker, ..] => !matches!(marker, 0 | 0xFF | 0xD0..=0xD7),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{BASELINE, PROGRESSIVE, RESTARTS, SCANS, whole};
    use super::*;
    use proptest::prelude::*;

    /// Of the golden pictures, which have one size.
    fn flaw(bytes: &[u8]) -> Option<Flaw> {
        super::flaw(bytes, (100, 75))
    }

    /// Where the data of the first scan begin, and those of the last one end.
    fn data(bytes: &[u8]) -> (usize, usize) {
        let first = segments(bytes).find(|segment| segment.marker == 0xDA).unwrap();
        assert_eq!(bytes.last_chunk(), Some(&[0xFF, 0xD9]));
        (bytes.len() - first.data.len(), bytes.len() - 2)
    }

    #[test]
    fn whole_pictures_have_no_flaw() {
        for bytes in whole() {
            assert_eq!(flaw(bytes), None);
        }
        let (_, end) = data(BASELINE);
        assert_eq!(flaw(&BASELINE[..end]), None, "only the end marker is missing");
        assert_eq!(flaw(&[BASELINE, b"what a camera appends"].concat()), None);
    }

    #[test]
    fn a_cut_is_told_from_a_break() {
        for bytes in whole() {
            let (from, to) = data(bytes);
            let half = &bytes[..(from + to) / 2];
            assert_eq!(flaw(half), Some(Flaw::Cut));
            assert!(flaw(&[half, &[0xFF, 0xD9]].concat()).is_some(), "an end marker in the middle");
            assert!(flaw(&[half, BASELINE].concat()).is_some(), "another picture behind it");
        }
        // A scan that is not there.
        let last = SCANS.windows(2).rposition(|pair| pair == [0xFF, 0xDA]).unwrap();
        assert_eq!(flaw(&[&SCANS[..last], &[0xFF, 0xD9]].concat()), Some(Flaw::Cut));
        let first = PROGRESSIVE.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
        assert_eq!(flaw(&PROGRESSIVE[..first]), Some(Flaw::Cut));
    }

    #[test]
    fn a_size_that_the_decoder_does_not_know_is_not_reckoned_with() {
        for bytes in whole() {
            assert_eq!(super::flaw(bytes, (100, 76)), Some(Flaw::Broken));
        }
    }

    #[test]
    fn a_restart_that_is_missing_or_in_the_wrong_place_is_a_flaw() {
        let marks: Vec<usize> = (0..RESTARTS.len() - 1)
            .filter(|&at| RESTARTS[at] == 0xFF && matches!(RESTARTS[at + 1], 0xD0..=0xD7))
            .collect();
        assert!(marks.len() > 8);
        for &at in &marks {
            let mut other = RESTARTS.to_vec();
            other[at + 1] ^= 1;
            assert_eq!(flaw(&other), Some(Flaw::Broken));
            other.drain(at..at + 2);
            assert_eq!(flaw(&other), Some(Flaw::Broken));
        }
    }

    /// What is left of the data may by chance have just as many blocks.
    #[test]
    fn bytes_that_are_gone_are_nearly_always_missed() {
        let mut missed = 0;
        for bytes in whole() {
            let (from, to) = data(bytes);
            let at = |i: usize| from + (to - from - 40) * i / 50;
            missed += (0..50).filter(|&i| flaw(&[&bytes[..at(i)], &bytes[at(i) + 40..]].concat()).is_some()).count();
        }
        assert!(missed > 270, "{missed} of 300");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn nothing_breaks_the_walk(which in 0..whole().len(), changes in prop::collection::vec((0.0..1.0, any::<u8>()), 1..20)) {
            let mut bytes = whole()[which].to_vec();
            for (place, value) in changes {
                let at = (bytes.len() as f64 * place) as usize;
                bytes[at] = value;
            }
            flaw(&bytes);
        }
    }
}
