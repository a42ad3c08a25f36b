//! The exact solver: a pyramid of problems that hand their prices down.
//!
//! Every four neighbours in the k-d order of the points, and every four in that of the cells, make one of the next coarser
//! problem, which is of the same kind. Its optimal duals, carried over by the c-transform v(g) = min_i c(x_i, g) − u_i, are so
//! close to those of the finer problem that most searches of the finer one stay short.

use std::ops::Range;

use rayon::prelude::*;

use super::augment::{NONE, Phase, Rows};
use super::fill;
use super::lattice::Lattice;
use super::lists::Lists;
use super::meter::Meter;
use super::order::kd_order;
use super::smooth::{served, smooth};
use super::tree::{Found, Item, Market};

/// Items on a row's first list.
const LIST: usize = 16;
/// Sweeps of row reduction.
const SWEEPS: usize = 2;
/// Cells per task.
const TASK: usize = 256;
/// Levels of fewer points are solved sooner than smoothed.
const SMOOTHED: usize = 5000;
/// The coarsest problem has at most this many points.
const COARSEST: usize = 32;

/// An assignment of a lattice problem and the prices that certify it.
pub(crate) struct Solved {
    /// Index of the free cell of each free point.
    pub(crate) mate: Vec<u32>,
    /// Price of each free cell.
    pub(crate) prices: Vec<i64>,
}

/// Every four neighbours become one, in their middle.
fn coarser(at: &[[i32; 2]]) -> Vec<[i32; 2]> {
    let mean = |four: &[[i32; 2]], axis: usize| {
        (four.iter().map(|p| i64::from(p[axis])).sum::<i64>() / four.len() as i64) as i32
    };
    at.chunks(4).map(|four| [mean(four, 0), mean(four, 1)]).collect()
}

/// A level once it is solved.
struct Level {
    rows: Rows,
    /// Price per cell.
    prices: Vec<i64>,
    /// Row per cell, or NONE.
    owner: Vec<u32>,
}

/// Solves the problem as far as the meter lets it. Every point gets a cell, whatever happens; at least one point.
pub(crate) fn solve(lattice: &Lattice, meter: &mut Meter<'_>) -> Solved {
    let point_order = kd_order(&lattice.targets);
    let cell_order = kd_order(&lattice.places);
    let pick = |order: &[u32], at: &[[i32; 2]]| order.iter().map(|&i| at[i as usize]).collect::<Vec<_>>();
    let mut pyramid = vec![(pick(&point_order, &lattice.targets), pick(&cell_order, &lattice.places))];
    while let Some((points, cells)) = pyramid.last()
        && points.len() > COARSEST
    {
        let next = (coarser(points), coarser(cells));
        pyramid.push(next);
    }
    let mut above = None;
    while let Some((points, cells)) = pyramid.pop() {
        above = Some(level(points, &cells, above.as_ref(), pyramid.is_empty(), meter));
    }
    let last = above.expect("a pyramid has a level");
    let mut solved = Solved { mate: vec![NONE; point_order.len()], prices: vec![0; cell_order.len()] };
    for (place, &i) in point_order.iter().enumerate() {
        solved.mate[i as usize] = cell_order[last.rows.mate[place] as usize];
    }
    for (place, &j) in cell_order.iter().enumerate() {
        solved.prices[j as usize] = last.prices[place];
    }
    solved
}

fn level(
    points: Vec<[i32; 2]>,
    cells: &[[i32; 2]],
    above: Option<&Level>,
    finest: bool,
    meter: &mut Meter<'_>,
) -> Level {
    let (n, m) = (points.len(), cells.len());
    meter.level(n);
    let mut rows = Rows { dual: vec![0; n], mate: vec![NONE; n], at: points };
    // The children of the cell that the row's four got, and their neighbours in the order.
    let near = |row: usize| match above.map(|coarse| coarse.rows.mate[row >> 2]) {
        None | Some(NONE) => 0..0,
        Some(cell) => (cell as usize * 4).saturating_sub(6)..cell as usize * 4 + 10,
    };
    let mut prices = vec![0; m];
    if let Some(coarse) = above {
        let owner = |cell: usize| coarse.owner[cell >> 2] as usize;
        prices = transformed(cells, &coarse.rows, |cell| owner(cell)..owner(cell).saturating_add(1), n < m);
        // Once to the points and back: a cell that is nobody's cheapest gets as dear as its first taker allows. That halves
        // the search steps of this level.
        let once = Lists::all(&rows, &market_of(cells, &prices), 1, near);
        rows.dual.copy_from_slice(&once.key);
        prices = transformed(
            cells,
            &rows,
            |cell| owner(cell).saturating_mul(4)..owner(cell).saturating_add(1).saturating_mul(4),
            n < m,
        );
    }
    let mut market = market_of(cells, &prices);
    let mut owner = vec![NONE; m];
    let mut lists = Lists::all(&rows, &market, LIST, near);
    if n >= SMOOTHED {
        smooth(&lists, &mut prices, n < m);
        let smoothed = market_of(cells, &prices);
        let now = Lists::all(&rows, &smoothed, LIST, near);
        // Where points lie in a row, or many on one spot, lists say too little, and what was handed down is the better start.
        if 10 * served(&now, m) > 9 * served(&lists, m) {
            (market, lists) = (smoothed, now);
        }
    }
    let mut phase = Phase::new(&mut rows, &mut market, &mut owner, lists, None);
    let free = phase.greedy();
    let free = phase.reduce(free, SWEEPS);
    let left = phase.augment_all(free, meter);
    if left.is_empty() && n < m {
        raise(&mut rows, &mut market, &mut owner, meter);
    }
    let prices = market.items.iter().map(|item| item.price).collect();
    if !left.is_empty() {
        fill::complete(&mut rows, &mut owner, &mut market, above.map(|coarse| &coarse.rows.mate[..]), finest);
    }
    Level { rows, prices, owner }
}

fn market_of(places: &[[i32; 2]], prices: &[i64]) -> Market {
    Market::new(places.iter().zip(prices).map(|(&at, &price)| Item::new(at, price)).collect())
}

/// The c-transform: the highest prices at which no row pays less than its dual. `near(cell)` says where in the rows to look
/// first. Where cells stay empty, no price is above 0.
fn transformed(cells: &[[i32; 2]], rows: &Rows, near: impl Fn(usize) -> Range<usize> + Sync, blanks: bool) -> Vec<i64> {
    let market = market_of(&rows.at, &rows.dual);
    cells
        .par_chunks(TASK)
        .enumerate()
        .flat_map_iter(|(task, cells)| {
            let mut found = Found::default();
            let (market, near) = (&market, &near);
            cells.iter().enumerate().map(move |(offset, &at)| {
                market.cheapest(at, 1, near(task * TASK + offset), &mut found);
                let price = found.best[0].0;
                if blanks { price.min(0) } else { price }
            })
        })
        .collect()
}

/// An empty cell must have the top price, 0, or a point would still gain by moving there. Carried-over prices leave a few that
/// have not; each of them buys a point back, and the cell that loses one in the end climbs to the top. It is the same search
/// with the sides exchanged: cells are the rows, points the items, and a row at 0 may leave.
fn raise(rows: &mut Rows, market: &mut Market, owner: &mut Vec<u32>, meter: &mut Meter<'_>) {
    let low: Vec<u32> =
        (0..owner.len() as u32).filter(|&j| owner[j as usize] == NONE && market.items[j as usize].price < 0).collect();
    if low.is_empty() {
        return;
    }
    let mut sellers = market_of(&rows.at, &rows.dual);
    let count = market.items.len();
    let mut buyers = Rows {
        at: market.items.iter().map(|item| item.at).collect(),
        dual: market.items.iter().map(|item| item.price).collect(),
        mate: std::mem::take(owner),
    };
    let mut phase = Phase::new(&mut buyers, &mut sellers, &mut rows.mate, Lists::none(count), Some(0));
    phase.augment_all(low, meter);
    *owner = buyers.mate;
    for (dual, item) in rows.dual.iter_mut().zip(&sellers.items) {
        *dual = item.price;
    }
    for (item, &price) in market.items.iter_mut().zip(&buyers.dual) {
        item.price = price;
    }
}
