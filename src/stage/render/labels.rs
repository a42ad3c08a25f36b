//! The names of the groups on the picture: large ones for large groups, smaller ones within them where there is room, and
//! none over another.

use std::collections::HashMap;

use anyhow::Result;

use super::wall::Wall;
use crate::artifact::ImageId;
use crate::artifact::rows::{GroupRow, Row};
use crate::config::Style;
use crate::render::lettering::{Lettering, width_of};
use crate::render::scatter::places;

/// A name's height for its group's width.
const HEIGHT: f32 = 1.0 / 8.0;
/// It is no higher than this share of the picture's shorter side, and no lower than so many pixels, or than a share of that side, so that
/// it can be read where all of the picture is seen.
const HIGHEST: f32 = 1.0 / 16.0;
const LOWEST: f32 = 11.0;
const LOWEST_SHARE: f32 = 1.0 / 110.0;
/// Whatever the picture, no name takes more memory than one of so many pixels.
const MOST: f32 = 400.0;
/// A name may be somewhat wider than its group.
const WIDEST: f32 = 1.15;
/// Room between names, for their height.
const ROOM: f32 = 0.25;

/// A group that has a name, and where it is on the picture, in pixels.
struct Place {
    name: String,
    level: u32,
    members: Vec<[f32; 2]>,
}

/// The names, each with its upper left corner, on a picture of so many pixels.
pub(super) fn labels(wall: &Wall<'_>, size: (u32, u32)) -> Result<Vec<(Lettering, [i64; 2])>> {
    let Some(table) = wall.known.groups else { return Ok(Vec::new()) };
    let middles = middles(wall, size);
    let mut named: Vec<Place> = Vec::new();
    let mut last = None;
    // The rows of a group follow each other, and wider groups come first.
    for GroupRow { image, level, group, name, .. } in GroupRow::from_batch(&table.batch)? {
        let (Some(name), Some(&middle)) = (name, middles.get(&image)) else { continue };
        if last.replace((level, group)) != Some((level, group)) {
            named.push(Place { name, level, members: Vec::new() });
        }
        if let Some(place) = named.last_mut() {
            place.members.push(middle);
        }
    }
    named.sort_by_key(|place| (place.level, std::cmp::Reverse(place.members.len())));
    let short = size.0.min(size.1) as f32;
    let lowest = (short * LOWEST_SHARE).clamp(LOWEST, MOST);
    let mut taken: Vec<Rectangle> = Vec::new();
    let mut said: Vec<(String, Rectangle)> = Vec::new();
    let mut labels = Vec::new();
    let mut unreadable = 0;
    for Place { name, level, members } in named {
        let Some(width_for_height) = width_of(&name) else {
            unreadable += 1;
            continue;
        };
        let extent = extent(&members, wall.settings.cell as f32);
        let wide = (extent.right - extent.left).min(2.5 * (extent.bottom - extent.top));
        let fitting = (WIDEST * wide / width_for_height).min(HEIGHT * wide).min(HIGHEST * short).min(MOST);
        // A large group's name is shown in any case, a small one's where it can be read.
        if fitting < lowest && level > 0 {
            continue;
        }
        let pixels = fitting.max(lowest);
        // What a wider group is called is not said again within it.
        let [x, y] = nearest_to_the_middle(&members);
        if said.iter().any(|(other, around)| *other == name && around.holds([x, y])) {
            continue;
        }
        let Some(words) = Lettering::new(&name, pixels) else { continue };
        let (width, height) = (words.width as f32, words.height as f32);
        // A name at the edge is moved into the picture.
        let left = (x - width / 2.0).min(size.0 as f32 - width).max(0.0);
        let top = (y - height / 2.0).min(size.1 as f32 - height).max(0.0);
        let room = ROOM * pixels;
        let around =
            Rectangle { left: left - room, top: top - room, right: left + width + room, bottom: top + height + room };
        if taken.iter().any(|other| other.meets(&around)) {
            continue;
        }
        taken.push(around);
        said.push((name, extent));
        labels.push((words, [left.round() as i64, top.round() as i64]));
    }
    if unreadable > 0 {
        wall.ctx.warn(format!(
            "{unreadable} names of groups have letters that the font of render.labels has not; they are left out"
        ));
    }
    Ok(labels)
}

/// Where the middle of each picture is.
fn middles<'a>(wall: &'a Wall<'_>, size: (u32, u32)) -> HashMap<&'a ImageId, [f32; 2]> {
    let (settings, rows) = (wall.settings, &wall.input.rows);
    let of = match settings.style {
        Style::Grid => {
            let pitch = (settings.cell + settings.gap) as f32;
            let at = |cell: u32| cell as f32 * pitch + settings.cell as f32 / 2.0;
            rows.iter().map(|row| [at(row.col), at(row.row)]).collect::<Vec<_>>()
        }
        Style::Scatter => {
            let points: Vec<[f64; 2]> = rows.iter().map(|row| [row.x, row.y]).collect();
            places(&points, size.0, settings.cell).into_iter().map(|place| place.map(|at| at as f32)).collect()
        }
    };
    rows.iter().map(|row| &row.image).zip(of).collect()
}

/// A rectangle.
#[derive(Clone, Copy)]
struct Rectangle {
    left: f32,
    top: f32,
    right: f32,
    bottom: f32,
}

impl Rectangle {
    fn meets(&self, other: &Self) -> bool {
        self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
    }

    fn holds(&self, [x, y]: [f32; 2]) -> bool {
        (self.left..self.right).contains(&x) && (self.top..self.bottom).contains(&y)
    }
}

/// How far most of the pictures reach.
fn extent(members: &[[f32; 2]], cell: f32) -> Rectangle {
    let span = |axis: usize| {
        let sorted = sorted(members, axis);
        let at = |share: f32| sorted[((sorted.len() - 1) as f32 * share).round() as usize];
        [at(0.1) - cell / 2.0, at(0.9) + cell / 2.0]
    };
    let ([left, right], [top, bottom]) = (span(0), span(1));
    Rectangle { left, top, right, bottom }
}

fn sorted(members: &[[f32; 2]], axis: usize) -> Vec<f32> {
    let mut values: Vec<f32> = members.iter().map(|at| at[axis]).collect();
    values.sort_by(f32::total_cmp);
    values
}

/// The picture nearest to the medians: a group that is bent has its middle outside of itself.
fn nearest_to_the_middle(members: &[[f32; 2]]) -> [f32; 2] {
    let middle = [0, 1].map(|axis| sorted(members, axis)[(members.len() - 1) / 2]);
    let apart = |at: &[f32; 2]| (at[0] - middle[0]).hypot(at[1] - middle[1]);
    members.iter().copied().min_by(|a, b| apart(a).total_cmp(&apart(b))).unwrap_or(middle)
}
