//! Draws the pictures of the sample: a few subjects, each with its own colours and shapes. A random seed makes every
//! picture different.

use image::{Rgb, RgbImage};

use crate::linalg::SplitMix64;
use crate::photo::stretch;

/// Width and height of a picture in pixels. It is drawn at twice this size and scaled down, which gives soft edges.
const SIDE: u32 = 320;

/// Red, green and blue, 0 to 255.
type Colour = [f64; 3];

/// A subject, with captions and a function that draws it.
#[derive(Debug)]
pub(super) struct Scene {
    captions: [&'static str; 3],
    draw: fn(&mut UnitCanvas, &mut SplitMix64),
}

/// All subjects.
pub(super) static SCENES: [Scene; 10] = [
    Scene { captions: ["Sonnenuntergang über dem Meer 🌅", "golden hour", "evening, no filter"], draw: sunset },
    Scene { captions: ["im Wald 🌲", "a walk before breakfast", "green everywhere"], draw: forest },
    Scene { captions: ["night lights 🌃", "the city does not sleep", "späte Heimfahrt"], draw: city },
    Scene { captions: ["salt & sand 🏖️", "à la plage", "low tide"], draw: beach },
    Scene { captions: ["first bloom 🌸", "from the garden", "Frühlingsgrüße"], draw: flower },
    Scene { captions: ["morning ☕", "café crème", "the second one"], draw: coffee },
    Scene { captions: ["above the clouds 🏔️", "Gipfel!", "thin air"], draw: mountain },
    Scene { captions: ["new blanket", "warp & weft", "<b>bold</b> pattern, isn't it?"], draw: plaid },
    Scene { captions: ["me & \"the hat\"", "Geburtstagskind 🎂", "profile"], draw: portrait },
    Scene { captions: ["autumn 🍁", "Herbstlaub", "every colour but green"], draw: leaves },
];

impl Scene {
    /// One of the captions, for any number.
    pub(super) fn caption(&self, choice: u64) -> String {
        self.captions[(choice % 3) as usize].to_owned()
    }

    /// Draws the subject. The same seed gives the same picture.
    pub(super) fn draw(&self, seed: u64) -> RgbImage {
        let mut canvas = UnitCanvas(RgbImage::new(2 * SIDE, 2 * SIDE));
        (self.draw)(&mut canvas, &mut SplitMix64::new(seed));
        stretch(&canvas.0, SIDE, SIDE)
    }
}

/// A canvas with coordinates from 0 to 1; y increases downwards.
struct UnitCanvas(RgbImage);

impl UnitCanvas {
    /// Colours every pixel by a function of its centre. `None` leaves a pixel unchanged.
    fn paint(&mut self, colour: impl Fn(f64, f64) -> Option<Colour>) {
        self.paint_within([0.0, 0.0, 1.0, 1.0], colour);
    }

    /// Does the same within a box only, which saves time: a leaf covers a hundredth of the canvas.
    fn paint_within(&mut self, [left, top, right, bottom]: [f64; 4], colour: impl Fn(f64, f64) -> Option<Colour>) {
        let side = f64::from(self.0.width());
        let pixels = |from: f64, to: f64| (from * side) as u32..(to * side).ceil().min(side) as u32;
        for y in pixels(top, bottom) {
            for x in pixels(left, right) {
                if let Some(colour) = colour((f64::from(x) + 0.5) / side, (f64::from(y) + 0.5) / side) {
                    self.0.put_pixel(x, y, Rgb(colour.map(|c| c.clamp(0.0, 255.0) as u8)));
                }
            }
        }
    }

    /// A vertical gradient over the full width.
    fn gradient(&mut self, top: f64, bottom: f64, from: Colour, to: Colour) {
        self.paint_within([0.0, top, 1.0, bottom], |_, y| {
            (top..bottom).contains(&y).then(|| mix(from, to, (y - top) / (bottom - top)))
        });
    }

    fn ellipse(&mut self, x: f64, y: f64, rx: f64, ry: f64, colour: Colour) {
        self.paint_within([x - rx, y - ry, x + rx, y + ry], |px, py| {
            (((px - x) / rx).powi(2) + ((py - y) / ry).powi(2) < 1.0).then_some(colour)
        });
    }

    fn rectangle(&mut self, left: f64, top: f64, right: f64, bottom: f64, colour: Colour) {
        self.paint_within([left, top, right, bottom], |x, y| {
            ((left..right).contains(&x) && (top..bottom).contains(&y)).then_some(colour)
        });
    }

    /// A triangle with its tip at (`x`, `top`) and a base of width 2 · `half_width` at y = `base`.
    fn peak(&mut self, x: f64, top: f64, base: f64, half_width: f64, colour: Colour) {
        self.paint_within([x - half_width, top, x + half_width, base], |px, py| {
            let width = half_width * (py - top) / (base - top);
            ((top..base).contains(&py) && (px - x).abs() < width).then_some(colour)
        });
    }
}

/// Interpolates between two colours: `a` at t = 0, `b` at t = 1.
fn mix(a: Colour, b: Colour, t: f64) -> Colour {
    std::array::from_fn(|c| a[c] + (b[c] - a[c]) * t)
}

/// A random colour whose channels differ from those of `colour` by at most `max_change`.
fn vary(random: &mut SplitMix64, colour: Colour, max_change: f64) -> Colour {
    colour.map(|c| c + random.between(-max_change, max_change))
}

fn sunset(canvas: &mut UnitCanvas, random: &mut SplitMix64) {
    let (horizon, x) = (random.between(0.5, 0.75), random.between(0.2, 0.8));
    let (high, low) = (vary(random, [70.0, 50.0, 120.0], 30.0), vary(random, [250.0, 140.0, 60.0], 35.0));
    canvas.gradient(0.0, horizon, high, low);
    let radius = random.between(0.06, 0.14);
    canvas.ellipse(x, horizon - random.between(-0.02, 0.15), radius, radius, [255.0, 236.0, 170.0]);
    let sea = vary(random, [50.0, 40.0, 80.0], 20.0);
    canvas.gradient(horizon, 1.0, mix(low, sea, 0.4), sea);
    for _ in 0..14 {
        let (y, half) = (random.between(horizon + 0.02, 0.98), random.between(0.01, 0.09));
        canvas.rectangle(x - half, y, x + half, y + 0.006, mix(low, [255.0; 3], 0.3));
    }
}

fn forest(canvas: &mut UnitCanvas, random: &mut SplitMix64) {
    let sky = vary(random, [190.0, 215.0, 205.0], 25.0);
    canvas.gradient(0.0, 1.0, sky, [90.0, 120.0, 80.0]);
    let green = vary(random, [40.0, 95.0, 50.0], 22.0);
    for layer in 0..3 {
        let dark = mix(mix(sky, green, 0.45), green.map(|c| c * 0.7), f64::from(layer) / 2.0);
        for _ in 0..9 {
            let (x, top) = (random.between(-0.05, 1.05), random.between(0.1, 0.4) + 0.15 * f64::from(layer));
            canvas.peak(x, top, top + 0.55, random.between(0.07, 0.14), vary(random, dark, 10.0));
        }
    }
    canvas.rectangle(0.0, 0.93, 1.0, 1.0, green.map(|c| c * 0.45));
}

fn city(canvas: &mut UnitCanvas, random: &mut SplitMix64) {
    let night = vary(random, [18.0, 22.0, 48.0], 12.0);
    canvas.gradient(0.0, 1.0, night, mix(night, [90.0, 60.0, 90.0], 0.5));
    let mut left = -0.03;
    while left < 1.0 {
        let (width, top) = (random.between(0.08, 0.17), random.between(0.2, 0.65));
        let wall = vary(random, [28.0, 30.0, 42.0], 9.0);
        canvas.rectangle(left, top, left + width, 1.0, wall);
        let lit = vary(random, [250.0, 205.0, 110.0], 30.0);
        let mut y = top + 0.03;
        while y < 0.96 {
            let mut x = left + 0.015;
            while x < left + width - 0.02 {
                if random.below(3) > 0 {
                    canvas.rectangle(x, y, x + 0.014, y + 0.02, lit);
                }
                x += 0.028;
            }
            y += 0.042;
        }
        left += width + 0.006;
    }
}

fn beach(canvas: &mut UnitCanvas, random: &mut SplitMix64) {
    let (horizon, shore) = (random.between(0.25, 0.42), random.between(0.58, 0.75));
    canvas.gradient(0.0, horizon, vary(random, [120.0, 185.0, 235.0], 20.0), [205.0, 230.0, 245.0]);
    canvas.gradient(
        horizon,
        shore,
        vary(random, [30.0, 110.0, 160.0], 20.0),
        vary(random, [100.0, 205.0, 205.0], 20.0),
    );
    let sand = vary(random, [235.0, 212.0, 165.0], 15.0);
    let (waves, phase) = (random.between(6.0, 14.0), random.between(0.0, 6.0));
    canvas.paint(|x, y| {
        let edge = shore + 0.02 * (x * waves + phase).sin();
        if y > edge + 0.02 {
            Some(mix(sand, [190.0, 160.0, 115.0], (y - edge) * 1.2))
        } else {
            (y > edge).then_some([250.0; 3])
        }
    });
    if random.below(2) == 0 {
        let (x, colour) = (random.between(0.2, 0.8), vary(random, [215.0, 70.0, 60.0], 40.0));
        canvas.ellipse(x, shore + 0.1, 0.13, 0.06, colour);
        canvas.rectangle(x - 0.006, shore + 0.1, x + 0.006, shore + 0.26, [120.0, 90.0, 60.0]);
    }
}

fn flower(canvas: &mut UnitCanvas, random: &mut SplitMix64) {
    let ground = vary(random, [80.0, 130.0, 70.0], 30.0);
    canvas.gradient(0.0, 1.0, mix(ground, [255.0; 3], 0.25), ground);
    let kinds = [[235.0, 90.0, 150.0], [250.0, 210.0, 60.0], [170.0, 110.0, 220.0], [250.0, 245.0, 240.0]];
    let petal = kinds[random.below(4) as usize];
    let petal = vary(random, petal, 15.0);
    for _ in 0..1 + random.below(3) {
        let (x, y, size) = (random.between(0.25, 0.75), random.between(0.25, 0.75), random.between(0.12, 0.24));
        let (petals, turn) = (5 + random.below(5), random.between(0.0, 6.0));
        for k in 0..petals {
            let angle = turn + k as f64 / petals as f64 * std::f64::consts::TAU;
            canvas.ellipse(
                x + size * angle.cos(),
                y + size * angle.sin(),
                size * 0.6,
                size * 0.6,
                vary(random, petal, 8.0),
            );
        }
        canvas.ellipse(x, y, size * 0.5, size * 0.5, [200.0, 140.0, 40.0]);
    }
}

fn coffee(canvas: &mut UnitCanvas, random: &mut SplitMix64) {
    let table = vary(random, [150.0, 105.0, 70.0], 25.0);
    let grain = random.between(30.0, 60.0);
    canvas.paint(|x, y| Some(mix(table, [90.0, 60.0, 40.0], 0.25 + 0.25 * (x * grain + 3.0 * (y * 4.0).sin()).sin())));
    let (x, y, r) = (random.between(0.4, 0.6), random.between(0.4, 0.6), random.between(0.24, 0.34));
    let cup = vary(random, [240.0, 236.0, 228.0], 12.0);
    canvas.ellipse(x, y, r * 1.35, r * 1.35, cup.map(|c| c * 0.92));
    canvas.ellipse(x + r * 1.1, y, r * 0.3, r * 0.2, cup);
    canvas.ellipse(x, y, r, r, cup);
    canvas.ellipse(x, y, r * 0.86, r * 0.86, vary(random, [95.0, 58.0, 32.0], 14.0));
    let (turns, milk) = (random.between(2.0, 5.0), [215.0, 180.0, 140.0]);
    canvas.paint(|px, py| {
        let (dx, dy) = (px - x, py - y);
        let swirl = (dx.hypot(dy) / r * 9.0 + turns * dy.atan2(dx)).sin();
        (dx.hypot(dy) < r * 0.6 && swirl > 0.55).then_some(milk)
    });
}

fn mountain(canvas: &mut UnitCanvas, random: &mut SplitMix64) {
    let sky = vary(random, [130.0, 170.0, 215.0], 25.0);
    canvas.gradient(0.0, 1.0, sky, [235.0, 240.0, 245.0]);
    for layer in 0..3 {
        let depth = f64::from(layer) / 2.0;
        let rock = mix(sky, vary(random, [75.0, 80.0, 95.0], 12.0), 0.35 + 0.5 * depth);
        for _ in 0..3 {
            let (x, top) = (random.between(0.0, 1.0), random.between(0.15, 0.4) + 0.2 * depth);
            let half = random.between(0.3, 0.5);
            canvas.peak(x, top, 1.01, half, rock);
            canvas.peak(x, top, top + 0.12, half * 0.12 / (1.01 - top), [248.0, 250.0, 252.0]);
        }
    }
}

fn plaid(canvas: &mut UnitCanvas, random: &mut SplitMix64) {
    let base = [random.between(30.0, 220.0), random.between(30.0, 200.0), random.between(30.0, 220.0)];
    let line = vary(random, base.map(|c| 255.0 - c), 40.0);
    let (wide, narrow) = (random.between(3.0, 8.0), random.between(14.0, 26.0));
    let band = move |t: f64| 0.45 * f64::from((t * wide).fract() < 0.45) + 0.4 * f64::from((t * narrow).fract() < 0.18);
    canvas.paint(|x, y| Some(mix(base, line, (band(x) + band(y)).min(1.0))));
}

fn portrait(canvas: &mut UnitCanvas, random: &mut SplitMix64) {
    let wall = vary(random, [185.0, 190.0, 195.0], 45.0);
    canvas.gradient(0.0, 1.0, mix(wall, [255.0; 3], 0.2), wall);
    let skins = [[240.0, 205.0, 178.0], [205.0, 155.0, 115.0], [125.0, 85.0, 60.0]];
    let skin = skins[random.below(3) as usize];
    let skin = vary(random, skin, 12.0);
    let (x, hair, shirt) =
        (random.between(0.42, 0.58), vary(random, [70.0, 48.0, 35.0], 35.0), vary(random, [110.0, 110.0, 150.0], 80.0));
    canvas.ellipse(x, 1.08, 0.36, 0.38, shirt);
    canvas.rectangle(x - 0.07, 0.55, x + 0.07, 0.8, skin.map(|c| c * 0.93));
    canvas.ellipse(x, 0.37, 0.215, 0.25, hair);
    canvas.ellipse(x, 0.43, 0.17, 0.22, skin);
    for side in [-1.0, 1.0] {
        canvas.ellipse(x + 0.07 * side, 0.4, 0.02, 0.014, [40.0; 3]);
    }
    canvas.ellipse(x, 0.53, 0.05, random.between(0.01, 0.03), [170.0, 70.0, 75.0]);
}

fn leaves(canvas: &mut UnitCanvas, random: &mut SplitMix64) {
    canvas.gradient(0.0, 1.0, [96.0, 70.0, 40.0], [60.0, 42.0, 26.0]);
    let kinds = [[205.0, 80.0, 30.0], [230.0, 160.0, 40.0], [160.0, 45.0, 35.0], [190.0, 120.0, 60.0]];
    for _ in 0..60 {
        let (x, y, size) = (random.between(0.0, 1.0), random.between(0.0, 1.0), random.between(0.04, 0.11));
        let slant = random.between(0.4, 2.2);
        let colour = kinds[random.below(4) as usize];
        let colour = vary(random, colour, 18.0);
        canvas.ellipse(x, y, size * slant.min(1.0), size / slant.max(1.0), colour);
        canvas.rectangle(x - 0.003, y - size * 0.5, x + 0.003, y + size * 0.5, colour.map(|c| c * 0.7));
    }
}
