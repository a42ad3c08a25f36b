//! The dense solver of the `lapjv` crate, as an independent reference: it shares only the lattice with the sparse
//! solver.

use lapjv::{ErrorKind, LapJV, Matrix};

use super::lattice::{LATTICE_SIDE, Lattice};
use super::sparse::Solution;
use super::{Error, Grid};

/// The largest number of cells for the dense solver. Its matrix has 8 bytes per pair of cells: 2 GiB at this size.
pub(crate) const MAX_DENSE_CELLS: u64 = 1 << 14;

/// The limit of Bellman–Ford rounds. Rounding can make the assignment slightly worse than optimal; then the rounds do
/// not converge, and the certificate has a gap.
const MAX_ROUNDS: usize = 4096;

/// Solves by a full cost matrix in floating point. The matrix must be square, so it has extra points that cost 0
/// everywhere.
pub(crate) fn solve(lattice: &Lattice, grid: Grid) -> Result<Solution, Error> {
    let (n, m) = (lattice.targets.len(), lattice.places.len());
    if m as u64 > MAX_DENSE_CELLS {
        return Err(Error::TooManyCells { grid, limit: MAX_DENSE_CELLS });
    }
    let scale = 1.0 / f64::from(LATTICE_SIDE).powi(2);
    let costs = Matrix::from_shape_fn((m, m), |(i, j)| if i < n { lattice.cost(i, j) as f64 * scale } else { 0.0 });
    let (rows, _) = LapJV::new(&costs).solve().map_err(|error| {
        let message = match error.kind() {
            ErrorKind::Msg(message) => message.to_owned(),
            ErrorKind::Cancelled => "cancelled".to_owned(),
        };
        Error::Dense(message)
    })?;
    let mate: Vec<u32> = rows[..n].iter().map(|&cell| cell as u32).collect();
    let duals = duals(lattice, &mate);
    Ok(Solution { mate, duals })
}

/// Computes duals at which the cell of every point is one of its cheapest, by the Bellman–Ford method: if another cell
/// is cheaper for a point, the dual of that cell is lowered until it costs the same. This converges if the assignment
/// is optimal.
fn duals(lattice: &Lattice, mate: &[u32]) -> Vec<i64> {
    let m = lattice.places.len();
    let mut duals = vec![0; m];
    let mut owner = vec![usize::MAX; m];
    for (i, &cell) in mate.iter().enumerate() {
        owner[cell as usize] = i;
    }
    let mut changed: Vec<bool> = vec![true; m];
    for _ in 0..MAX_ROUNDS {
        let mut converged = true;
        for j in 0..m {
            if owner[j] == usize::MAX || !std::mem::take(&mut changed[j]) {
                continue;
            }
            let i = owner[j];
            let dual = lattice.cost(i, j) - duals[j];
            for k in 0..m {
                let tight_dual = lattice.cost(i, k) - dual;
                // Complementary slackness: the dual of an empty cell stays 0.
                if tight_dual < duals[k] && owner[k] != usize::MAX {
                    duals[k] = tight_dual;
                    changed[k] = true;
                    converged = false;
                }
            }
        }
        if converged {
            break;
        }
    }
    duals
}
