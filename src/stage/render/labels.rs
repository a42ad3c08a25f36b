//! The names of the groups on the drawn grid: large ones for large groups, and smaller ones within them if there is
//! room. No two names overlap.

use std::collections::HashMap;

use anyhow::Result;

use super::scene::RenderScene;
use crate::artifact::ImageId;
use crate::artifact::rows::{GroupRow, Row};
use crate::config::Style;
use crate::render::lettering::{TextImage, width_per_height};
use crate::render::scatter::scale_points;

/// Height of a name as a share of its group's width.
const HEIGHT_SHARE: f32 = 1.0 / 8.0;
/// Largest height of a name as a share of the drawn grid's shorter side.
const MAX_HEIGHT_SHARE: f32 = 1.0 / 16.0;
/// Smallest height of a name in pixels.
const MIN_HEIGHT: f32 = 11.0;
/// Smallest height as a share of the shorter side, so that names are readable when the whole grid is in view.
const MIN_HEIGHT_SHARE: f32 = 1.0 / 110.0;
/// Largest height in pixels on any drawn grid, which bounds the memory of a name.
const MAX_HEIGHT: f32 = 400.0;
/// A name may be this much wider than its group.
const MAX_WIDTH_RATIO: f32 = 1.15;
/// Room around a name as a share of its height.
const MARGIN: f32 = 0.25;

/// A named group, with the centres of its pictures in pixels.
struct NamedGroup {
    name: String,
    level: u32,
    members: Vec<[f32; 2]>,
}

/// The names to draw, each with its upper left corner, on a drawn grid of `size` pixels.
///
/// Names are placed greedily: by level, and within a level by the size of the group. A name is dropped if it would
/// overlap one that is placed, or repeat the name of a wider group around it.
pub(super) fn labels(scene: &RenderScene<'_>, size: (u32, u32)) -> Result<Vec<(TextImage, [i64; 2])>> {
    let Some(table) = scene.info.groups else { return Ok(Vec::new()) };
    let centres = centres(scene, size);
    let mut named_groups: Vec<NamedGroup> = Vec::new();
    let mut last = None;
    // The rows of a group are consecutive, and wider groups come first.
    for GroupRow { image, level, group, name, .. } in GroupRow::from_batch(&table.batch)? {
        let (Some(name), Some(&middle)) = (name, centres.get(&image)) else { continue };
        if last.replace((level, group)) != Some((level, group)) {
            named_groups.push(NamedGroup { name, level, members: Vec::new() });
        }
        if let Some(current) = named_groups.last_mut() {
            current.members.push(middle);
        }
    }
    named_groups.sort_by_key(|group| (group.level, std::cmp::Reverse(group.members.len())));
    let short = size.0.min(size.1) as f32;
    let lowest = (short * MIN_HEIGHT_SHARE).clamp(MIN_HEIGHT, MAX_HEIGHT);
    let mut occupied: Vec<Rectangle> = Vec::new();
    let mut used_names: Vec<(String, Rectangle)> = Vec::new();
    let mut labels = Vec::new();
    let mut unreadable = 0;
    for NamedGroup { name, level, members } in named_groups {
        let Some(width_for_height) = width_per_height(&name) else {
            unreadable += 1;
            continue;
        };
        let extent = extent(&members, scene.settings.cell as f32);
        let group_width = (extent.right - extent.left).min(2.5 * (extent.bottom - extent.top));
        let fitting = (MAX_WIDTH_RATIO * group_width / width_for_height)
            .min(HEIGHT_SHARE * group_width)
            .min(MAX_HEIGHT_SHARE * short)
            .min(MAX_HEIGHT);
        // The name of a group of the widest level is shown in any case, others only if they are readable.
        if fitting < lowest && level > 0 {
            continue;
        }
        let pixels = fitting.max(lowest);
        // The name of a wider group is not repeated within it.
        let [x, y] = member_nearest_median(&members);
        if used_names.iter().any(|(other, bounds)| *other == name && bounds.contains([x, y])) {
            continue;
        }
        let Some(text) = TextImage::new(&name, pixels) else { continue };
        let (width, height) = (text.width as f32, text.height as f32);
        // A name at the edge is moved into the picture.
        let left = (x - width / 2.0).min(size.0 as f32 - width).max(0.0);
        let top = (y - height / 2.0).min(size.1 as f32 - height).max(0.0);
        let margin = MARGIN * pixels;
        let bounds = Rectangle {
            left: left - margin,
            top: top - margin,
            right: left + width + margin,
            bottom: top + height + margin,
        };
        if occupied.iter().any(|other| other.intersects(&bounds)) {
            continue;
        }
        occupied.push(bounds);
        used_names.push((name, extent));
        labels.push((text, [left.round() as i64, top.round() as i64]));
    }
    if unreadable > 0 {
        scene.session.warn(format!(
            "the font of render.labels lacks letters of {unreadable} group names; these names are not drawn"
        ));
    }
    Ok(labels)
}

/// The centre of each picture in pixels.
fn centres<'a>(scene: &'a RenderScene<'_>, size: (u32, u32)) -> HashMap<&'a ImageId, [f32; 2]> {
    let (settings, rows) = (scene.settings, &scene.input.rows);
    let centres = match settings.style {
        Style::Grid => {
            let pitch = (settings.cell + settings.gap) as f32;
            let centre = |cell: u32| cell as f32 * pitch + settings.cell as f32 / 2.0;
            rows.iter().map(|row| [centre(row.col), centre(row.row)]).collect::<Vec<_>>()
        }
        Style::Scatter => {
            let points: Vec<[f64; 2]> = rows.iter().map(|row| [row.x, row.y]).collect();
            scale_points(&points, size.0, settings.cell)
                .into_iter()
                .map(|place| place.map(|centre| centre as f32))
                .collect()
        }
    };
    rows.iter().map(|row| &row.image).zip(centres).collect()
}

#[derive(Clone, Copy)]
struct Rectangle {
    left: f32,
    top: f32,
    right: f32,
    bottom: f32,
}

impl Rectangle {
    fn intersects(&self, other: &Self) -> bool {
        self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
    }

    fn contains(&self, [x, y]: [f32; 2]) -> bool {
        (self.left..self.right).contains(&x) && (self.top..self.bottom).contains(&y)
    }
}

/// The rectangle between the 10 % and 90 % quantiles of the centres, so that outliers do not count.
fn extent(members: &[[f32; 2]], cell: f32) -> Rectangle {
    let span = |axis: usize| {
        let sorted = sorted(members, axis);
        let quantile = |share: f32| sorted[((sorted.len() - 1) as f32 * share).round() as usize];
        [quantile(0.1) - cell / 2.0, quantile(0.9) + cell / 2.0]
    };
    let ([left, right], [top, bottom]) = (span(0), span(1));
    Rectangle { left, top, right, bottom }
}

fn sorted(members: &[[f32; 2]], axis: usize) -> Vec<f32> {
    let mut values: Vec<f32> = members.iter().map(|point| point[axis]).collect();
    values.sort_by(f32::total_cmp);
    values
}

/// The centre of the picture nearest to the medians. The medians themselves may be outside of a bent group.
fn member_nearest_median(members: &[[f32; 2]]) -> [f32; 2] {
    let median = [0, 1].map(|axis| sorted(members, axis)[(members.len() - 1) / 2]);
    let distance = |point: &[f32; 2]| (point[0] - median[0]).hypot(point[1] - median[1]);
    members.iter().copied().min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(median)
}
