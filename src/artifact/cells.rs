//! How the fields of rows become columns, and columns fields.

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
use super::{ImageId, Origin, Precision, Reason, Time};
use crate::config::Kind;
use crate::photo::Format;

/// A column's type, as a row has it.
pub(super) trait Cell: Sized {
    const NULLABLE: bool = false;
    fn column(values: impl Iterator<Item = Self>) -> ArrayRef;
    fn get(column: &ArrayRef, row: usize) -> Option<Self>;
}

/// A type whose column is text.
pub(super) trait Text: Display + FromStr {}

impl Text for String {}
impl Text for ImageId {}
impl Text for Format {}
impl Text for Kind {}
impl Text for Origin {}
impl Text for Precision {}
impl Text for Reason {}

/// A column of texts; what it was made in may be twice as large.
fn texts(mut texts: StringArray) -> ArrayRef {
    texts.shrink_to_fit();
    Arc::new(texts)
}

impl<T: Text> Cell for T {
    fn column(values: impl Iterator<Item = Self>) -> ArrayRef {
        texts(StringArray::from_iter_values(values.map(|value| value.to_string())))
    }
    fn get(column: &ArrayRef, row: usize) -> Option<Self> {
        column.as_string_opt::<i32>()?.value(row).parse().ok()
    }
}

impl<T: Text> Cell for Option<T> {
    const NULLABLE: bool = true;
    fn column(values: impl Iterator<Item = Self>) -> ArrayRef {
        texts(StringArray::from_iter(values.map(|value| value.map(|value| value.to_string()))))
    }
    fn get(column: &ArrayRef, row: usize) -> Option<Self> {
        let column = column.as_string_opt::<i32>()?;
        if column.is_valid(row) { column.value(row).parse().ok().map(Some) } else { Some(None) }
    }
}

/// Numbers, each with its kind of column.
macro_rules! numbers {
    ($($number:ty: $column:ty,)*) => { $(
        impl Cell for $number {
            fn column(values: impl Iterator<Item = Self>) -> ArrayRef {
                Arc::new(PrimitiveArray::<$column>::from_iter_values(values))
            }
            fn get(column: &ArrayRef, row: usize) -> Option<Self> {
                Some(column.as_primitive_opt::<$column>()?.value(row))
            }
        }

        impl Cell for Option<$number> {
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

/// A text that many rows have.
impl Cell for Arc<str> {
    fn column(values: impl Iterator<Item = Self>) -> ArrayRef {
        texts(StringArray::from_iter_values(values))
    }
    fn get(column: &ArrayRef, row: usize) -> Option<Self> {
        Some(column.as_string_opt::<i32>()?.value(row).into())
    }
}

impl Cell for bool {
    fn column(values: impl Iterator<Item = Self>) -> ArrayRef {
        Arc::new(BooleanArray::from_iter(values.map(Some)))
    }
    fn get(column: &ArrayRef, row: usize) -> Option<Self> {
        Some(column.as_boolean_opt()?.value(row))
    }
}

impl Cell for Option<Time> {
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

impl Cell for Option<Blob> {
    const NULLABLE: bool = true;
    fn column(values: impl Iterator<Item = Self>) -> ArrayRef {
        Arc::new(BinaryArray::from_iter(values.map(|blob| blob.map(|Blob(bytes)| bytes))))
    }
    fn get(column: &ArrayRef, row: usize) -> Option<Self> {
        let column = column.as_binary_opt::<i32>()?;
        Some(column.is_valid(row).then(|| Blob(column.value(row).to_owned())))
    }
}

/// The column of this name; of nulls where it may be empty and is not there.
pub(super) fn column<T: Cell>(batch: &RecordBatch, schema: &Schema, name: &str) -> Result<ArrayRef> {
    let empty = || T::NULLABLE.then(|| new_null_array(T::column(std::iter::empty()).data_type(), batch.num_rows()));
    batch.column_by_name(name).cloned().or_else(empty).with_context(|| {
        let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        format!("no column `{name}`; there are: {}", names.join(", "))
    })
}
