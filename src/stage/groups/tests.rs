//! Tests of the groups: regions, levels, names, and their continuation from run to run.

use super::*;

fn cell(i: usize, width: usize) -> AssignRow {
    let (row, col) = ((i / width) as u32, (i % width) as u32);
    AssignRow { image: name(i), row, col, x: f64::from(col), y: f64::from(row), cost: 0.0 }
}

fn name(i: usize) -> ImageId {
    ImageId::from(&*format!("{i:05}"))
}

/// A grid with dogs in the left half and birds in the right, each with one kind above and another below, and a word
/// that applies to all.
fn halves(width: usize, height: usize) -> (Vec<AssignRow>, Vec<WordRow>) {
    let cells: Vec<AssignRow> = (0..width * height).map(|i| cell(i, width)).collect();
    let words = cells.iter().flat_map(|cell| {
        let (left, above) = ((cell.col as usize) < width / 2, (cell.row as usize) < height / 2);
        let (kind, whole) = match (left, above) {
            (true, true) => ("terrier", "dog"),
            (true, false) => ("hound", "dog"),
            (false, true) => ("finch", "bird"),
            (false, false) => ("parrot", "bird"),
        };
        let word = |(rank, (word, score)): (u32, (&str, f64))| WordRow {
            image: cell.image.clone(),
            word: word.to_owned(),
            score,
            rank,
            broader: true,
        };
        [(1, (kind, 0.8)), (2, (whole, 0.95)), (3, ("animal", 0.99))].map(word)
    });
    let words = words.collect();
    (cells, words)
}

fn grouped(cells: &[AssignRow], words: &[WordRow], last: Option<&Artifact>) -> Artifact {
    let table = |key, batch| Artifact::new(key, batch, Findings::new());
    let assigned = table(AssignRow::key(json!({}), []), AssignRow::to_batch(cells));
    let words = table(WordRow::key(json!({}), []), WordRow::to_batch(words));
    let input = GroupInput { assigned: &assigned, words: Some(&words), images: &[], fields: &[] };
    table(GroupRow::key(json!({}), []), rows(&input, last).unwrap())
}

fn read(artifact: &Artifact) -> Vec<GroupRow> {
    GroupRow::from_batch(&artifact.batch).unwrap()
}

#[test]
fn groups_are_what_is_alike_and_have_the_narrowest_name_that_covers_them() {
    let (cells, words) = halves(8, 6);
    let rows = read(&grouped(&cells, &words, None));
    assert_eq!(rows.len(), 48, "one level");
    for (row, i) in rows.iter().zip(rows.iter().map(|row| row.image.parse::<usize>().unwrap())) {
        let expected = match (i % 8 < 4, i / 8 < 3) {
            (true, true) => "terrier",
            (true, false) => "hound",
            (false, true) => "finch",
            (false, false) => "parrot",
        };
        assert_eq!(row.name.as_deref(), Some(expected), "{row:?}");
        assert_eq!((row.size, row.bottom - row.top, row.right - row.left), (12, 2, 3));
    }
}

#[test]
fn levels_are_nested_and_grow_in_number() {
    assert_eq!(
        [0, 5, 144, 300, 10_000, 1_000_000].map(levels),
        [vec![1], vec![1], vec![12], vec![8, 25], vec![8, 82, 833], vec![8, 816, 83_333]]
    );
    let (cells, words) = halves(20, 18);
    let rows = read(&grouped(&cells, &words, None));
    let of = |level: u32| -> HashMap<&ImageId, u32> {
        rows.iter().filter(|row| row.level == level).map(|row| (&row.image, row.group)).collect()
    };
    let (coarse, fine) = (of(0), of(1));
    assert_eq!((coarse.len(), fine.len()), (360, 360));
    let pairs: std::collections::BTreeSet<(u32, u32)> =
        fine.iter().map(|(image, group)| (*group, coarse[image])).collect();
    assert_eq!(pairs.len(), 30, "each fine group lies in one coarse one");
}

#[test]
fn numbers_and_names_stay_while_most_pictures_do() {
    let (cells, words) = halves(8, 6);
    let last = grouped(&cells, &words, None);
    // Only one row of the terriers is left, and parrots were added below.
    let (mut cells, mut words) = halves(8, 6);
    cells.retain(|cell| cell.row > 0 || cell.col >= 4);
    for i in 48..56 {
        cells.push(cell(i, 8));
        let word = WordRow { image: name(i), word: "parrot".into(), score: 0.9, rank: 1, broader: true };
        words.push(word);
    }
    let now = grouped(&cells, &words, Some(&last));
    let number = |artifact: &Artifact, name: &str| -> Vec<u32> {
        let named = read(artifact).into_iter().filter(|row| row.name.as_deref() == Some(name));
        let numbers: std::collections::BTreeSet<u32> = named.map(|row| row.group).collect();
        numbers.into_iter().collect()
    };
    for name in ["hound", "finch"] {
        assert_eq!(number(&last, name), number(&now, name), "{name}");
    }
    assert_eq!(read(&grouped(&cells, &words, Some(&now))), read(&now), "a second time changes nothing");
}

#[test]
fn captions_name_what_the_model_has_no_word_for() {
    let (cells, mut words) = halves(8, 6);
    words.retain(|row| ["terrier", "dog", "animal"].contains(&row.word.as_str()));
    let written = |cell: &AssignRow| match (cell.row < 3, cell.col < 4) {
        (true, false) => "A robin in #Snow, 2024",
        (false, false) => "the robin at sea",
        _ => "the dog",
    };
    let field =
        |cell: &AssignRow| FieldRow { image: cell.image.clone(), field: "t".into(), value: written(cell).into() };
    let fields: Vec<FieldRow> = cells.iter().map(field).collect();
    let table = |key, batch| Artifact::new(key, batch, Findings::new());
    let assigned = table(AssignRow::key(json!({}), []), AssignRow::to_batch(&cells));
    let words = table(WordRow::key(json!({}), []), WordRow::to_batch(&words));
    let input = GroupInput { assigned: &assigned, words: Some(&words), images: &[], fields: &fields };
    let rows = GroupRow::from_batch(&rows(&input, None).unwrap()).unwrap();
    let name = |i: usize| rows.iter().find(|row| row.image == self::name(i)).unwrap().name.clone();
    assert_eq!(name(0).as_deref(), Some("terrier"), "the model's word before the caption's");
    assert_eq!(name(7).as_deref(), Some("Snow"));
    assert!(["sea", "robin"].contains(&&*name(47).unwrap()), "{:?}", name(47));
}

#[test]
fn a_wall_without_words_is_grouped_by_its_map() {
    let mut cells: Vec<AssignRow> = (0..48).map(|i| cell(i, 8)).collect();
    cells.iter_mut().filter(|cell| cell.col >= 4).for_each(|cell| cell.x += 100.0);
    let rows = read(&grouped(&cells, &[], None));
    assert!(rows.iter().all(|row| row.name.is_none()));
    assert!(rows.iter().all(|row| row.right < 4 || row.left >= 4), "no group crosses the gap");
    assert!(read(&grouped(&[], &[], None)).is_empty());
}
