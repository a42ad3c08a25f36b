//! Colours for points without a picture, by the values of a column.

use anyhow::{Context as _, Result};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};

use crate::linalg::bounds;

/// Ten colours for text values that colour-blind people can distinguish too, after Paul Tol's muted scheme. Further
/// values get lighter and darker variants of them.
const DISTINCT: [[u8; 3]; 10] = [
    [51, 34, 136],
    [204, 102, 119],
    [17, 119, 51],
    [221, 204, 119],
    [136, 204, 238],
    [170, 68, 153],
    [153, 153, 51],
    [68, 170, 153],
    [136, 34, 85],
    [102, 102, 102],
];
/// Number of text values that get a colour of their own.
const MAX_DISTINCT: usize = 3 * DISTINCT.len();
/// The colour that all rarer text values share.
const OTHER_VALUES: [u8; 3] = [190, 190, 190];
/// Colours for numbers from dark to light: five points of the viridis colour map, interpolated linearly.
pub const RAMP: [[f64; 3]; 5] =
    [[68.0, 1.0, 84.0], [59.0, 82.0, 139.0], [33.0, 145.0, 140.0], [94.0, 201.0, 98.0], [253.0, 231.0, 37.0]];
/// The colour of rows without a value, and of all rows if no column is chosen.
const NO_VALUE: [u8; 3] = [70, 90, 120];

/// The colour of the outline around new pictures.
pub const NEW_PICTURE: [u8; 3] = [255, 122, 0];

/// The colours of all rows, with their legend.
#[derive(Clone, Debug, PartialEq)]
pub struct Colours {
    /// The colour of each row.
    pub of_row: Vec<[u8; 3]>,
    /// What the colours mean; `None` if no column was chosen.
    pub legend: Option<Legend>,
}

/// The meaning of the colours.
#[derive(Clone, Debug, PartialEq)]
pub struct Legend {
    /// Name of the column.
    pub column: String,
    /// Whether the values are numbers, on a continuous colour scale. Otherwise each distinct text has a colour.
    pub numeric: bool,
    /// The texts with their colours, or for numbers the two ends of their range and three values between them.
    pub entries: Vec<(String, [u8; 3])>,
    /// The value of each row: its number, or the index of its text in `entries`.
    pub of_row: Vec<Option<f64>>,
}

impl Legend {
    /// The legend of the same rows in another order.
    pub fn sorted(&self, order: &[usize]) -> Self {
        Self { of_row: order.iter().map(|&i| self.of_row[i]).collect(), ..self.clone() }
    }
}

/// One colour per row, by the values of a column; the same colour for all rows if `column` is empty.
///
/// # Errors
/// When there is no such column.
pub fn of_column(batch: &RecordBatch, column: &str) -> Result<Colours> {
    if column.is_empty() {
        return Ok(Colours { of_row: vec![NO_VALUE; batch.num_rows()], legend: None });
    }
    let values =
        batch.column_by_name(column).with_context(|| format!("--color-by: the table has no column `{column}`"))?;
    if values.data_type().is_numeric() { by_number(values, column) } else { by_name(values, column) }
}

/// The colour on [`RAMP`] at `share`, from 0 (dark) to 1 (light).
pub fn ramp(share: f64) -> [u8; 3] {
    let position = share * (RAMP.len() - 1) as f64;
    let i = (position as usize).min(RAMP.len() - 2);
    std::array::from_fn(|c| (RAMP[i][c] + (RAMP[i + 1][c] - RAMP[i][c]) * (position - i as f64)).round() as u8)
}

fn by_number(values: &ArrayRef, column: &str) -> Result<Colours> {
    let values = cast(values, &DataType::Float64)?;
    let values: Vec<Option<f64>> =
        values.as_primitive::<Float64Type>().iter().map(|v| v.filter(|v| v.is_finite())).collect();
    let [[low], [high]] = bounds(values.iter().flatten().map(|&value| [value]));
    let colour = |value: f64| ramp(if high > low { (value - low) / (high - low) } else { 0.0 });
    let steps = if high > low { 5 } else { usize::from(high == low) };
    let step = |i: usize| low + (high - low) * i as f64 / 4.0;
    let entries = (0..steps).map(|i| (format!("{:.4}", step(i)), colour(step(i)))).collect();
    let of_row = values.iter().map(|value| value.map_or(NO_VALUE, colour)).collect();
    let legend = Legend { column: column.to_owned(), numeric: true, entries, of_row: values };
    Ok(Colours { of_row, legend: Some(legend) })
}

/// The colour of the text with this rank, which is less than [`MAX_DISTINCT`]: ten colours, then their mixtures with
/// white, then with black.
fn shade(rank: usize) -> [u8; 3] {
    let colour = DISTINCT[rank % DISTINCT.len()];
    let towards = |end: u16, share: u16| colour.map(|c| ((u16::from(c) * (10 - share) + end * share) / 10) as u8);
    match rank / DISTINCT.len() {
        0 => colour,
        1 => towards(255, 5),
        _ => towards(0, 5),
    }
}

fn by_name(values: &ArrayRef, column: &str) -> Result<Colours> {
    let values = cast(values, &DataType::Utf8)?;
    let values = values.as_string::<i32>();
    let mut names: Vec<&str> = values.iter().flatten().collect();
    names.sort_unstable();
    names.dedup();
    let number = |i: usize| values.is_valid(i).then(|| names.binary_search(&values.value(i)).ok()).flatten();
    let numbers: Vec<Option<usize>> = (0..values.len()).map(number).collect();
    let mut counts = vec![0_usize; names.len()];
    numbers.iter().flatten().for_each(|&number| counts[number] += 1);
    // Few texts get colours in alphabetical order. Of many, the most frequent ones do.
    let mut ranks: Vec<usize> = (0..names.len()).collect();
    if names.len() > MAX_DISTINCT {
        ranks.sort_by_key(|&number| (std::cmp::Reverse(counts[number]), number));
    }
    let mut shades = vec![OTHER_VALUES; names.len()];
    ranks.iter().take(MAX_DISTINCT).enumerate().for_each(|(rank, &number)| shades[number] = shade(rank));
    let colour = |number: usize| shades[number];
    let legend = Legend {
        column: column.to_owned(),
        numeric: false,
        entries: names.iter().enumerate().map(|(i, name)| ((*name).to_owned(), colour(i))).collect(),
        of_row: numbers.iter().map(|number| number.map(|n| n as f64)).collect(),
    };
    let of_row = numbers.iter().map(|number| number.map_or(NO_VALUE, colour)).collect();
    Ok(Colours { of_row, legend: Some(legend) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int32Array, StringArray};
    use std::sync::Arc;

    #[test]
    fn thirty_texts_have_colours_of_their_own_and_the_rarest_share_one() {
        let names: Vec<String> = (0..40).flat_map(|i| vec![format!("{i:02}"); if i < 35 { 2 } else { 1 }]).collect();
        let column: ArrayRef = Arc::new(StringArray::from(names));
        let colours = of_column(&RecordBatch::try_from_iter([("name", column)]).unwrap(), "name").unwrap();
        let legend = colours.legend.unwrap();
        let own: std::collections::BTreeSet<[u8; 3]> =
            legend.entries[..MAX_DISTINCT].iter().map(|entry| entry.1).collect();
        assert!(own.len() == MAX_DISTINCT && !own.contains(&OTHER_VALUES));
        assert!(legend.entries[MAX_DISTINCT..].iter().all(|entry| entry.1 == OTHER_VALUES));
    }

    #[test]
    fn names_are_told_apart_and_numbers_run_from_dark_to_light() {
        let batch = RecordBatch::try_from_iter([
            ("name", Arc::new(StringArray::from(vec![Some("b"), Some("a"), Some("b"), None])) as ArrayRef),
            ("size", Arc::new(Int32Array::from(vec![1, 3, 2, 1]))),
        ])
        .unwrap();
        let names = of_column(&batch, "name").unwrap();
        assert_eq!(names.of_row, [DISTINCT[1], DISTINCT[0], DISTINCT[1], NO_VALUE]);
        let legend = names.legend.unwrap();
        assert_eq!(legend.entries, [("a".to_owned(), DISTINCT[0]), ("b".to_owned(), DISTINCT[1])]);
        assert_eq!(legend.of_row, [Some(1.0), Some(0.0), Some(1.0), None]);
        let sizes = of_column(&batch, "size").unwrap();
        assert_eq!(sizes.of_row, [[68, 1, 84], [253, 231, 37], [33, 145, 140], [68, 1, 84]]);
        let legend = sizes.legend.unwrap();
        assert_eq!((legend.numeric, legend.entries.len(), &*legend.entries[2].0), (true, 5, "2.0000"));
        assert_eq!(of_column(&batch, "").unwrap(), Colours { of_row: vec![NO_VALUE; 4], legend: None });
        assert!(of_column(&batch, "colour").unwrap_err().to_string().contains("`colour`"));
    }
}
