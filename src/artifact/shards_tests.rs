//! Tests of the embedding store: interruptions, concurrent writers and damage.

use super::*;
use serde_json::json;

fn vectors(from: usize, to: usize) -> Vectors {
    let names = (from..to).map(|i| ImageId::from(&*format!("{i:05}"))).collect();
    Vectors { names, dim: 2, values: (2 * from..2 * to).map(|x| x as f32).collect(), norms: Vec::new() }
}

fn open(store: &Store) -> EmbeddingStore {
    EmbeddingStore::open(store, &json!({"model": "m"}), (2, false), &BTreeSet::new(), |warning| panic!("{warning}"))
}

fn index_of(embeddings: &EmbeddingStore, count: usize) -> (Vec<EmbedRow>, Digest) {
    embeddings.index(&(0..count).map(|i| ImageId::from(&*format!("{i:05}"))).collect()).unwrap()
}

#[test]
fn a_killed_run_and_an_uninterrupted_one_leave_the_same_files() {
    let dir = tempfile::tempdir().unwrap();
    let (once, killed) = (Store::new(dir.path().join("a")), Store::new(dir.path().join("b")));
    let mut embeddings = open(&once);
    embeddings.commit(vectors(0, 3000)).unwrap();
    embeddings.seal().unwrap();
    let expected = index_of(&embeddings, 3000);
    for (from, to) in [(0, 10), (10, 2500), (2500, 3000)] {
        open(&killed).commit(vectors(from, to)).unwrap();
    }
    let mut embeddings = open(&killed);
    assert!(embeddings.contains("02999") && !embeddings.contains("03000"));
    embeddings.seal().unwrap();
    assert_eq!(index_of(&embeddings, 3000), expected);
    let folder = folder(&json!({"model": "m"}));
    assert_eq!(once.names(&folder), killed.names(&folder));
    assert_eq!(once.names(&folder).len(), 2, "2,048 rows and the rest");
    assert_eq!(index_of(&open(&killed), 3000), expected, "also when opened again");
}

#[test]
fn an_interrupted_sealing_is_finished_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    open(&store).commit(vectors(0, 5)).unwrap();
    let folder = folder(&json!({"model": "m"}));
    let part = store.root().join(&folder).join(&store.names(&folder)[0]);
    let bytes = std::fs::read(&part).unwrap();
    open(&store).seal().unwrap();
    crate::store::replace_file(&part, |f| f.write_all(&bytes)).unwrap(); // as if it had not been removed
    let mut embeddings = open(&store);
    let before = index_of(&embeddings, 5);
    embeddings.seal().unwrap();
    assert_eq!(index_of(&embeddings, 5), before);
    assert_eq!(store.names(&folder).len(), 1);
}

#[test]
fn a_part_that_another_run_has_sealed_is_told_from_a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    open(&store).commit(vectors(0, 5)).unwrap();
    let mut late = open(&store);
    let folder = folder(&json!({"model": "m"}));
    store::remove(&store.root().join(&folder).join(&store.names(&folder)[0])).unwrap();
    let error = late.seal().unwrap_err();
    assert!(error.chain().any(|cause| cause.downcast_ref().is_some_and(ReadError::is_loss)), "{error:?}");
    assert!(!format!("{error:#}").contains("cannot write"), "{error:#}");
}

#[test]
fn two_writers_that_do_not_see_each_other_mix_nothing_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let (mut one, mut two) = (open(&store), open(&store));
    one.commit(vectors(0, 1000)).unwrap();
    two.commit(vectors(500, 2500)).unwrap();
    let mut embeddings = open(&store);
    embeddings.seal().unwrap();
    let (rows, _) = index_of(&embeddings, 2500);
    visit(&store, &embeddings.folder, &rows, |i, vector, _| {
        assert_eq!(vector, [2.0 * i as f32, 2.0 * i as f32 + 1.0]);
        Ok(())
    })
    .unwrap();
    assert_eq!(store.names(&embeddings.folder).len(), 2);
}

#[test]
fn a_damaged_shard_loses_its_pictures_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let mut embeddings = open(&store);
    for (from, to) in [(0, 5), (5, 9)] {
        embeddings.commit(vectors(from, to)).unwrap();
    }
    let folder = folder(&json!({"model": "m"}));
    let file = embeddings.locations["00002"].0.clone();
    crate::store::replace_file(&store.root().join(&folder).join(&*file), |f| f.write_all(b"x")).unwrap();
    let mut warnings = Vec::new();
    let embeddings = EmbeddingStore::open(&store, &json!({"model": "m"}), (2, false), &BTreeSet::new(), |warning| {
        warnings.push(warning)
    });
    assert_eq!(warnings.len(), 1);
    assert!(!embeddings.contains("00002") && embeddings.contains("00007"));
}
