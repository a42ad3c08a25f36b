//! docs/tables.md has every table with every column, its type, and whether it may be empty.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use tsne_grid::artifact::input_list::{InspectionRow, ListRow};
use tsne_grid::artifact::rows::{
    ArrivalRow, AssignRow, CellRow, EmbedRow, FieldRow, GroupRow, ImageRow, NeighbourRow, ProjectRow, RenderRow, Row,
    SeamRow, ShotRow, SkippedRow, WordRow,
};

/// A table as documented or as in the program: name, type and whether it may be empty, for each column.
type Table = Vec<(String, String, bool)>;

fn documented() -> BTreeMap<String, Table> {
    let mut tables: BTreeMap<String, Table> = BTreeMap::new();
    let mut name = String::new();
    for line in include_str!("../../docs/tables.md").lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            name = heading.to_owned();
        } else if let Some(row) = line.strip_prefix("| `") {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            assert!(cells.len() >= 5 && !cells[3].is_empty(), "{name}: {line}");
            let column = (cells[0].trim_end_matches('`').to_owned(), cells[1].to_owned(), cells[2] == "yes");
            tables.entry(name.clone()).or_default().push(column);
        }
    }
    tables
}

fn of<R: Row>() -> (String, Table) {
    let batch: RecordBatch = R::to_batch(&[]);
    let column = |field: &arrow::datatypes::FieldRef| {
        let kind = match field.data_type() {
            DataType::Utf8 => "text",
            DataType::UInt32 | DataType::UInt64 | DataType::Int64 => "whole",
            DataType::Float64 => "number",
            DataType::Boolean => "flag",
            DataType::Timestamp(..) => "time",
            DataType::Binary => "bytes",
            other => panic!("{other} has no word in docs/tables.md"),
        };
        (field.name().clone(), kind.to_owned(), field.is_nullable())
    };
    (R::STAGE.to_owned(), batch.schema().fields().iter().map(column).collect())
}

#[test]
fn every_column_is_documented_as_it_is() {
    let program = BTreeMap::from([
        of::<ImageRow>(),
        of::<FieldRow>(),
        of::<SkippedRow>(),
        of::<EmbedRow>(),
        of::<WordRow>(),
        of::<ProjectRow>(),
        of::<AssignRow>(),
        of::<GroupRow>(),
        of::<NeighbourRow>(),
        of::<SeamRow>(),
        of::<ShotRow>(),
        of::<ArrivalRow>(),
        of::<CellRow>(),
        of::<RenderRow>(),
        of::<ListRow>(),
        of::<InspectionRow>(),
    ]);
    let page = documented();
    for (name, table) in &program {
        assert_eq!(page.get(name), Some(table), "{name}");
    }
    assert_eq!(page.keys().collect::<Vec<_>>(), program.keys().collect::<Vec<_>>());
}
