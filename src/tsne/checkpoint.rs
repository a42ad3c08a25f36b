//! A descent that can be put down and taken up again, to the same bytes.

/// Where a descent stands after some iterations.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Iterations done.
    pub(super) done: usize,
    /// The last divergence that the early stop compares with.
    pub(super) last: f64,
    /// The number of each point, in the order in which they are kept.
    pub(super) order: Vec<u32>,
    pub(super) xy: Vec<[f32; 2]>,
    pub(super) moves: Vec<[f32; 2]>,
    pub(super) gains: Vec<[f32; 2]>,
}

/// How the bytes begin: a mark, and the version of what follows.
const MARK: &[u8; 16] = b"t-SNE descent 1\n";
/// Bytes before the points, and of one point.
const HEAD: usize = MARK.len() + 24;
const POINT: usize = 28;

impl Checkpoint {
    /// Iterations done.
    pub fn iterations(&self) -> usize {
        self.done
    }

    /// As bytes: little-endian, 28 a point.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD + POINT * self.order.len());
        bytes.extend_from_slice(MARK);
        bytes.extend((self.done as u64).to_le_bytes());
        bytes.extend(self.last.to_le_bytes());
        bytes.extend((self.order.len() as u64).to_le_bytes());
        for (i, &number) in self.order.iter().enumerate() {
            bytes.extend(number.to_le_bytes());
            let numbers = [self.xy[i], self.moves[i], self.gains[i]];
            numbers.iter().flatten().for_each(|x| bytes.extend(x.to_le_bytes()));
        }
        bytes
    }

    /// What [`to_bytes`](Self::to_bytes) wrote, of so many points; none where it is anything else.
    pub fn from_bytes(bytes: &[u8], points: usize) -> Option<Self> {
        let (head, body) = bytes.split_at_checked(HEAD)?;
        let numbers = head.strip_prefix(MARK)?.as_chunks::<8>().0;
        let points_there = u64::from_le_bytes(numbers[2]) == points as u64;
        if !points_there || body.len() != points.checked_mul(POINT)? {
            return None;
        }
        let mut made = Self {
            done: u64::from_le_bytes(numbers[0]) as usize,
            last: f64::from_le_bytes(numbers[1]),
            order: Vec::with_capacity(points),
            xy: Vec::with_capacity(points),
            moves: Vec::with_capacity(points),
            gains: Vec::with_capacity(points),
        };
        let mut seen = vec![false; points];
        for point in body.as_chunks::<POINT>().0 {
            let (number, rest) = point.split_first_chunk::<4>()?;
            let number = u32::from_le_bytes(*number);
            if std::mem::replace(seen.get_mut(number as usize)?, true) {
                return None;
            }
            made.order.push(number);
            let [x, y, mx, my, gx, gy] = *<&[[u8; 4]; 6]>::try_from(rest.as_chunks::<4>().0).ok()?;
            let pair = |a, b| [f32::from_le_bytes(a), f32::from_le_bytes(b)];
            let (place, moved, gain) = (pair(x, y), pair(mx, my), pair(gx, gy));
            if [place, moved, gain].iter().flatten().any(|x| !x.is_finite()) {
                return None;
            }
            made.xy.push(place);
            made.moves.push(moved);
            made.gains.push(gain);
        }
        Some(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_and_others_do_not() {
        let made = Checkpoint {
            done: 250,
            last: f64::INFINITY,
            order: vec![2, 0, 1],
            xy: vec![[1.0, -2.0], [0.5, 3.0], [9.0, 0.0]],
            moves: vec![[0.1, 0.2]; 3],
            gains: vec![[1.0, 0.01]; 3],
        };
        let bytes = made.to_bytes();
        assert_eq!(Checkpoint::from_bytes(&bytes, 3), Some(made.clone()));
        assert_eq!(Checkpoint::from_bytes(&bytes, 4), None);
        assert_eq!(Checkpoint::from_bytes(&bytes[..bytes.len() - 1], 3), None);
        assert_eq!(Checkpoint::from_bytes(&[], 0), None);
        let twice = Checkpoint { order: vec![2, 0, 2], ..made.clone() };
        assert_eq!(Checkpoint::from_bytes(&twice.to_bytes(), 3), None);
        let odd = Checkpoint { moves: vec![[f32::NAN, 0.0]; 3], ..made };
        assert_eq!(Checkpoint::from_bytes(&odd.to_bytes(), 3), None);
    }
}
