//! Checks that the entropy-coded data of a JPEG is complete and consistent with its headers.
//!
//! Decoders return some picture for any data, without an error. So this parses the Huffman codes once more, without
//! computing pixels: every interval between two markers must contain exactly the number of blocks that belongs there
//! (ITU-T T.81, annexes F and G). If a small picture is requested, it is decoded in the same pass.

use image::RgbImage;

use super::block_codes::{ac_coefficients, ac_first_scan, ac_refinement_scan, coefficients, dc_coefficient};
use super::downscale::{ComponentSpec, Downscaler};
use super::huffman::{BitReader, HuffmanTable};
use super::{is_frame, segments::Segment, segments::segments};

/// Magnitude of the dequantised DC coefficient of a white or black block: 8 times the level shift of 128.
const MAX_DC: i64 = 1024;

/// A kind of damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Defect {
    /// The data ends before the picture is complete.
    Truncated,
    /// The data contradicts itself or the headers.
    Corrupt,
}

/// Checks a JPEG. `size` is the size that the decoder read. A JPEG of a kind that this cannot parse counts as
/// undamaged.
pub(super) fn flaw(bytes: &[u8], size: (u32, u32)) -> Option<Defect> {
    DataChecker::default().check(bytes, size)
}

/// Decodes a picture `shrink` times smaller (2, 4 or 8). `None` if it is not sequential, of a rare kind, or damaged.
pub(super) fn small(bytes: &[u8], size: (u32, u32), shrink: usize) -> Option<RgbImage> {
    let mut checker = DataChecker { shrink, ..DataChecker::default() };
    match checker.check(bytes, size) {
        None => checker.small?.picture(),
        Some(_) => None,
    }
}

/// Width and height in a frame header (SOF).
fn frame_size(body: &[u8]) -> Option<(u32, u32)> {
    Some((be_u16(body.get(3..)?)?.into(), be_u16(body.get(1..)?)?.into()))
}

fn be_u16(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.first_chunk()?))
}

/// State of the check: what the segments so far have defined.
#[derive(Default)]
struct DataChecker {
    progressive: bool,
    /// Width and height in pixels.
    size: [usize; 2],
    components: Vec<Component>,
    dc: [Option<HuffmanTable>; 4],
    ac: [Option<HuffmanTable>; 4],
    /// The quantisation tables, in zigzag order; all 0 where there is none.
    steps: [QuantisationTable; 4],
    /// Number of MCUs (minimum coded units) between two restart markers; 0 if there are no restart markers.
    interval: usize,
    /// A reused buffer for the data of one interval without stuffed zeros.
    unstuffed: Vec<u8>,
    /// The factor of the small picture; 0 if none is requested.
    shrink: usize,
    small: Option<Downscaler>,
    /// The colour transform in Adobe's APP14 segment: 0 is none, 1 is YCbCr, 2 is YCCK.
    transform: Option<u8>,
}

#[derive(Clone)]
struct QuantisationTable([u16; 64]);

impl Default for QuantisationTable {
    fn default() -> Self {
        Self([0; 64])
    }
}

/// A colour component, as the frame header defines it.
#[derive(Default)]
struct Component {
    id: u8,
    /// Index of its quantisation table.
    table: u8,
    /// The last DC coefficient, before dequantisation. The next one is coded as the difference from it.
    dc: i32,
    /// Blocks per MCU, horizontally and vertically.
    sampling: [usize; 2],
    /// Blocks per row and per column, in a scan of this component alone (T.81, A.2.2).
    blocks: [usize; 2],
    /// Blocks per row in scans of several components, which are padded to whole MCUs.
    stride: usize,
    /// Only of a progressive picture: for each block, a bit set of the coefficients that are not zero so far.
    nonzero: Vec<u64>,
    /// Number of low bits of the DC coefficients that no scan has sent yet; `None` before the first scan.
    missing: Option<u8>,
}

/// The header of a scan (SOS).
struct Scan {
    /// For each component in the scan, its index and the indices of its DC and AC Huffman tables.
    parts: Vec<[usize; 3]>,
    /// First and last coefficient, in zigzag order.
    band: [u32; 2],
    /// Whether the scan adds one more bit to coefficients that were sent before (successive approximation).
    refines: bool,
    /// Number of low bits that later scans add.
    low: u8,
}

impl DataChecker {
    /// Checks all segments in order, and returns the first damage. `None` also if the JPEG is of a kind that cannot be
    /// parsed.
    fn check(&mut self, bytes: &[u8], size: (u32, u32)) -> Option<Defect> {
        let mut ended = false;
        for Segment { marker, body, data } in segments(bytes) {
            match marker {
                0xC4 if self.read_huffman_tables(body).is_none() => return Some(Defect::Corrupt),
                0xDB if self.read_quantisation_tables(body).is_none() => return Some(Defect::Corrupt),
                // If there are several, the last one counts, as in the standard decoder.
                0xEE if body.starts_with(b"Adobe") => self.transform = body.get(11).copied(),
                0xDD => self.interval = usize::from(be_u16(body)?),
                0xDA => {
                    let scan = self.read_scan_header(body)?;
                    if let Err(defect) = self.check_scan(&scan, data) {
                        return Some(defect);
                    }
                }
                0xD9 => {
                    ended = true;
                    break;
                }
                // A second frame belongs to another picture, and its beginning was parsed as data of this one.
                _ if is_frame(marker) && !self.components.is_empty() => return Some(Defect::Corrupt),
                // The size that the decoder read was checked against the limits. Memory is allocated only for that
                // size.
                _ if is_frame(marker) && frame_size(body) != Some(size) => return Some(Defect::Corrupt),
                _ if is_frame(marker) => self.read_frame_header(marker, body)?,
                _ => {}
            }
        }
        // Some writers omit the end marker of a complete picture.
        (!self.is_whole(ended)).then_some(Defect::Truncated)
    }

    /// Reads a frame header (SOF). `None` if the frame is of an unsupported kind.
    fn read_frame_header(&mut self, marker: u8, body: &[u8]) -> Option<()> {
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
        let max_sampling = [0, 1].map(|axis| self.components.iter().map(|part| part.sampling[axis]).max().unwrap_or(0));
        let is_supported = |part: &Component| part.sampling.iter().all(|side| (1..=4).contains(side));
        (self.components.len() <= 4 && self.components.iter().all(is_supported)).then_some(())?;
        self.size.iter().all(|&side| side > 0).then_some(())?;
        // An MCU covers 8 pixels times the largest sampling factor in each direction (T.81, A.2.4).
        let mcus = [0, 1].map(|axis| self.size[axis].div_ceil(8 * max_sampling[axis]));
        for part in &mut self.components {
            part.blocks = [0, 1].map(|axis| (self.size[axis] * part.sampling[axis]).div_ceil(8 * max_sampling[axis]));
            part.stride = mcus[0] * part.sampling[0];
            if self.progressive {
                part.nonzero = vec![0; part.stride * mcus[1] * part.sampling[1]];
            }
        }
        Some(())
    }

    /// Reads Huffman tables (DHT). `None` if they are invalid.
    fn read_huffman_tables(&mut self, mut body: &[u8]) -> Option<()> {
        while let [class, rest @ ..] = body {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let total = counts.iter().map(|&count| usize::from(count)).sum();
            let values = rest.get(..total)?;
            let tables = if class >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            *tables.get_mut(usize::from(class & 15))? = Some(HuffmanTable::new(counts, values)?);
            body = &rest[total..];
        }
        Some(())
    }

    /// Reads quantisation tables (DQT). `None` if they are invalid.
    fn read_quantisation_tables(&mut self, mut body: &[u8]) -> Option<()> {
        while let [table, rest @ ..] = body {
            let precision = usize::from(table >> 4);
            let (steps, after) = rest.split_at_checked(64 * (1 + precision))?;
            let step =
                |i: usize| if precision == 0 { u16::from(steps[i]) } else { be_u16(&steps[2 * i..]).unwrap_or(0) };
            *self.steps.get_mut(usize::from(table & 15))? = QuantisationTable(std::array::from_fn(step));
            body = after;
        }
        Some(())
    }

    /// Reads a scan header (SOS). `None` if the scan is of an unsupported kind.
    fn read_scan_header(&self, body: &[u8]) -> Option<Scan> {
        // Frames of Motion JPEG may omit the Huffman tables and rely on standard ones, which are not built in here.
        self.dc.iter().chain(&self.ac).find_map(Option::as_ref)?;
        let (&count, rest) = body.split_first()?;
        let (parts, tail) = rest.split_at_checked(2 * usize::from(count))?;
        let [from, to, bits, ..] = *tail else { return None };
        let selectors = |part: &[u8]| {
            let component = self.components.iter().position(|component| component.id == part[0])?;
            Some([component, usize::from(part[1] >> 4), usize::from(part[1] & 15)])
        };
        let parts: Vec<_> = parts.chunks_exact(2).map(selectors).collect::<Option<_>>()?;
        let band = if self.progressive { [from, to].map(u32::from) } else { [0, 63] };
        (!parts.is_empty() && band[0] <= band[1] && band[1] < 64).then_some(())?;
        (!self.progressive || band[0] == 0 || parts.len() == 1).then_some(())?;
        Some(Scan { parts, band, refines: self.progressive && bits >> 4 != 0, low: bits & 15 })
    }

    /// Whether the scans so far contain all bits of all DC coefficients. In a progressive picture, any number of AC
    /// scans may follow, so it must also have an end marker.
    fn is_whole(&self, ended: bool) -> bool {
        self.components.iter().all(|part| part.missing == Some(0)) && (ended || !self.progressive)
    }

    /// Parses the data of one scan, interval by interval.
    fn check_scan(&mut self, scan: &Scan, mut data: &[u8]) -> Result<(), Defect> {
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
            let (mut bits, end) = BitReader::up_to_marker(data, &mut unstuffed);
            // At a restart, the predictions of DC and the runs of empty blocks start again.
            let mut run = 0;
            self.components.iter_mut().for_each(|part| part.dc = 0);
            for mcu in done..done + count {
                let position = [mcu % columns, mcu / columns];
                self.check_mcu(scan, position, &mut bits, &mut run).ok_or(Defect::Corrupt)?;
                if let Some(small) = self.small.as_mut().filter(|_| position[0] + 1 == columns) {
                    small.row();
                }
                // The reader returns zeros beyond the end, so this check comes after the MCU.
                if bits.is_past_end() {
                    return Err(if end == data.len() { Defect::Truncated } else { Defect::Corrupt });
                }
            }
            if !bits.is_exhausted() {
                return Err(Defect::Corrupt);
            }
            done += count;
            data = &data[end..];
            match data {
                [] if done == mcus => break,
                [0xFF, marker, rest @ ..] if done < mcus && *marker == 0xD0 + (restart % 8) as u8 => data = rest,
                [] => return Err(Defect::Truncated),
                // Some writers put a superfluous restart marker after the last interval.
                [0xFF, 0xD0..=0xD7, rest @ ..] if done == mcus && is_end(rest) => break,
                [0xFF, 0xD0..=0xD7, ..] => return Err(Defect::Corrupt),
                _ if done == mcus => break,
                _ => return Err(Defect::Corrupt),
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

    /// Starts the small picture, if one is requested and this scan contains all components of a sequential picture.
    fn begin_small(&mut self, scan: &Scan, columns: usize) {
        self.small = None;
        let in_order = scan.parts.iter().map(|part| part[0]).eq(0..self.components.len());
        if self.shrink == 0 || self.progressive || !in_order {
            return;
        }
        // Only grey, RGB and YCbCr are decoded here.
        let is_rgb = self.components.iter().map(|part| part.id).eq(*b"RGB");
        if self.components.len() == 3 && !is_rgb && self.transform.is_some_and(|transform| transform != 1) {
            return;
        }
        // In a scan of one component, an MCU is one block, whatever its sampling factors (T.81, A.2.2).
        let sampling = |part: &Component| if scan.parts.len() == 1 { [1, 1] } else { part.sampling };
        let steps = |part: &Component| &self.steps[usize::from(part.table)].0;
        let spec = |part| ComponentSpec { sampling: sampling(part), steps: steps(part) };
        let parts: Vec<_> = self.components.iter().map(spec).collect();
        self.small = Downscaler::new(self.size, self.shrink, columns, &parts, is_rgb);
    }

    /// Parses the codes of one MCU. `run` is the number of following blocks that have no codes (the end-of-band run
    /// of a progressive scan). `None` if a code is invalid.
    fn check_mcu(
        &mut self,
        scan: &Scan,
        [column, row]: [usize; 2],
        bits: &mut BitReader<'_>,
        run: &mut u32,
    ) -> Option<()> {
        for &[component, dc, ac] in &scan.parts {
            let part = &mut self.components[component];
            let (dc, ac) = (self.dc.get(dc)?.as_ref(), self.ac.get(ac)?.as_ref());
            let step = i64::from(self.steps[usize::from(part.table)].0[0]);
            // The DC coefficient is 8 times the mean of a block, so it cannot exceed that of black or white by more
            // than the rounding of one quantisation step. Damaged data soon does.
            let in_range = |dc: i32, low: u8| ((i64::from(dc) << low) * step).abs().le(&(MAX_DC + step)).then_some(());
            let [across, down] = if scan.parts.len() == 1 { [1, 1] } else { part.sampling };
            if !self.progressive {
                for (y, x) in (0..down).flat_map(|y| (0..across).map(move |x| (y, x))) {
                    part.dc += dc_coefficient(dc?, bits)?;
                    let Some(small) = &mut self.small else {
                        ac_coefficients(ac?, bits)?;
                        continue;
                    };
                    // The small picture needs only the DC coefficient if a block becomes one sample.
                    let position = [column * across + x, y];
                    if small.is_flat(component) {
                        small.block(component, position, part.dc, || Some(None))?;
                        ac_coefficients(ac?, bits)?;
                    } else {
                        small.block(component, position, part.dc, coefficients(ac?, bits))?;
                    }
                }
                in_range(part.dc, 0)?;
                continue;
            }
            for (y, x) in (0..down).flat_map(|y| (0..across).map(move |x| (y, x))) {
                let block = (row * down + y) * part.stride + column * across + x;
                let nonzero = part.nonzero.get_mut(block)?;
                match (scan.band[0], scan.refines) {
                    (0, false) => {
                        part.dc += dc_coefficient(dc?, bits)?;
                        in_range(part.dc, scan.low)?;
                    }
                    (0, true) => bits.skip(1),
                    (_, false) => ac_first_scan(scan.band, ac?, bits, nonzero, run)?,
                    (_, true) => ac_refinement_scan(scan.band, ac?, bits, nonzero, run)?,
                }
            }
        }
        Some(())
    }
}

/// Whether `data` starts with a marker that ends a scan, or is empty.
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

    /// Checks one of the golden pictures, which all have the same size.
    fn flaw(bytes: &[u8]) -> Option<Defect> {
        super::flaw(bytes, (100, 75))
    }

    /// Offsets at which the data of the first scan begins and that of the last scan ends.
    fn scan_data_range(bytes: &[u8]) -> (usize, usize) {
        let first = segments(bytes).find(|segment| segment.marker == 0xDA).unwrap();
        assert_eq!(bytes.last_chunk(), Some(&[0xFF, 0xD9]));
        (bytes.len() - first.data.len(), bytes.len() - 2)
    }

    #[test]
    fn whole_pictures_have_no_flaw() {
        for bytes in whole() {
            assert_eq!(flaw(bytes), None);
        }
        let (_, end) = scan_data_range(BASELINE);
        assert_eq!(flaw(&BASELINE[..end]), None, "only the end marker is missing");
        assert_eq!(flaw(&[BASELINE, b"what a camera appends"].concat()), None);
    }

    #[test]
    fn a_cut_is_told_from_a_break() {
        for bytes in whole() {
            let (from, to) = scan_data_range(bytes);
            let half = &bytes[..(from + to) / 2];
            assert_eq!(flaw(half), Some(Defect::Truncated));
            assert!(flaw(&[half, &[0xFF, 0xD9]].concat()).is_some(), "an end marker in the middle");
            assert!(flaw(&[half, BASELINE].concat()).is_some(), "followed by another picture");
        }
        // A missing scan.
        let last = SCANS.windows(2).rposition(|pair| pair == [0xFF, 0xDA]).unwrap();
        assert_eq!(flaw(&[&SCANS[..last], &[0xFF, 0xD9]].concat()), Some(Defect::Truncated));
        let first = PROGRESSIVE.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
        assert_eq!(flaw(&PROGRESSIVE[..first]), Some(Defect::Truncated));
    }

    #[test]
    fn a_size_that_the_decoder_does_not_know_is_not_reckoned_with() {
        for bytes in whole() {
            assert_eq!(super::flaw(bytes, (100, 76)), Some(Defect::Corrupt));
        }
    }

    #[test]
    fn a_restart_that_is_missing_or_in_the_wrong_place_is_a_flaw() {
        let marks: Vec<usize> = (0..RESTARTS.len() - 1)
            .filter(|&offset| RESTARTS[offset] == 0xFF && matches!(RESTARTS[offset + 1], 0xD0..=0xD7))
            .collect();
        assert!(marks.len() > 8);
        for &offset in &marks {
            let mut other = RESTARTS.to_vec();
            other[offset + 1] ^= 1;
            assert_eq!(flaw(&other), Some(Defect::Corrupt));
            other.drain(offset..offset + 2);
            assert_eq!(flaw(&other), Some(Defect::Corrupt));
        }
    }

    /// By chance, the remaining data may have the right number of blocks.
    #[test]
    fn bytes_that_are_gone_are_nearly_always_missed() {
        let mut detected = 0;
        for bytes in whole() {
            let (from, to) = scan_data_range(bytes);
            let cut = |i: usize| from + (to - from - 40) * i / 50;
            detected +=
                (0..50).filter(|&i| flaw(&[&bytes[..cut(i)], &bytes[cut(i) + 40..]].concat()).is_some()).count();
        }
        assert!(detected > 270, "{detected} of 300");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn nothing_breaks_the_walk(which in 0..whole().len(), changes in prop::collection::vec((0.0..1.0, any::<u8>()), 1..20)) {
            let mut bytes = whole()[which].to_vec();
            for (fraction, value) in changes {
                let index = (bytes.len() as f64 * fraction) as usize;
                bytes[index] = value;
            }
            flaw(&bytes);
        }
    }
}
