//! Conversions between fields of rows and Arrow columns.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, PrimitiveArray, RecordBatch, StringArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::{Float64Type, Int64Type, Schema, TimestampMicrosecondType, UInt32Type, UInt64Type};

use super::rows::Blob;
use super::{DateOrigin, ImageId, Precision, SkipReason, Time};
use crate::config::PictureKind;
use crate::photo::Format;

/// A type of a field. `NULLABLE`: the column may have nulls, and tables without the column can be read. `get` returns
/// `None` if the column has another type or the value cannot be parsed.
pub(super) trait ColumnValue: Sized {
    const NULLABLE: bool = false;
    fn column(values: impl Iterator<Item = Self>) -> ArrayRef;
    fn get(column: &ArrayRef, row: usize) -> Option<Self>;
}

/// A type that is stored as text.
pub(super) trait TextValue: Display + FromStr {}

impl TextValue for String {}
impl TextValue for ImageId {}
impl TextValue for Format {}
impl TextValue for PictureKind {}
impl TextValue for DateOrigin {}
impl TextValue for Precision {}
impl TextValue for SkipReason {}

/// A column of texts. The builder may have allocated up to twice the size.
fn text_array(mut texts: StringArray) -> ArrayRef {
    texts.shrink_to_fit();
    Arc::new(texts)
}

impl<T: TextValue> ColumnValue for T {
    fn column(values: impl Iterator<Item = Self>) -> ArrayRef {
        text_array(StringArray::from_iter_values(values.map(|value| value.to_string())))
    }
    fn get(column: &ArrayRef, row: usize) -> Option<Self> {
        column.as_string_opt::<i32>()?.value(row).parse().ok()
    }
}

impl<T: TextValue> ColumnValue for Option<T> {
    const NULLABLE: bool = true;
    fn column(values: impl Iterator<Item = Self>) -> ArrayRef {
        text_array(StringArray::from_iter(values.map(|value| value.map(|value| value.to_string()))))
    }
    fn get(column: &ArrayRef, row: usize) -> Option<Self> {
        let column = column.as_string_opt::<i32>()?;
        if column.is_valid(row) { column.value(row).parse().ok().map(Some) } else { Some(None) }
    }
}

/// Implements [`ColumnValue`] for a number and its `Option`.
macro_rules! numbers {
    ($($number:ty: $column:ty,)*) => { $(
        impl ColumnValue for $number {
            fn column(values: impl Iterator<Item = Self>) -> ArrayRef {
                Arc::new(PrimitiveArray::<$column>::from_iter_values(values))
            }
            fn get(column: &ArrayRef, row: usize) -> Option<Self> {
                Some(column.as_primitive_opt::<$column>()?.value(row))
            }
        }

        impl ColumnValue for Option<$number> {
            const NULLABLE: bool = true;
            fn column(values: impl Iterator<Item = Self>) -> ArrayRef {
                Arc::new(PrimitiveArray::<$column>::from_iter(values))
            }
            fn get(column: &ArrayRef, row: usize) -> Option<Self> {
                let column = column.as_primitive_opt::<$column>()?;
                Some(column.is_valid(row).then(|| column.value(row)))
            }
        }
    )* };
}

numbers! { u32: UInt32Type, u64: UInt64Type, i64: Int64Type, f64: Float64Type, }

/// Text that is shared by many rows.
impl ColumnValue for Arc<str> {
    fn column(values: impl Iterator<Item = Self>) -> ArrayRef {
        text_array(StringArray::from_iter_values(values))
    }
    fn get(column: &ArrayRef, row: usize) -> Option<Self> {
        Some(column.as_string_opt::<i32>()?.value(row).into())
    }
}

impl ColumnValue for Option<Arc<str>> {
    const NULLABLE: bool = true;
    fn column(values: impl Iterator<Item = Self>) -> ArrayRef {
        text_array(StringArray::from_iter(values))
    }
    fn get(column: &ArrayRef, row: usize) -> Option<Self> {
        let column = column.as_string_opt::<i32>()?;
        Some(column.is_valid(row).then(|| column.value(row).into()))
    }
}

impl ColumnValue for bool {
    fn column(values: impl Iterator<Item = Self>) -> ArrayRef {
        Arc::new(BooleanArray::from_iter(values.map(Some)))
    }
    fn get(column: &ArrayRef, row: usize) -> Option<Self> {
        Some(column.as_boolean_opt()?.value(row))
    }
}

impl ColumnValue for Option<Time> {
    const NULLABLE: bool = true;
    fn column(values: impl Iterator<Item = Self>) -> ArrayRef {
        let values = values.map(|time| time.map(|time| time.micros));
        Arc::new(TimestampMicrosecondArray::from_iter(values).with_timezone("UTC"))
    }
    fn get(column: &ArrayRef, row: usize) -> Option<Self> {
        let column = column.as_primitive_opt::<TimestampMicrosecondType>()?;
        Some(column.is_valid(row).then(|| Time { micros: column.value(row) }))
    }
}

impl ColumnValue for Option<Blob> {
    const NULLABLE: bool = true;
    fn column(values: impl Iterator<Item = Self>) -> ArrayRef {
        Arc::new(BinaryArray::from_iter(values.map(|blob| blob.map(|Blob(bytes)| bytes))))
    }
    fn get(column: &ArrayRef, row: usize) -> Option<Self> {
        let column = column.as_binary_opt::<i32>()?;
        Some(column.is_valid(row).then(|| Blob(column.value(row).to_owned())))
    }
}

/// The column of this name. If it is missing and may be empty, a column of nulls.
pub(super) fn column<T: ColumnValue>(batch: &RecordBatch, schema: &Schema, name: &str) -> Result<ArrayRef> {
    let empty = || T::NULLABLE.then(|| new_null_array(T::column(std::iter::empty()).data_type(), batch.num_rows()));
    batch.column_by_name(name).cloned().or_else(empty).with_context(|| {
        let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        format!("no column `{name}`; there are: {}", names.join(", "))
    })
}
