//! Whether two pictures are the same shot: one is laid over the other, as it may have been cropped and brightened, and
//! what both show is compared.
//!
//! A look is a picture of 64 x 64 shades of grey, whatever its shape was. Laying over is least squares by Gauss and Newton over the scale and
//! the shift of each axis and over gain and offset of brightness, first coarsely, then finely. What is compared are
//! local contrasts, so that light and shade of large areas, which many pictures have in common, count for nothing.

/// Pixels of a look's side.
pub const SIDE: usize = 64;

/// Side of the coarse look, its blur, and the most steps there and then.
const COARSE_SIDE: usize = 32;
const COARSE_BLUR: f64 = 1.5;
const FINE_BLUR: f64 = 1.2;
const STEPS: [usize; 2] = [12, 8];
/// A step changes no parameter by more than this; one that changes none by more than that is the last.
const LONGEST_STEP: f64 = 0.1;
const SHORTEST_STEP: f64 = 1e-4;
/// The parameters stay this near to those of a picture laid over itself: beyond that it is another one.
const FARTHEST: f64 = 0.3;
/// A crop is at most this much smaller, and shifted by no more than is left free, up to this: a camera that has turned shows something new.
const MOST_SCALE: f64 = 0.12;
const MOST_SHIFT: f64 = 0.03;
/// Noise of JPEGs is blurred away; contrast is what differs from the mean of this neighbourhood, in units of what is usual in that one,
/// to which some shades are added, so that what is flat has none.
const NOISE_BLUR: f64 = 0.7;
const MEAN_BLUR: f64 = 2.5;
const USUAL_BLUR: f64 = 4.0;
const FLAT: f64 = 3.0;
/// Mean square of the contrast of a picture with nothing to be seen.
const NOTHING: f64 = 1e-3;

/// A picture as it is compared.
pub struct Look {
    coarse: Sloped,
    fine: Sloped,
    contrast: Plane,
}

impl Look {
    /// Of 64 x 64 shades, row after row; none if it is of another size.
    pub fn new(shades: &[u8]) -> Option<Self> {
        if shades.len() != SIDE * SIDE {
            return None;
        }
        let whole = Plane { side: SIDE, values: shades.iter().map(|&shade| f64::from(shade)).collect() };
        let coarse = Sloped::new(whole.halved().blurred(COARSE_BLUR));
        Some(Self { coarse, fine: Sloped::new(whole.blurred(FINE_BLUR)), contrast: whole.contrast() })
    }

    /// How alike both are where one lies over the other: 1 of the same shot, around 0 of others. None if they cannot be laid
    /// over each other as a picture and a crop of it can.
    pub fn likeness(&self, other: &Self) -> Option<f64> {
        let coarse = fit(&self.coarse, &other.coarse, Warp::NONE, STEPS[0])?;
        let warp = fit(&self.fine, &other.fine, coarse, STEPS[1])?;
        warp.is_of_a_crop().then(|| self.contrast.correlation(&other.contrast, warp))
    }

    /// How alike light and shade of both are where one lies roughly over the other: what a moment later was seen by a camera that
    /// has moved a little. At most 1; none if they cannot be laid over each other.
    pub fn resemblance(&self, other: &Self) -> Option<f64> {
        let warp = fit(&self.coarse, &other.coarse, Warp::NONE, STEPS[0])?;
        Some(self.coarse.shades.correlation(&other.coarse.shades, warp))
    }
}

/// Shades or what is made of them, of a square, row after row.
struct Plane {
    side: usize,
    values: Vec<f64>,
}

/// With its slopes to the right and down, for half a side.
struct Sloped {
    shades: Plane,
    right: Plane,
    down: Plane,
}

impl Sloped {
    fn new(shades: Plane) -> Self {
        let Plane { side, values } = &shades;
        let (side, last) = (*side, side - 1);
        let slope = |step: fn(usize, usize, usize) -> [usize; 2]| {
            let at = |i: usize| {
                let [before, after] = step(i % side, i / side, last);
                // At the edge only one of both is a step away.
                let steps = if after - before == 1 || after - before == side { 1.0 } else { 2.0 };
                (values[after] - values[before]) / steps * side as f64 / 2.0
            };
            Plane { side, values: (0..values.len()).map(at).collect() }
        };
        let right = slope(|x, y, last| [y * (last + 1) + x.saturating_sub(1), y * (last + 1) + (x + 1).min(last)]);
        let down = slope(|x, y, last| [y.saturating_sub(1) * (last + 1) + x, (y + 1).min(last) * (last + 1) + x]);
        Self { shades, right, down }
    }
}

impl Plane {
    fn halved(&self) -> Self {
        let at = |x: usize, y: usize| self.values[y * self.side + x];
        let mean = |i: usize| {
            let (x, y) = (2 * (i % COARSE_SIDE), 2 * (i / COARSE_SIDE));
            (at(x, y) + at(x + 1, y) + at(x, y + 1) + at(x + 1, y + 1)) / 4.0
        };
        Self { side: COARSE_SIDE, values: (0..COARSE_SIDE * COARSE_SIDE).map(mean).collect() }
    }

    /// By a Gaussian of so many pixels; beyond its edges a plane goes on as it ends.
    fn blurred(&self, deviation: f64) -> Self {
        let radius = (3.0 * deviation).ceil() as usize;
        let weights: Vec<f64> = (0..=radius).map(|i| (-0.5 * (i as f64 / deviation).powi(2)).exp()).collect();
        let sum = 2.0 * weights.iter().sum::<f64>() - weights[0];
        let side = self.side;
        // Twice along rows, each time turned over: then rows are rows again.
        let pass = |values: &[f64]| {
            let at = |i: usize| {
                let (row, x) = (&values[i % side * side..][..side], i / side);
                let pair = |(d, weight): (usize, &f64)| {
                    weight * (row[x.saturating_sub(d)] + row[(x + d).min(side - 1)]) * if d == 0 { 0.5 } else { 1.0 }
                };
                weights.iter().enumerate().map(pair).sum::<f64>() / sum
            };
            (0..side * side).map(at).collect::<Vec<f64>>()
        };
        Self { side, values: pass(&pass(&self.values)) }
    }

    fn with(&self, other: &Self, of: impl Fn(f64, f64) -> f64) -> Self {
        Self { side: self.side, values: self.values.iter().zip(&other.values).map(|(&a, &b)| of(a, b)).collect() }
    }

    /// Local contrast.
    fn contrast(&self) -> Self {
        let shades = self.blurred(NOISE_BLUR);
        let apart = shades.with(&shades.blurred(MEAN_BLUR), |shade, mean| shade - mean);
        let usual = apart.with(&apart, |a, b| a * b).blurred(USUAL_BLUR);
        apart.with(&usual, |apart, square| apart / (square.sqrt() + FLAT))
    }

    /// The value at a place between pixels; -1 and 1 are the edges.
    fn at(&self, [x, y]: [f64; 2]) -> f64 {
        let last = (self.side - 1) as f64;
        let place = |at: f64| ((at + 1.0) * self.side as f64 / 2.0 - 0.5).clamp(0.0, last - 1e-3);
        let (x, y) = (place(x), place(y));
        let (left, top) = (x as usize, y as usize);
        let (a, b) = (x - left as f64, y - top as f64);
        let row = |y: usize| {
            let row = &self.values[y * self.side + left..][..2];
            row[0] * (1.0 - a) + row[1] * a
        };
        row(top) * (1.0 - b) + row(top + 1) * b
    }

    /// Each pixel's value with its place.
    fn places(&self) -> impl Iterator<Item = (f64, [f64; 2])> {
        let place = |i: usize| (i as f64 + 0.5) / self.side as f64 * 2.0 - 1.0;
        self.values.iter().enumerate().map(move |(i, &value)| (value, [place(i % self.side), place(i / self.side)]))
    }

    /// Pearson's correlation with `other` where that lies over it.
    fn correlation(&self, other: &Self, warp: Warp) -> f64 {
        let edge = 1.0 - 2.0 / self.side as f64;
        let pairs = self.places().map(|(value, place)| (value, warp.of(place)));
        let inside = pairs.filter(|(_, [x, y])| x.abs() < edge && y.abs() < edge);
        let pairs: Vec<(f64, f64)> = inside.map(|(value, place)| (value, other.at(place))).collect();
        let count = pairs.len().max(1) as f64;
        let (a, b) = pairs.iter().fold((0.0, 0.0), |(a, b), pair| (a + pair.0 / count, b + pair.1 / count));
        let sums = pairs.iter().fold([0.0; 3], |[ab, aa, bb], pair| {
            let (a, b) = (pair.0 - a, pair.1 - b);
            [ab + a * b, aa + a * a, bb + b * b]
        });
        // Where nothing is to be seen the rest is noise.
        sums[0] / (sums[1] * sums[2]).sqrt().max(NOTHING * count)
    }
}

/// Where in the other picture a place is: scale and shift of each axis.
#[derive(Clone, Copy)]
struct Warp([f64; 4]);

impl Warp {
    const NONE: Self = Self([1.0, 0.0, 1.0, 0.0]);

    fn of(self, [x, y]: [f64; 2]) -> [f64; 2] {
        let [x_scale, x_shift, y_scale, y_shift] = self.0;
        [x_scale * x + x_shift, y_scale * y + y_shift]
    }

    fn far(self) -> bool {
        self.0.iter().zip(Self::NONE.0).any(|(at, none)| (at - none).abs() > FARTHEST)
    }

    /// Whether one of both lies within the other, nearly.
    fn is_of_a_crop(self) -> bool {
        self.0.chunks_exact(2).all(|axis| {
            let free = (axis[0] - 1.0).abs();
            free <= MOST_SCALE && axis[1].abs() <= free + MOST_SHIFT
        })
    }
}

/// How `other` lies over `one`, from a first guess on; none if it ends far away.
fn fit(one: &Sloped, other: &Sloped, mut warp: Warp, steps: usize) -> Option<Warp> {
    for _ in 0..steps {
        let pairs = one.shades.places().map(|(shade, place)| (shade, place, warp.of(place)));
        let inside = pairs.filter(|(_, _, [x, y])| x.abs() < 1.0 && y.abs() < 1.0);
        let pairs: Vec<_> = inside.map(|(shade, from, to)| (shade, from, to, other.shades.at(to))).collect();
        if pairs.len() * 4 < one.shades.values.len() {
            return None;
        }
        let count = pairs.len() as f64;
        let (a, b) = pairs.iter().fold((0.0, 0.0), |(a, b), pair| (a + pair.0 / count, b + pair.3 / count));
        let (ab, bb) = pairs
            .iter()
            .fold((0.0, 0.0), |(ab, bb), pair| (ab + (pair.0 - a) * (pair.3 - b), bb + (pair.3 - b).powi(2)));
        // A negative of a picture is none.
        let gain = (ab / bb.max(1e-9)).max(0.05);
        let mut system = [[0.0; 7]; 6];
        for &(shade, [x, y], to, there) in &pairs {
            let (right, down) = (gain * other.right.at(to), gain * other.down.at(to));
            let row = [right * x, right, down * y, down, there, 1.0, shade - gain * there];
            for (i, equation) in system.iter_mut().enumerate() {
                equation.iter_mut().zip(row).for_each(|(sum, value)| *sum += row[i] * value);
            }
        }
        // Held a little: a picture with stripes could slide along them.
        let hold = 1e-3 * (0..4).map(|i| system[i][i]).sum::<f64>() / 4.0;
        (0..4).for_each(|i| system[i][i] += hold);
        (0..6).for_each(|i| system[i][i] += 1e-6);
        let step = solve(system)?;
        let step = [0, 1, 2, 3].map(|i| step[i].clamp(-LONGEST_STEP, LONGEST_STEP));
        warp.0.iter_mut().zip(step).for_each(|(at, step)| *at += step);
        if warp.far() {
            return None;
        }
        if step.iter().all(|step| step.abs() < SHORTEST_STEP) {
            break;
        }
    }
    Some(warp)
}

/// Six equations for six numbers, by elimination.
fn solve(mut system: [[f64; 7]; 6]) -> Option<[f64; 6]> {
    for i in 0..6 {
        let pivot = (i..6).max_by(|&a, &b| system[a][i].abs().total_cmp(&system[b][i].abs()))?;
        system.swap(i, pivot);
        let row = system[i];
        if !row[i].is_normal() {
            return None;
        }
        for other in system.iter_mut().enumerate().filter(|(j, _)| *j != i).map(|(_, other)| other) {
            let factor = other[i] / row[i];
            other.iter_mut().zip(row).for_each(|(at, value)| *at -= factor * value);
        }
    }
    Some(std::array::from_fn(|i| system[i][6] / system[i][i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture that has something to see everywhere, as seen through a window of it.
    fn seen(window: [f64; 4], shade: impl Fn(f64) -> f64) -> Vec<u8> {
        let at = |x: f64, y: f64| {
            let waves = [(3.1, 1.7, 0.3), (1.3, 5.9, 1.1), (7.7, -2.3, 2.0), (11.0, 9.1, 0.7), (-6.0, 13.3, 1.9)];
            let sum: f64 = waves.iter().map(|(a, b, c)| (a * x + b * y + c).sin()).sum();
            127.0 + 24.0 * sum
        };
        let pixel = |i: usize| {
            let (x, y) = ((i % SIDE) as f64 + 0.5, (i / SIDE) as f64 + 0.5);
            let [left, top, width, height] = window;
            shade(at(left + width * x / SIDE as f64, top + height * y / SIDE as f64)).clamp(0.0, 255.0) as u8
        };
        (0..SIDE * SIDE).map(pixel).collect()
    }

    fn likeness(a: &[u8], b: &[u8]) -> f64 {
        Look::new(a).unwrap().likeness(&Look::new(b).unwrap()).unwrap_or(-1.0)
    }

    #[test]
    fn a_crop_a_brighter_one_and_a_darker_one_are_the_same_shot() {
        let picture = seen([0.0, 0.0, 1.0, 1.0], |shade| shade);
        assert!(likeness(&picture, &picture) > 0.9999);
        for (window, gain) in
            [([0.0, 0.0, 0.97, 0.97], 1.0), ([0.03, 0.01, 0.96, 0.97], 1.3), ([0.02, 0.0, 0.95, 1.0], 0.7)]
        {
            let other = seen(window, |shade| gain * shade);
            let found = likeness(&picture, &other);
            assert!(found > 0.95, "{window:?}: {found}");
            assert!((likeness(&other, &picture) - found).abs() < 0.05, "the other way round");
        }
    }

    #[test]
    fn another_part_a_mirrored_one_and_nothing_at_all_are_not() {
        let picture = seen([0.0, 0.0, 1.0, 1.0], |shade| shade);
        let mirrored: Vec<u8> = (0..SIDE * SIDE).map(|i| picture[i / SIDE * SIDE + SIDE - 1 - i % SIDE]).collect();
        let others = [mirrored, seen([0.1, 0.0, 1.0, 1.0], |shade| shade), seen([0.3, 0.3, 0.7, 0.7], |shade| shade)];
        for other in others.iter().chain([&vec![200; SIDE * SIDE], &seen([0.0, 0.0, 1.0, 1.0], |shade| 255.0 - shade)])
        {
            let found = likeness(&picture, other);
            assert!(found < 0.7, "{found}");
        }
        let moved = Look::new(&others[1]).unwrap().resemblance(&Look::new(&picture).unwrap());
        assert!(
            moved.is_some_and(|moved| moved > 0.9),
            "but a camera that has moved sees what resembles it: {moved:?}"
        );
        assert!(likeness(&[9; SIDE * SIDE], &[9; SIDE * SIDE]) < 0.1, "of nothing nothing can be told");
        assert!(Look::new(&[0; 5]).is_none());
    }
}
