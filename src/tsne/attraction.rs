//! The attractive part of the gradient, and the divergence: sums over the sparse matrix P.

use rayon::prelude::*;

use super::affinities::Affinities;
use crate::linalg::{CHUNK, ordered_sum};

/// Entries per step of the loop. With eight instead of sixteen, additions wait for each other, and the loop takes 1.5
/// times as long.
const LANES: usize = 16;

/// Writes Σⱼ pᵢⱼ (yᵢ − yⱼ) / (1 + |yᵢ − yⱼ|²) for the points i from `first` on.
pub(super) fn attractive_forces(p: &Affinities, xy: &[[f32; 2]], first: usize, out: &mut [[f32; 2]]) {
    assert!(xy.len() == p.len, "there is one position per point");
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx512f") && xy.len() <= i32::MAX as usize {
        for (i, force) in (first..).zip(out) {
            let (columns, values) = row(p, i);
            let (whole, rest) = columns.as_chunks::<LANES>();
            let (whole_values, rest_values) = values.as_chunks::<LANES>();
            #[allow(unsafe_code, reason = "instructions beyond the baseline")]
            // SAFETY: the condition just above checks that the CPU supports AVX-512F. Every column is below `p.len`,
            // which is the length of `xy`: `Affinities` are built by `compressed_rows` from the numbers of their own
            // rows.
            let sums = unsafe { avx512::sums(whole, whole_values, xy, xy[i]) };
            *force = add_rest(sums, rest, rest_values, xy, i);
        }
        return;
    }
    for (i, force) in (first..).zip(out) {
        *force = portable_force(p, xy, i);
    }
}

/// The columns and values of row `i`.
fn row(p: &Affinities, i: usize) -> (&[u32], &[f32]) {
    let range = p.start[i]..p.start[i + 1];
    (&p.column[range.clone()], &p.value[range])
}

fn portable_force(p: &Affinities, xy: &[[f32; 2]], i: usize) -> [f32; 2] {
    let (columns, values) = row(p, i);
    let [x, y] = xy[i];
    let (columns, rest) = columns.as_chunks::<LANES>();
    let (values, rest_values) = values.as_chunks::<LANES>();
    let (mut fx, mut fy) = ([0.0f32; LANES], [0.0f32; LANES]);
    for (columns, values) in columns.iter().zip(values) {
        // The gather is a loop of its own, because only the computation vectorises.
        let (mut dx, mut dy) = ([0.0f32; LANES], [0.0f32; LANES]);
        for l in 0..LANES {
            let other = xy[columns[l] as usize];
            dx[l] = x - other[0];
            dy[l] = y - other[1];
        }
        for l in 0..LANES {
            let w = values[l] / (1.0 + dx[l] * dx[l] + dy[l] * dy[l]);
            fx[l] += w * dx[l];
            fy[l] += w * dy[l];
        }
    }
    add_rest([fx, fy], rest, rest_values, xy, i)
}

/// Adds up the lanes, and the remaining entries, which are fewer than `LANES`.
fn add_rest([fx, fy]: [[f32; LANES]; 2], rest: &[u32], values: &[f32], xy: &[[f32; 2]], i: usize) -> [f32; 2] {
    let [x, y] = xy[i];
    let mut force = [fx.iter().sum::<f32>(), fy.iter().sum::<f32>()];
    for (&j, &p) in rest.iter().zip(values) {
        let other = xy[j as usize];
        let (dx, dy) = (x - other[0], y - other[1]);
        let w = p / (1.0 + dx * dx + dy * dy);
        force[0] += w * dx;
        force[1] += w * dy;
    }
    force
}

/// The loop in AVX-512, which gathers eight positions by one instruction. It does the same operations in the same order
/// as the portable loop, so the result is the same bit by bit.
#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    use super::LANES;

    /// # Safety
    /// Every column has a place in `xy`.
    #[target_feature(enable = "avx512f")]
    #[allow(unsafe_code, reason = "the compiler does not generate gathers from plain loops")]
    pub(super) unsafe fn sums(
        columns: &[[u32; LANES]],
        values: &[[f32; LANES]],
        xy: &[[f32; 2]],
        [x, y]: [f32; 2],
    ) -> [[f32; LANES]; 2] {
        let (x, y, one) = (_mm512_set1_ps(x), _mm512_set1_ps(y), _mm512_set1_ps(1.0));
        let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        let odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
        let (mut fx, mut fy) = (_mm512_setzero_ps(), _mm512_setzero_ps());
        let positions = xy.as_ptr().cast::<f64>();
        for (columns, values) in columns.iter().zip(values) {
            let (left, right) = columns.split_at(LANES / 2);
            // SAFETY: the load reads eight columns from a slice of eight. The gather reads eight entries of `xy`, each
            // of which is two floats and so has the size of a double; the caller guarantees that every column is in
            // `xy`.
            let [left, right] = [left, right].map(|eight| unsafe {
                let eight = _mm256_loadu_si256(eight.as_ptr().cast());
                _mm512_castpd_ps(_mm512_i32gather_pd::<8>(eight, positions))
            });
            // SAFETY: `values` has sixteen floats.
            let p = unsafe { _mm512_loadu_ps(values.as_ptr()) };
            // Even lanes are the x coordinates of the gathered positions, odd lanes the y coordinates.
            let dx = _mm512_sub_ps(x, _mm512_permutex2var_ps(left, even, right));
            let dy = _mm512_sub_ps(y, _mm512_permutex2var_ps(left, odd, right));
            let denominator = _mm512_add_ps(_mm512_add_ps(one, _mm512_mul_ps(dx, dx)), _mm512_mul_ps(dy, dy));
            let w = _mm512_div_ps(p, denominator);
            fx = _mm512_add_ps(fx, _mm512_mul_ps(w, dx));
            fy = _mm512_add_ps(fy, _mm512_mul_ps(w, dy));
        }
        let mut sums = [[0.0; LANES]; 2];
        // SAFETY: both destinations have sixteen floats.
        unsafe {
            _mm512_storeu_ps(sums[0].as_mut_ptr(), fx);
            _mm512_storeu_ps(sums[1].as_mut_ptr(), fy);
        }
        sums
    }
}

/// Σ p ln p over all entries: the part of the divergence that does not depend on the layout.
pub(super) fn negative_entropy(p: &Affinities) -> f64 {
    let part = |values: &[f32]| values.iter().map(|&p| f64::from(p)).filter(|&p| p > 0.0).map(|p| p * p.ln()).sum();
    let [sum] = ordered_sum(p.value.par_chunks(CHUNK).map(|values| [part(values)]));
    sum
}

/// KL(P‖Q) of a layout with normalisation `z`. `entropy` is [`negative_entropy`].
///
/// With qᵢⱼ = 1 / (1 + dᵢⱼ²) / Z, KL = Σ p ln p + Σ p ln(1 + d²) + ln Z · Σ p. The sum Σ p is only about 1 in f32.
pub(super) fn divergence(p: &Affinities, xy: &[[f32; 2]], z: f64, entropy: f64) -> f64 {
    let parts = (0..p.len.div_ceil(CHUNK)).into_par_iter().map(|chunk| {
        let points = chunk * CHUNK..p.len.min((chunk + 1) * CHUNK);
        points.map(|i| logarithms(p, xy, i)).fold([0.0; 2], |a, b| [a[0] + b[0], a[1] + b[1]])
    });
    let [logs, sum] = ordered_sum(parts);
    if sum == 0.0 { 0.0 } else { entropy + logs + sum * z.max(f64::MIN_POSITIVE).ln() }
}

/// Σⱼ pᵢⱼ ln(1 + |yᵢ − yⱼ|²) and Σⱼ pᵢⱼ for one point i.
fn logarithms(p: &Affinities, xy: &[[f32; 2]], i: usize) -> [f64; 2] {
    let mut sums = [0.0; 2];
    for (j, p) in p.row(i) {
        let (dx, dy) = (xy[i][0] - xy[j][0], xy[i][1] - xy[j][1]);
        sums[0] += p * f64::from((1.0 + dx * dx + dy * dy).ln());
        sums[1] += p;
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::super::affinities::affinities;
    use super::*;
    use crate::linalg::neighbours;
    use crate::linalg::testing::{blobs, spread};

    #[test]
    fn wider_vectors_give_the_same_bits() {
        let points = blobs(700, 6, 3, 1);
        let p = affinities(neighbours(&points, 50).unwrap(), 15.0).unwrap();
        let xy: Vec<[f32; 2]> = spread(700, 8.0, 5).iter().map(|p| p.map(|v| v as f32)).collect();
        let mut avx512 = vec![[0.0; 2]; 600];
        attractive_forces(&p, &xy, 100, &mut avx512);
        let plain: Vec<[f32; 2]> = (100..700).map(|i| portable_force(&p, &xy, i)).collect();
        assert_eq!(avx512, plain);
    }
}
