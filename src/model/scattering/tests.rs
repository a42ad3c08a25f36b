//! Properties that vectors must have, independent of the values of the constants.

use super::*;
use crate::linalg::SplitMix64;

const SIDE: usize = Scattering::SIDE;

fn model() -> Scattering {
    Scattering::new(&Device::Cpu).unwrap()
}

/// A picture from a function of column and row.
fn draw(colour: impl Fn(f64, f64) -> [f64; 3]) -> Vec<u8> {
    (0..SIDE * SIDE)
        .flat_map(|i| colour((i % SIDE) as f64, (i / SIDE) as f64))
        .map(|v| (255.0 * v.clamp(0.0, 1.0)).round() as u8)
        .collect()
}

fn grating(angle: f64, shift: f64) -> Vec<u8> {
    draw(|x, y| {
        let wave = 0.5 + 0.3 * (0.7 * ((x + shift) * angle.cos() + y * angle.sin())).sin();
        [wave, 0.9 * wave, 0.7 * wave]
    })
}

fn noise(seed: u64) -> Vec<u8> {
    let mut random = SplitMix64::new(seed);
    (0..SIDE * SIDE * 3).map(|_| random.below(256) as u8).collect()
}

fn embed(pictures: &[Vec<u8>]) -> Vec<Vec<f32>> {
    let pictures: Vec<&[u8]> = pictures.iter().map(Vec::as_slice).collect();
    model().embed(&pictures).unwrap()
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt()
}

fn bits(vectors: &[Vec<f32>]) -> Vec<u32> {
    vectors.iter().flatten().map(|v| v.to_bits()).collect()
}

#[test]
fn one_vector_per_picture() {
    assert!(model().embed(&[]).unwrap().is_empty());
    let vectors = embed(&[noise(1), noise(2), noise(3)]);
    assert_eq!(vectors.len(), 3);
    assert!(vectors.iter().all(|v| v.len() == Scattering::DIM));
}

#[test]
fn another_size_is_an_error() {
    let error = model().embed(&[&[0; 27]]).unwrap_err().to_string();
    assert!(error.contains("128×128") && error.contains("27 bytes"), "{error}");
}

#[test]
fn neither_batch_nor_threads_change_a_byte() {
    let pictures: Vec<Vec<u8>> = (0..9).map(noise).chain((0..8).map(|i| grating(f64::from(i), 0.0))).collect();
    let together = embed(&pictures);
    let alone: Vec<Vec<f32>> = pictures.iter().flat_map(|p| embed(std::slice::from_ref(p))).collect();
    assert_eq!(bits(&together), bits(&alone));
    for threads in [1, 2, 7] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(bits(&together), bits(&pool.install(|| embed(&pictures))), "{threads} threads");
    }
}

#[test]
fn flat_and_extreme_pictures_are_finite() {
    let mut pictures: Vec<Vec<u8>> =
        [[0; 3], [255; 3], [255, 0, 0], [0, 0, 1]].iter().map(|c| c.repeat(SIDE * SIDE)).collect();
    pictures.push(draw(|x, y| [((x + y) % 2.0); 3]));
    for vector in embed(&pictures) {
        assert!(vector.iter().all(|v| v.is_finite()));
        // Every picture is at most a few units from the mean photo.
        assert!(distance(&vector, &vec![0.0; Scattering::DIM]) < 4.0);
    }
}

#[test]
fn a_shifted_texture_stays_and_a_turned_one_moves() {
    let v = embed(&[grating(0.0, 0.0), grating(0.0, 4.0), grating(1.2, 0.0)]);
    let (shifted, turned) = (distance(&v[0], &v[1]), distance(&v[0], &v[2]));
    assert!(5.0 * shifted < turned, "shifted {shifted}, turned {turned}");
}

#[test]
fn a_little_brighter_stays_and_another_colour_moves() {
    let scene = |gain: f64, swap: bool| {
        draw(|x, y| {
            let v = gain * (0.4 + 0.2 * (x / 9.0).sin() * (y / 13.0).cos());
            if swap { [0.5 * v, 0.8 * v, 1.2 * v] } else { [1.2 * v, 0.8 * v, 0.5 * v] }
        })
    };
    let v = embed(&[scene(1.0, false), scene(1.05, false), scene(1.0, true)]);
    let (brighter, recoloured) = (distance(&v[0], &v[1]), distance(&v[0], &v[2]));
    assert!(3.0 * brighter < recoloured, "brighter {brighter}, recoloured {recoloured}");
}

#[test]
fn a_mirrored_picture_is_nearer_than_an_upside_down_one() {
    let scene = |x: f64, y: f64| {
        let sky = if y < 50.0 + 0.2 * x { [0.5, 0.7, 0.95] } else { [0.3, 0.45, 0.2] };
        if (x - 30.0).hypot(y - 70.0) < 15.0 { [0.8, 0.2, 0.1] } else { sky }
    };
    let last = (SIDE - 1) as f64;
    let v = embed(&[draw(scene), draw(|x, y| scene(last - x, y)), draw(|x, y| scene(x, last - y))]);
    let (mirrored, overturned) = (distance(&v[0], &v[1]), distance(&v[0], &v[2]));
    assert!(1.5 * mirrored < overturned, "mirrored {mirrored}, upside down {overturned}");
}

#[test]
fn a_mirror_moves_places_and_orientations_as_the_blocks_assume() {
    // Waves of one direction on the left and of another on the right, at all octaves.
    let scene = |x: f64, y: f64| {
        let (dx, dy) = if x < 60.0 { (0.9, 0.4) } else { (0.3, -0.95) };
        let wave: f64 = (0..4).map(|octave| (1.5 / f64::from(1 << octave) * (dx * x + dy * y)).sin()).sum();
        [0.5 + 0.1 * wave; 3]
    };
    let last = (SIDE - 1) as f64;
    let model = model();
    let [plain, mirror] =
        [draw(scene), draw(|x, y| scene(last - x, y))].map(|rgb| model.colour.features(&rgb).lightness);
    let scattered = model.wavelets.scatter(&[&plain, &mirror]).unwrap();
    let (mut right, mut wrong, mut total) = (0.0, 0.0, 0.0);
    for (index, value) in scattered[0].first.iter().enumerate() {
        let (row, column) = (index / PLACES % PLACES, index % PLACES);
        let (octave, orientation) =
            (index / (PLACES * PLACES) / ORIENTATIONS, index / (PLACES * PLACES) % ORIENTATIONS);
        let mirrored_index =
            ((octave * ORIENTATIONS + mirrored(orientation)) * PLACES + row) * PLACES + PLACES - 1 - column;
        right += (value - scattered[1].first[mirrored_index]).abs();
        wrong += (value - scattered[1].first[index]).abs();
        total += value;
    }
    // Halving keeps the even pixels, so the pyramid of a mirrored picture is not exactly the mirrored pyramid.
    assert!(right < 0.1 * total && 5.0 * right < wrong, "{right} {wrong} of {total}");
}
