//! Colours for points that have no picture.

use anyhow::{Context as _, Result};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};

/// For text: ten colours that are told apart, also by the colour-blind (after Paul Tol's muted set).
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
/// For numbers: dark to light, the way of viridis.
const RAMP: [[f64; 3]; 5] =
    [[68.0, 1.0, 84.0], [59.0, 82.0, 139.0], [33.0, 145.0, 140.0], [94.0, 201.0, 98.0], [253.0, 231.0, 37.0]];
/// Without a column, and for empty places in one.
const PLAIN: [u8; 3] = [70, 90, 120];

/// One colour a row, by the values of a column; one for all if `column` is empty.
///
/// # Errors
/// When there is no such column.
pub fn of_column(batch: &RecordBatch, column: &str) -> Result<Vec<[u8; 3]>> {
    if column.is_empty() {
        return Ok(vec![PLAIN; batch.num_rows()]);
    }
    let values =
        batch.column_by_name(column).with_context(|| format!("--color-by: the table has no column `{column}`"))?;
    if values.data_type().is_numeric() { by_number(values) } else { by_name(values) }
}

fn by_number(values: &ArrayRef) -> Result<Vec<[u8; 3]>> {
    let values = cast(values, &DataType::Float64)?;
    let values: Vec<Option<f64>> =
        values.as_primitive::<Float64Type>().iter().map(|v| v.filter(|v| v.is_finite())).collect();
    let known = || values.iter().flatten().copied();
    let (low, high) = (known().fold(f64::INFINITY, f64::min), known().fold(f64::NEG_INFINITY, f64::max));
    let ramp = |value: f64| {
        let at = if high > low { (value - low) / (high - low) * (RAMP.len() - 1) as f64 } else { 0.0 };
        let i = (at as usize).min(RAMP.len() - 2);
        std::array::from_fn(|c| (RAMP[i][c] + (RAMP[i + 1][c] - RAMP[i][c]) * (at - i as f64)).round() as u8)
    };
    Ok(values.iter().map(|value| value.map_or(PLAIN, ramp)).collect())
}

fn by_name(values: &ArrayRef) -> Result<Vec<[u8; 3]>> {
    let values = cast(values, &DataType::Utf8)?;
    let values = values.as_string::<i32>();
    let mut names: Vec<&str> = values.iter().flatten().collect();
    names.sort_unstable();
    names.dedup();
    let colour = |name: &str| DISTINCT[names.binary_search(&name).unwrap_or(0) % DISTINCT.len()];
    Ok((0..values.len()).map(|i| if values.is_valid(i) { colour(values.value(i)) } else { PLAIN }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int32Array, StringArray};
    use std::sync::Arc;

    #[test]
    fn names_are_told_apart_and_numbers_run_from_dark_to_light() {
        let batch = RecordBatch::try_from_iter([
            ("name", Arc::new(StringArray::from(vec![Some("b"), Some("a"), Some("b"), None])) as ArrayRef),
            ("size", Arc::new(Int32Array::from(vec![1, 3, 2, 1]))),
        ])
        .unwrap();
        assert_eq!(of_column(&batch, "name").unwrap(), [DISTINCT[1], DISTINCT[0], DISTINCT[1], PLAIN]);
        assert_eq!(of_column(&batch, "size").unwrap(), [[68, 1, 84], [253, 231, 37], [33, 145, 140], [68, 1, 84]]);
        assert_eq!(of_column(&batch, "").unwrap(), [PLAIN; 4]);
        assert!(of_column(&batch, "colour").unwrap_err().to_string().contains("`colour`"));
    }
}
