//! PNG: reads the chunks, and the colour space from the chunk cICP, which the decoder does not return.

use std::borrow::Cow;

use super::colour::Cicp;

/// The chunks of a PNG as (type, content), up to the first that is cut off.
pub(super) fn chunks(bytes: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    let mut rest = bytes.get(8..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (kind, after) = after.split_first_chunk::<4>()?;
        let body = after.get(..u32::from_be_bytes(*length) as usize)?;
        // Each chunk ends with a checksum of four bytes, which is not verified.
        rest = after.get(body.len() + 4..).unwrap_or_default();
        Some((kind, body))
    })
}

/// The contents of the cICP chunks before the palette and the pixels. Later ones are not valid.
fn cicp_chunks(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let before = chunks(bytes).take_while(|(kind, _)| !matches!(*kind, b"PLTE" | b"IDAT"));
    before.filter(|(kind, _)| *kind == b"cICP").map(|(_, body)| body)
}

/// The colour space of the first cICP chunk, if that describes RGB (matrix 0) of full range (1).
pub(super) fn cicp(bytes: &[u8]) -> Option<Cicp> {
    match *cicp_chunks(bytes).next()? {
        [primaries, transfer, 0, 1] => Some(Cicp { primaries: primaries.into(), transfer: transfer.into() }),
        _ => None,
    }
}

/// Returns the file in a form that the decoder accepts. The decoder rejects a whole picture for an invalid cICP chunk,
/// so such chunks are renamed to a type that it ignores.
pub(super) fn sanitised(bytes: &[u8]) -> Cow<'_, [u8]> {
    let is_accepted = |body: &[u8]| matches!(body, [_, _, 0, 0 | 1]) || body.len() != 4;
    if cicp_chunks(bytes).all(is_accepted) {
        return bytes.into();
    }
    let offsets: Vec<usize> = cicp_chunks(bytes)
        .filter(|body| !is_accepted(body))
        .map(|body| body.as_ptr().addr() - bytes.as_ptr().addr())
        .collect();
    let mut bytes = bytes.to_owned();
    for offset in offsets {
        // The type is in the four bytes before the content. Decoders skip types that they do not know.
        bytes[offset - 4..offset].copy_from_slice(b"noNE");
    }
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::super::{Budget, decode};
    use image::{ExtendedColorType, ImageEncoder, Rgb, RgbImage};
    use moxcms::ColorProfile;

    const P3: [u8; 4] = [12, 13, 0, 1];
    const PQ: [u8; 4] = [9, 16, 0, 1];
    const HLG: [u8; 4] = [9, 18, 0, 1];

    /// A PNG file with or without an ICC profile, and with cICP chunks after the header.
    fn file(picture: &RgbImage, profile: Option<ColorProfile>, codes: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::png::PngEncoder::new(&mut bytes);
        if let Some(profile) = profile {
            encoder.set_icc_profile(profile.encode().unwrap()).unwrap();
        }
        encoder.write_image(picture, picture.width(), picture.height(), ExtendedColorType::Rgb8).unwrap();
        let chunk = |body: &&[u8]| {
            let checked = [b"cICP", *body].concat();
            let mut sum = flate2::Crc::new();
            sum.update(&checked);
            [&(body.len() as u32).to_be_bytes()[..], &checked, &sum.sum().to_be_bytes()].concat()
        };
        let header = 8 + 25;
        let chunks: Vec<u8> = codes.iter().flat_map(chunk).collect();
        bytes.splice(header..header, chunks);
        bytes
    }

    fn decoded(bytes: &[u8]) -> RgbImage {
        decode(bytes, &Budget::new(1 << 24)).unwrap().pixels
    }

    /// A lattice of colours, which includes the greys.
    fn colours() -> RgbImage {
        RgbImage::from_fn(125, 2, |x, y| {
            let level = |index: u32| (index % 5 * 60 + 15 * y) as u8;
            Rgb([level(x), level(x / 5), level(x / 25)])
        })
    }

    /// A grey of every level.
    fn greys() -> RgbImage {
        RgbImage::from_fn(256, 1, |x, _| Rgb([x as u8; 3]))
    }

    fn max_difference(a: &RgbImage, b: &RgbImage) -> u8 {
        a.iter().zip(b.iter()).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
    }

    #[test]
    fn colours_by_numbers_are_those_of_the_profile() {
        let by_profile = decoded(&file(&colours(), Some(ColorProfile::new_display_p3()), &[]));
        assert!(max_difference(&by_profile, &colours()) > 30);
        assert!(max_difference(&by_profile, &decoded(&file(&colours(), None, &[&P3]))) <= 1);
        // cICP takes precedence over the profile, and the first cICP over the second.
        let both = file(&colours(), Some(ColorProfile::new_pro_photo_rgb()), &[&P3, &PQ]);
        assert!(max_difference(&by_profile, &decoded(&both)) <= 1);
    }

    #[test]
    fn srgb_keeps_its_bytes() {
        for transfer in [1, 2, 6, 13, 14] {
            let profile = Some(ColorProfile::new_adobe_rgb());
            assert_eq!(decoded(&file(&colours(), profile, &[&[1, transfer, 0, 1]])), colours(), "{transfer}");
        }
    }

    #[test]
    fn bright_ones_are_neither_flat_nor_cut_off() {
        for (code, reference) in [(PQ, 148), (HLG, 191)] {
            let greys = decoded(&file(&greys(), None, &[&code]));
            let levels: Vec<u8> = greys.pixels().map(|grey| grey[0]).collect();
            assert!(greys.pixels().all(|grey| grey[0] == grey[1] && grey[1] == grey[2]), "{levels:?}");
            assert!(levels.is_sorted(), "{levels:?}");
            assert_eq!((levels[0], levels[255]), (0, 255));
            // Diffuse white is light, and there is room above it for highlights.
            assert!((215..=235).contains(&levels[reference]), "{levels:?}");
            assert!(levels[reference + 30] >= levels[reference] + 10, "{levels:?}");
        }
        // The brightest red of sRGB, expressed in BT.2020 with PQ, stays a red.
        let red = decoded(&file(&RgbImage::from_pixel(2, 2, Rgb([134, 93, 58])), None, &[&PQ]));
        let [red, green, blue] = red.get_pixel(0, 0).0;
        assert!(red > 200 && green < 60 && blue < 60, "{red} {green} {blue}");
    }

    #[test]
    fn a_chunk_that_makes_no_sense_loses_no_picture() {
        let bad: [&[u8]; 9] = [
            b"",
            &[9],
            &[9, 16, 0],
            &[9, 16, 0, 1, 1],
            &[9, 16, 1, 1],
            &[9, 16, 0, 0],
            &[9, 16, 0, 2],
            &[255; 4],
            &[0, 0, 0, 1],
        ];
        for code in bad {
            assert_eq!(decoded(&file(&colours(), None, &[code])), colours(), "{code:?}");
            let with_profile = decoded(&file(&colours(), Some(ColorProfile::new_srgb()), &[code]));
            assert_eq!(with_profile, colours(), "{code:?}");
        }
        assert_eq!(decoded(&file(&colours(), None, &[bad[4], bad[6], bad[2]])), colours());
        let mut other_sum = file(&colours(), None, &[&P3]);
        other_sum[33 + 12] ^= 1;
        decoded(&other_sum);
    }
}
