//! Checkpoints of the descent. A resumed descent gives the same bytes as an uninterrupted one.

/// The state of a descent after some iterations.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Iterations done.
    pub(super) iteration: usize,
    /// The divergence that the early stop compares the next one with.
    pub(super) last_divergence: f64,
    /// The number of the point at each index of `xy`, `updates` and `gains`.
    pub(super) order: Vec<u32>,
    pub(super) xy: Vec<[f32; 2]>,
    pub(super) updates: Vec<[f32; 2]>,
    pub(super) gains: Vec<[f32; 2]>,
}

/// The first bytes of a checkpoint: a magic string with the version of the format.
const MAGIC: &[u8; 16] = b"t-SNE descent 1\n";
/// Bytes of the header (magic string, iteration, last divergence, number of points) and of one point.
const HEADER_LENGTH: usize = MAGIC.len() + 24;
const POINT_LENGTH: usize = 28;

impl Checkpoint {
    /// The number of iterations that the descent has done.
    pub fn iterations(&self) -> usize {
        self.iteration
    }

    /// Encodes the checkpoint, little-endian, with 28 bytes per point.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LENGTH + POINT_LENGTH * self.order.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend((self.iteration as u64).to_le_bytes());
        bytes.extend(self.last_divergence.to_le_bytes());
        bytes.extend((self.order.len() as u64).to_le_bytes());
        for (i, &number) in self.order.iter().enumerate() {
            bytes.extend(number.to_le_bytes());
            let numbers = [self.xy[i], self.updates[i], self.gains[i]];
            numbers.iter().flatten().for_each(|x| bytes.extend(x.to_le_bytes()));
        }
        bytes
    }

    /// Decodes the bytes of [`to_bytes`](Self::to_bytes). Returns `None` if they are not a valid checkpoint of this
    /// many points: its numbers must be finite, and every point must occur once.
    pub fn from_bytes(bytes: &[u8], points: usize) -> Option<Self> {
        let (head, body) = bytes.split_at_checked(HEADER_LENGTH)?;
        let numbers = head.strip_prefix(MAGIC)?.as_chunks::<8>().0;
        let count_matches = u64::from_le_bytes(numbers[2]) == points as u64;
        if !count_matches || body.len() != points.checked_mul(POINT_LENGTH)? {
            return None;
        }
        let mut checkpoint = Self {
            iteration: u64::from_le_bytes(numbers[0]) as usize,
            last_divergence: f64::from_le_bytes(numbers[1]),
            order: Vec::with_capacity(points),
            xy: Vec::with_capacity(points),
            updates: Vec::with_capacity(points),
            gains: Vec::with_capacity(points),
        };
        let mut seen = vec![false; points];
        for point in body.as_chunks::<POINT_LENGTH>().0 {
            let (number, rest) = point.split_first_chunk::<4>()?;
            let number = u32::from_le_bytes(*number);
            if std::mem::replace(seen.get_mut(number as usize)?, true) {
                return None;
            }
            checkpoint.order.push(number);
            let [x, y, update_x, update_y, gain_x, gain_y] =
                *<&[[u8; 4]; 6]>::try_from(rest.as_chunks::<4>().0).ok()?;
            let pair = |a, b| [f32::from_le_bytes(a), f32::from_le_bytes(b)];
            let (position, update, gain) = (pair(x, y), pair(update_x, update_y), pair(gain_x, gain_y));
            if [position, update, gain].iter().flatten().any(|x| !x.is_finite()) {
                return None;
            }
            checkpoint.xy.push(position);
            checkpoint.updates.push(update);
            checkpoint.gains.push(gain);
        }
        Some(checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_and_others_do_not() {
        let checkpoint = Checkpoint {
            iteration: 250,
            last_divergence: f64::INFINITY,
            order: vec![2, 0, 1],
            xy: vec![[1.0, -2.0], [0.5, 3.0], [9.0, 0.0]],
            updates: vec![[0.1, 0.2]; 3],
            gains: vec![[1.0, 0.01]; 3],
        };
        let bytes = checkpoint.to_bytes();
        assert_eq!(Checkpoint::from_bytes(&bytes, 3), Some(checkpoint.clone()));
        assert_eq!(Checkpoint::from_bytes(&bytes, 4), None);
        assert_eq!(Checkpoint::from_bytes(&bytes[..bytes.len() - 1], 3), None);
        assert_eq!(Checkpoint::from_bytes(&[], 0), None);
        let twice = Checkpoint { order: vec![2, 0, 2], ..checkpoint.clone() };
        assert_eq!(Checkpoint::from_bytes(&twice.to_bytes(), 3), None);
        let not_finite = Checkpoint { updates: vec![[f32::NAN, 0.0]; 3], ..checkpoint };
        assert_eq!(Checkpoint::from_bytes(&not_finite.to_bytes(), 3), None);
    }
}
