//! The dense solver of the `lapjv` crate, kept as the oracle: it shares nothing with ours but the lattice.

use lapjv::{ErrorKind, LapJV, Matrix};

use super::lattice::{Lattice, SIDE};
use super::sparse::Solved;
use super::{Error, Grid};

/// The most cells the dense solver takes: its matrix has 8 bytes per pair of cells, 2 GiB here.
pub(crate) const MOST_CELLS: u64 = 1 << 14;

/// Rounds of price propagation until an assignment that rounding has spoilt is certified with a gap instead.
const ROUNDS: usize = 4096;

/// Solves by a full matrix of costs in floating point. Points that are missing to a square cost nothing anywhere.
pub(crate) fn solve(lattice: &Lattice, grid: Grid) -> Result<Solved, Error> {
    let (n, m) = (lattice.targets.len(), lattice.places.len());
    if m as u64 > MOST_CELLS {
        return Err(Error::TooManyCells { grid, limit: MOST_CELLS });
    }
    let scale = 1.0 / f64::from(SIDE).powi(2);
    let costs = Matrix::from_shape_fn((m, m), |(i, j)| if i < n { lattice.cost(i, j) as f64 * scale } else { 0.0 });
    let (rows, _) = LapJV::new(&costs).solve().map_err(|error| {
        let message = match error.kind() {
            ErrorKind::Msg(message) => message.to_owned(),
            ErrorKind::Cancelled => "cancelled".to_owned(),
        };
        Error::Dense(message)
    })?;
    let mate: Vec<u32> = rows[..n].iter().map(|&cell| cell as u32).collect();
    let prices = prices(lattice, &mate);
    Ok(Solved { mate, prices })
}

/// Prices under which every point holds a cheapest cell, by Bellman and Ford: a point that would rather have another cell
/// lowers that cell's price. Ends when all are content, as they will be if the assignment is optimal.
fn prices(lattice: &Lattice, mate: &[u32]) -> Vec<i64> {
    let m = lattice.places.len();
    let mut prices = vec![0; m];
    let mut owner = vec![usize::MAX; m];
    for (i, &cell) in mate.iter().enumerate() {
        owner[cell as usize] = i;
    }
    let mut changed: Vec<bool> = vec![true; m];
    for _ in 0..ROUNDS {
        let mut content = true;
        for j in 0..m {
            if owner[j] == usize::MAX || !std::mem::take(&mut changed[j]) {
                continue;
            }
            let i = owner[j];
            let dual = lattice.cost(i, j) - prices[j];
            for k in 0..m {
                let fair = lattice.cost(i, k) - dual;
                // An empty cell keeps the top price.
                if fair < prices[k] && owner[k] != usize::MAX {
                    prices[k] = fair;
                    changed[k] = true;
                    content = false;
                }
            }
        }
        if content {
            break;
        }
    }
    prices
}
